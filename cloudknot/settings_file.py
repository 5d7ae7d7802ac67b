"""Writing the configuration file: what else is in it stays as it is, comments too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cloudknot.errors import InputError


def write_settings(path: Path, **values: str | None) -> None:
    """Set values in a configuration file; None takes one away.

    Parameters
    ----------
    path : Path
        The file, which is made where it is not there.
    **values : str, optional
        By the names of `Settings`.

    Raises
    ------
    InputError
        The file is not TOML, or cannot be written.
    """
    import tomlkit  # noqa: PLC0415  # only who configures needs it
    import tomlkit.exceptions  # noqa: PLC0415

    try:
        document = tomlkit.parse(path.read_text()) if path.exists() else tomlkit.document()
        for name, value in values.items():
            if value is None:
                document.pop(name, None)
            else:
                document[name] = value
        _replace(path.resolve(), tomlkit.dumps(document))
    except (OSError, UnicodeDecodeError, tomlkit.exceptions.TOMLKitError) as error:
        raise InputError(f"the configuration file {path} cannot be written: {error}") from error


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(number, "w") as file:
            file.write(text)
        if path.exists():
            Path(name).chmod(path.stat().st_mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
