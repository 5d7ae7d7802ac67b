"""The archive of a person's own modules."""

from pathlib import Path

from cloudknot.runner.bundles import read_bundle, write_bundle
from cloudknot.runner.stores import FileStore

FILES = {"lab/__init__.py": b"", "lab/brains.py": b"def skull_strip(brain): ...\n" * 1_000}


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    assert read_bundle(store, write_bundle(store, FILES)) == FILES


def test_text_is_compressed(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    size = len(store.get(write_bundle(store, FILES)))
    assert size < sum(map(len, FILES.values())) / 10


def test_equal_files_are_one_archive(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    assert write_bundle(store, FILES) == write_bundle(store, dict(reversed(FILES.items())))
    assert len(list(store.list("bundles/"))) == 1
