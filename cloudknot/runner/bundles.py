"""The archive of a person's own modules: made on the client's side, unpacked on the far side."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from cloudknot.runner.stores import Store

_EPOCH = (1980, 1, 1, 0, 0, 0)


def bundle_key(files: Mapping[str, bytes]) -> str:
    """Return the key of the archive of these files: equal for equal content, empty for none."""
    if not files:
        return ""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode())
        digest.update(files[name])
    return f"bundles/{digest.hexdigest()[:32]}.zip"


def write_bundle(store: Store, files: Mapping[str, bytes]) -> str:
    """Put the archive into the store unless it is there; return its key."""
    key = bundle_key(files)
    if key and key not in store.list(key):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(files):
                # What a ZipInfo says of compression goes before the archive's.
                entry = zipfile.ZipInfo(name, _EPOCH)
                archive.writestr(entry, files[name], compress_type=zipfile.ZIP_DEFLATED)
        store.put(key, buffer.getvalue(), if_absent=True)
    return key


def read_bundle(store: Store, key: str) -> dict[str, bytes]:
    """Return the files of an archive; none for an empty key."""
    if not key:
        return {}
    with zipfile.ZipFile(io.BytesIO(store.get(key))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def unpack_bundle(store: Store, key: str, folder: Path) -> Path:
    """Unpack an archive below folder, once, and return the path to look for modules in."""
    target = folder / Path(key).stem
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    half_made = Path(tempfile.mkdtemp(prefix=".", dir=folder))
    with zipfile.ZipFile(io.BytesIO(store.get(key))) as archive:
        archive.extractall(half_made)
    try:
        half_made.rename(target)
    except OSError:  # another process was first
        shutil.rmtree(half_made, ignore_errors=True)
    return target
