"""What is in a base image, and whether a Python of another image will run on it: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

# The C libraries of the official Python images, by the Debian release that they stand on, newest first.
_RELEASES = {"trixie": "2.41", "bookworm": "2.36", "bullseye": "2.31", "buster": "2.28"}


@dataclass(frozen=True, kw_only=True)
class Base:
    """An image to stand on.

    Parameters
    ----------
    name : str
        As a person would say it.
    id : str
        The engine's own name of it, which cannot come to mean another.
    digest : str
        What its content is known by on any machine.
    platform : str
        Such as ``"linux/amd64"``.
    """

    name: str
    id: str
    digest: str
    platform: str

    @property
    def reference(self) -> str:
        """What a Dockerfile calls it: the very same image, where a registry has it."""
        if self.digest == self.id or "@" in self.name:
            return self.name
        return f"{self.name}@{self.digest}"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What was found in an image.

    Parameters
    ----------
    interpreter : str
        The path of a Python of the wanted minor version; empty: there is none.
    has_pip : bool
        Whether that Python has pip.
    libc : str
        The C library and its version, such as ``"glibc 2.36"``; empty: unknown.
    conda : str
        The path of micromamba, mamba or conda; empty: there is none.
    has_apt : bool
        Whether it is Debian's or one of its kin.
    """

    interpreter: str = ""
    has_pip: bool = False
    libc: str = ""
    conda: str = ""
    has_apt: bool = False


def probe_script(python: str) -> str:
    """Return the shell script that says what is in an image.

    Parameters
    ----------
    python : str
        The minor version of Python to look for, such as ``"3.11"``.
    """
    script = (resources.files("cloudknot") / "templates" / "probe.sh").read_text()
    return f"set -- {python}\n{script}"


def read_contents(output: str) -> Contents:
    r"""Return what a probe has found.

    Examples
    --------
    >>> read_contents("interpreter=/usr/bin/python3\nlibc=glibc 2.36\n")
    Contents(interpreter='/usr/bin/python3', has_pip=False, libc='glibc 2.36', conda='', has_apt=False)
    """
    found = dict(line.split("=", 1) for line in output.splitlines() if re.match(r"[a-z_]+=", line))
    return Contents(
        interpreter=found.get("interpreter", ""),
        has_pip="has_pip" in found,
        libc=found.get("libc", "").strip(),
        conda=found.get("conda", ""),
        has_apt="has_apt" in found,
    )


def why_not_copied(base: Contents, donor: Contents) -> str:
    """Return why the Python of one image would not run in another; empty: it would.

    Examples
    --------
    >>> why_not_copied(Contents(libc="glibc 2.31"), Contents(libc="glibc 2.36"))
    'its C library is glibc 2.31, older than glibc 2.36'
    >>> why_not_copied(Contents(libc="glibc 2.41"), Contents(libc="glibc 2.36"))
    ''
    """
    kind, version = _split(base.libc)
    needed_kind, needed = _split(donor.libc)
    if kind and needed_kind and kind != needed_kind:
        return f"its C library is {base.libc}, not {needed_kind}"
    if version and needed and version < needed:
        return f"its C library is {base.libc}, older than {donor.libc}"
    return ""


def python_images(python: str, libc: str) -> tuple[str, ...]:
    """Return the official images whose Python may run with a C library, the likeliest first.

    Examples
    --------
    >>> python_images("3.11", "glibc 2.35")
    ('python:3.11-slim', 'python:3.11-slim-bullseye', 'python:3.11-slim-buster')
    """
    kind, version = _split(libc)
    fitting = [name for name, needed in _RELEASES.items() if kind == "glibc" and _numbers(needed) <= version]
    return (f"python:{python}-slim", *(f"python:{python}-slim-{name}" for name in fitting))


def _split(libc: str) -> tuple[str, tuple[int, ...]]:
    kind, _, version = libc.partition(" ")
    return kind, _numbers(version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
