"""What this Debian has installed: packages, what they depend on, and the files that are theirs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RECORDS = Path("/var/lib/dpkg")
_FIELDS = ("Package", "Essential", "Priority", "Pre-Depends", "Depends", "Provides")
_FORMAT = "${db:Status-Abbrev}\t${Architecture}\t" + "\t".join(f"${{{field}}}" for field in _FIELDS) + "\n"
_LEFT_OUT = re.compile(r"/usr/share/(doc|man|info|locale|lintian|bug)/.")


@dataclass(frozen=True, kw_only=True)
class Package:
    """One installed package."""

    name: str
    is_required: bool
    needs: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]


def installed_packages() -> dict[str, Package]:
    """Return the installed packages of this machine's architecture by name."""
    native = _output(["dpkg", "--print-architecture"]).strip()
    found = {}
    for line in _output(["dpkg-query", "--show", f"--showformat={_FORMAT}"]).splitlines():
        status, architecture, name, essential, priority, before, depends, provides = line.split("\t")
        if status.strip() == "ii" and architecture in (native, "all"):
            found[name] = Package(
                name=name,
                is_required=essential == "yes" or priority == "required",
                needs=tuple(tuple(_names(choice, "|")) for choice in f"{before},{depends}".split(",")),
                provides=tuple(_names(provides, ",")),
            )
    return found


def close_over_needs(names: Iterable[str], installed: Mapping[str, Package]) -> set[str]:
    """Return these packages and all that they depend on, of each choice what is installed."""
    providers: dict[str, list[str]] = {name: [name] for name in installed}
    for package in installed.values():
        for virtual in package.provides:
            providers.setdefault(virtual, []).append(package.name)
    closed: set[str] = set()
    pending = [name for name in names if name in installed]
    while pending:
        name = pending.pop()
        if name not in closed:
            closed.add(name)
            choices = ([*choice] for choice in installed[name].needs)
            pending += [found for choice in choices for one in choice for found in providers.get(one, [])]
    return closed


def owners(paths: Iterable[str]) -> set[str]:
    """Return the packages that these files came with, under /usr or not."""
    spellings = set()
    for path in paths:
        bare = path.removeprefix("/usr")
        spellings |= {bare, f"/usr{bare}"}
    # It ends with 1, as of each two spellings one is unknown.
    done = subprocess.run(["dpkg", "--search", *spellings], capture_output=True, text=True, check=False)
    lines = (line.rpartition(": ")[0] for line in done.stdout.splitlines())
    return {name.strip().partition(":")[0] for line in lines for name in line.split(",") if name}


def linked_libraries(binaries: Sequence[Path]) -> set[str]:
    """Return the paths of the shared libraries that the loader finds for these."""
    done = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=False)
    return set(re.findall(r"(?:=> |^\t)(/\S+) \(0x", done.stdout, flags=re.MULTILINE))


def files_of(names: Iterable[str]) -> Iterator[str]:
    """Yield the paths that these packages brought, without manuals and translations."""
    for name in names:
        for listing in record_files(name):
            if listing.suffix == ".list":
                yield from (path for path in listing.read_text().splitlines() if not _LEFT_OUT.match(path))


def record_files(name: str) -> list[Path]:
    """Return dpkg's own files about one package."""
    found = [path for path in (RECORDS / "info").glob(f"{name}[.:]*") if path.stem.partition(":")[0] == name]
    return sorted(found)


def status_of(names: set[str]) -> str:
    """Return dpkg's status of these packages only."""
    paragraphs = (RECORDS / "status").read_text().split("\n\n")
    kept = [text for text in paragraphs if text.partition("\n")[0].removeprefix("Package: ") in names]
    return "\n\n".join(kept) + "\n"


def triggers_of(names: set[str]) -> Iterator[tuple[str, str]]:
    """Yield dpkg's files about what triggers these packages; without them dpkg first triggers them all."""
    for record in sorted((RECORDS / "triggers").iterdir()):
        lines = record.read_text().splitlines(keepends=True)
        kept = [line for line in lines if re.split("[:/]", line.split()[-1])[0] in names]
        if kept:
            yield record.name, "".join(kept)


def alternatives() -> Iterator[tuple[str, str, list[str]]]:
    """Yield each alternative's name, its link, and the programs it may stand for, best first."""
    for record in sorted((RECORDS / "alternatives").iterdir()):
        _status, link, *rest = record.read_text().splitlines()
        slaves = rest.index("") // 2
        choices = []
        block = rest[2 * slaves + 1 :]
        for start in range(0, len(block) - 1, slaves + 2):
            choices.append((-int(block[start + 1]), block[start]))
        yield record.name, link, [path for _, path in sorted(choices)]


def _names(text: str, separator: str) -> list[str]:
    parts = (part.strip() for part in text.split(separator))
    return [re.split(r"[\s:(]", part)[0] for part in parts if part]


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
