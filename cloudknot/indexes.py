"""A person's settings of package indexes, for ``uv pip`` in a build.

pip's rules are those of its own documentation ("Configuration"): the files for all users, of this user, of
this Python and of ``PIP_CONFIG_FILE``, which stands in for the user's; later ones over earlier ones,
``[install]`` over ``[global]``, and variables over all files. uv reads none of them, so they are handed to it
as variables of its own. Some hold passwords: a build must not leave them in an image.
"""

from __future__ import annotations

import configparser
import netrc
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from cloudknot.errors import InputError

# uv lets an index have a name.
_LABEL = re.compile(r"([A-Za-z0-9_.-]+)=(?=https?://)")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """What a build must know to find the packages that a person finds here.

    Parameters
    ----------
    variables : dict
        Environment variables of uv; some hold passwords.
    certificates : bytes
        The certificate authorities to trust instead of uv's own, for a file that ``SSL_CERT_FILE`` names;
        empty for uv's own.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    certificates: bytes = b""

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", MappingProxyType(dict(self.variables)))

    def __repr__(self) -> str:
        # The values hold passwords, and a repr ends up in logs and tracebacks.
        names = ", ".join(sorted(self.variables)) or "nothing"
        return f"IndexSettings({names}; {len(self.certificates)} bytes of certificates)"


def read_index_settings(
    environ: Mapping[str, str] = os.environ, *, prefix: Path | None = None, etc: Path = Path("/etc")
) -> IndexSettings:
    """Read where this person's pip and uv look for packages.

    What is set for uv counts before what is set for pip, setting by setting. Places on this machine are left
    out: a build cannot see them.

    Parameters
    ----------
    environ : dict
        The environment variables.
    prefix : path, optional
        The folder of the Python whose pip it is; this one's when not given.
    etc : path
        The folder of what is set for all users.

    Raises
    ------
    InputError
        A configuration file of pip's is none.
    """
    pip = _read_pip(environ, prefix or Path(sys.prefix), etc)
    hosts = _read_netrc(environ)
    default = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or pip.get("index-url", "")
    own = f"{environ.get('UV_INDEX', '')} {environ.get('UV_EXTRA_INDEX_URL', '')}".split()
    further = [index for index in own or pip.get("extra-index-url", "").split() if _is_remote(index)]
    # pip takes a version from any index that has it; uv looks only into the first that has the package.
    strategy = environ.get("UV_INDEX_STRATEGY") or ("unsafe-best-match" if further and not own else "")
    variables = {
        "UV_DEFAULT_INDEX": _with_credentials(default, hosts) if _is_remote(default) else "",
        "UV_INDEX": " ".join(_with_credentials(index, hosts) for index in further),
        "UV_INDEX_STRATEGY": strategy,
        "UV_INSECURE_HOST": environ.get("UV_INSECURE_HOST") or " ".join(pip.get("trusted-host", "").split()),
        **dict(_named_credentials(environ, [default, *further])),
        **_read_proxies(environ, pip.get("proxy", "")),
    }
    authorities = (environ.get("SSL_CERT_FILE"), pip.get("cert"), environ.get("REQUESTS_CA_BUNDLE"))
    return IndexSettings(
        variables={name: value for name, value in variables.items() if value},
        certificates=_read_first(filter(None, authorities)),
    )


def _read_pip(environ: Mapping[str, str], prefix: Path, etc: Path) -> dict[str, str]:
    """Return pip's options for installing by their long names, without dashes before."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for path in _pip_files(environ, prefix, etc):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path)
        except (configparser.Error, UnicodeDecodeError) as error:
            raise InputError(f"pip's configuration file {path} cannot be read: {error}") from error
        for name, options in sections.items():
            if parser.has_section(name):
                options.update({_option(option): value for option, value in parser.items(name)})
    variables = {_option(name[4:]): value for name, value in environ.items() if name.startswith("PIP_")}
    layers = (sections["global"], sections["install"], variables)
    # pip takes an empty value for none.
    return {option: value for layer in layers for option, value in layer.items() if value}


def _option(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _pip_files(environ: Mapping[str, str], prefix: Path, etc: Path) -> Iterator[Path]:
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return
    home = _home(environ)
    if sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
        support = home / "Library" / "Application Support" / "pip"
        personal = support if support.is_dir() else home / ".config" / "pip"
    else:
        shared = environ.get("XDG_CONFIG_DIRS", "").strip() or str(etc / "xdg")
        yield from (Path(folder, "pip", "pip.conf") for folder in shared.split(os.pathsep))
        yield etc / "pip.conf"
        personal = Path(environ.get("XDG_CONFIG_HOME", "").strip() or home / ".config", "pip")
    if not (chosen and Path(chosen).exists()):
        yield home / ".pip" / "pip.conf"
        yield personal / "pip.conf"
    yield prefix / "pip.conf"
    if chosen:
        yield Path(chosen)


def _is_remote(index: str) -> bool:
    return re.match(r"https?://", _LABEL.sub("", index)) is not None


def _read_netrc(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return name and password by host. What is set for any other host goes to none."""
    path = Path(environ.get("NETRC") or _home(environ) / ".netrc").expanduser()
    try:
        hosts = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return {}
    return {host: (login, password or "") for host, (login, _, password) in hosts.items()}


def _with_credentials(index: str, hosts: Mapping[str, tuple[str, str]]) -> str:
    label = _LABEL.match(index)
    parts = urlsplit(index[label.end() :] if label else index)
    login, password = hosts.get(parts.hostname or "", ("", ""))
    is_same = parts.username is None or unquote(parts.username) == login
    if not login or parts.password or not is_same:
        return index
    host = parts.netloc.rpartition("@")[2]
    address = urlunsplit(parts._replace(netloc=f"{quote(login, safe='')}:{quote(password, safe='')}@{host}"))
    return f"{label[0]}{address}" if label else address


def _named_credentials(environ: Mapping[str, str], indexes: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what uv's own variables have for the indexes that have a name."""
    for index in indexes:
        label = _LABEL.match(index)
        if label is not None:
            stem = f"UV_INDEX_{re.sub('[^A-Z0-9]', '_', label[1].upper())}"
            names = (f"{stem}_USERNAME", f"{stem}_PASSWORD")
            yield from ((name, environ[name]) for name in names if environ.get(name))


def _read_proxies(environ: Mapping[str, str], pips: str) -> dict[str, str]:
    names = [name for upper in _PROXIES for name in (upper, upper.lower())]
    found = {name: environ[name] for name in names if environ.get(name)}
    # pip's own proxy is for all addresses.
    return {"HTTP_PROXY": pips, "HTTPS_PROXY": pips, **found} if pips else found


def _read_first(paths: Iterable[str]) -> bytes:
    for path in paths:
        try:
            return Path(path).expanduser().read_bytes()
        except OSError:
            continue
    return b""


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home())
