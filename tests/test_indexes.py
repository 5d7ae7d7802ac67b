"""What pip and uv find here is what a build finds, and nobody gets to see a password."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudknot import InputError
from cloudknot.indexes import IndexSettings, read_index_settings

Read = Callable[..., IndexSettings]
FILES = {
    "global": "etc/xdg/pip/pip.conf",
    "etc": "etc/pip.conf",
    "legacy": "home/.pip/pip.conf",
    "user": "home/.config/pip/pip.conf",
    "site": "prefix/pip.conf",
    "chosen": "chosen.conf",
}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def index(name: str) -> str:
    return f"https://{name}.example.org/simple"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the settings of a home, a Python and a machine made for the purpose."""

    def read_these(**environ: str) -> IndexSettings:
        environ = {"HOME": str(tmp_path / "home"), **environ}
        return read_index_settings(environ, prefix=tmp_path / "prefix", etc=tmp_path / "etc")

    return read_these


def test_nothing_set_is_nothing_said(read: Read) -> None:
    assert read() == IndexSettings()
    assert read(PATH="/bin", PIP_NO_COLOR="1") == IndexSettings()


def test_this_machines_own_settings_can_be_read() -> None:
    assert isinstance(read_index_settings(), IndexSettings)


@pytest.mark.parametrize("place", FILES)
def test_pips_files_are_found(tmp_path: Path, read: Read, place: str) -> None:
    write(tmp_path / FILES[place], f"[global]\nindex-url = {index(place)}\n")
    environ = {"PIP_CONFIG_FILE": str(tmp_path / "chosen.conf")} if place == "chosen" else {}
    assert read(**environ).variables == {"UV_DEFAULT_INDEX": index(place)}


def test_later_files_count_before_earlier_ones(tmp_path: Path, read: Read) -> None:
    for place in ("global", "etc", "legacy", "user", "site"):
        write(tmp_path / FILES[place], f"[global]\nindex-url = {index(place)}\n")
        assert read().variables["UV_DEFAULT_INDEX"] == index(place)
    write(tmp_path / FILES["global"], f"[install]\nindex-url = {index('install')}\n")
    assert read().variables["UV_DEFAULT_INDEX"] == index("install")
    assert read(PIP_INDEX_URL=index("variable")).variables["UV_DEFAULT_INDEX"] == index("variable")
    assert read(PIP_INDEX_URL="").variables["UV_DEFAULT_INDEX"] == index("install")
    assert read(PIP_CONFIG_FILE=os.devnull) == IndexSettings()


def test_a_chosen_file_stands_in_for_the_users(tmp_path: Path, read: Read) -> None:
    write(tmp_path / FILES["user"], f"[global]\nextra-index-url = {index('user')}\n")
    write(tmp_path / FILES["site"], f"[global]\nindex-url = {index('site')}\ntrusted-host = site\n")
    chosen = tmp_path / "chosen.conf"
    with_none = read(PIP_CONFIG_FILE=str(chosen)).variables
    assert with_none["UV_INDEX"] == index("user")
    write(chosen, f"[global]\nindex-url = {index('chosen')}\n")
    found = read(PIP_CONFIG_FILE=str(chosen)).variables
    assert found == {"UV_DEFAULT_INDEX": index("chosen"), "UV_INSECURE_HOST": "site"}


@pytest.mark.parametrize("chosen", ["", "gone.conf", "chosen.conf", os.devnull])
def test_pip_itself_finds_the_same(tmp_path: Path, chosen: str) -> None:
    for place in ("global", "legacy", "user", "chosen"):
        write(tmp_path / FILES[place], f"[global]\nindex-url = {index(place)}\n")
    write(tmp_path / "etc" / "xdg" / "pip" / "pip.conf", f"[install]\nindex_url = {index('install')}\n")
    write(tmp_path / FILES["legacy"], f"[global]\nextra-index-url =\n  {index('one')}\n  {index('two')}\n")
    environ = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path / "etc" / "xdg"), "PATH": ""}
    if chosen:
        environ["PIP_CONFIG_FILE"] = chosen if chosen == os.devnull else str(tmp_path / chosen)
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    options = dict(line.split("=", 1) for line in listed.splitlines())
    values = {name: value.strip("'").replace("\\n", " ").split() for name, value in options.items()}
    found = read_index_settings(environ).variables
    expected = values.get("install.index-url") or values.get("global.index-url", [])
    assert found.get("UV_DEFAULT_INDEX", "").split() == expected
    assert found.get("UV_INDEX", "").split() == [
        one for one in values.get("global.extra-index-url", []) if one.startswith("http")
    ]


def test_what_is_set_for_uv_counts_before_what_is_set_for_pip(read: Read) -> None:
    environ = {
        "PIP_INDEX_URL": index("pip"),
        "PIP_EXTRA_INDEX_URL": f"{index('a')} {index('b')}",
        "PIP_TRUSTED_HOST": "one.example.org  two.example.org:8080",
    }
    assert read(**environ).variables == {
        "UV_DEFAULT_INDEX": index("pip"),
        "UV_INDEX": f"{index('a')} {index('b')}",
        # pip takes a version from any index that has it.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "one.example.org two.example.org:8080",
    }
    environ |= {"UV_INDEX_URL": index("old"), "UV_EXTRA_INDEX_URL": index("c"), "UV_INSECURE_HOST": "three"}
    assert read(**environ).variables == {
        "UV_DEFAULT_INDEX": index("old"),
        "UV_INDEX": index("c"),
        "UV_INSECURE_HOST": "three",
    }
    environ |= {
        "UV_DEFAULT_INDEX": index("new"),
        "UV_INDEX": f"lab={index('d')}",
        "UV_INDEX_STRATEGY": "first-index",
    }
    assert read(**environ, UV_INDEX_LAB_PASSWORD="secret", UV_INDEX_OTHER_PASSWORD="x").variables == {
        "UV_DEFAULT_INDEX": index("new"),
        "UV_INDEX": f"lab={index('d')} {index('c')}",
        "UV_INDEX_STRATEGY": "first-index",
        "UV_INDEX_LAB_PASSWORD": "secret",
        "UV_INSECURE_HOST": "three",
    }


def test_places_on_this_machine_are_left_out(read: Read) -> None:
    found = read(
        PIP_INDEX_URL="file:///home/me/simple",
        PIP_EXTRA_INDEX_URL=f"file:///home/me/more {index('a')} /home/me/simple",
        PIP_FIND_LINKS="/home/me/wheels",
        UV_FIND_LINKS="/home/me/wheels",
    )
    assert found.variables == {"UV_INDEX": index("a"), "UV_INDEX_STRATEGY": "unsafe-best-match"}


def test_proxies(read: Read) -> None:
    given = {
        "https_proxy": "http://me:secret@proxy:3128",
        "HTTP_PROXY": "http://proxy:3128",
        "no_proxy": ".lab",
    }
    assert read(**given).variables == given
    pips = read(PIP_PROXY="http://pip:1", HTTPS_PROXY="http://own:2").variables
    assert pips == {"HTTP_PROXY": "http://pip:1", "HTTPS_PROXY": "http://own:2"}


def test_certificates_are_read(tmp_path: Path, read: Read) -> None:
    for name in ("ssl", "pip", "requests"):
        (tmp_path / f"{name}.pem").write_text(name)
    write(tmp_path / FILES["user"], f"[global]\ncert = {tmp_path / 'pip.pem'}\n")
    variables = {
        "SSL_CERT_FILE": str(tmp_path / "ssl.pem"),
        "REQUESTS_CA_BUNDLE": str(tmp_path / "requests.pem"),
    }
    assert read(**variables) == IndexSettings(certificates=b"ssl")
    (tmp_path / "ssl.pem").unlink()
    assert read(**variables).certificates == b"pip"
    (tmp_path / "pip.pem").unlink()
    assert read(**variables).certificates == b"requests"


NETRC = """machine one.example.org login me password p@ss/word
machine elsewhere.example.org login me password other
default login anybody password anything
"""


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ("https://one.example.org:8080/a?b#c", "https://me:p%40ss%2Fword@one.example.org:8080/a?b#c"),
        ("https://me@one.example.org/a", "https://me:p%40ss%2Fword@one.example.org/a"),
        ("lab=https://one.example.org/a=b", "lab=https://me:p%40ss%2Fword@one.example.org/a=b"),
        ("https://you@one.example.org/a", "https://you@one.example.org/a"),
        ("https://you:own@one.example.org/a", "https://you:own@one.example.org/a"),
        ("https://two.example.org/a", "https://two.example.org/a"),
    ],
)
def test_credentials_of_the_hosts_that_are_asked(tmp_path: Path, read: Read, given: str, filled: str) -> None:
    write(tmp_path / "home" / ".netrc", NETRC)
    assert read(UV_DEFAULT_INDEX=given, UV_INDEX=given).variables == {
        "UV_DEFAULT_INDEX": filled,
        "UV_INDEX": filled,
    }
    write(tmp_path / "mine", "machine one.example.org login you password own\n")
    (tmp_path / "home" / ".netrc").write_text("machine")
    assert read(UV_DEFAULT_INDEX=given).variables == {"UV_DEFAULT_INDEX": given}
    chosen = read(UV_DEFAULT_INDEX=index("one"), NETRC=str(tmp_path / "mine")).variables
    assert chosen == {"UV_DEFAULT_INDEX": "https://you:own@one.example.org/simple"}


def test_no_password_is_shown(read: Read) -> None:
    found = read(UV_DEFAULT_INDEX="https://me:secret@example.org", https_proxy="http://me:secret@proxy")
    assert "secret" not in f"{found} {found!r}"
    assert repr(found) == "IndexSettings(UV_DEFAULT_INDEX, https_proxy; 0 bytes of certificates)"


def test_a_percent_sign_is_no_more_than_that(tmp_path: Path, read: Read) -> None:
    write(tmp_path / FILES["user"], "[global]\nindex-url = https://me:p%40ss@example.org/simple\n")
    assert read().variables == {"UV_DEFAULT_INDEX": "https://me:p%40ss@example.org/simple"}


def test_a_broken_file_of_pips_is_named(tmp_path: Path, read: Read) -> None:
    write(tmp_path / FILES["user"], "index-url = x\n")
    with pytest.raises(InputError, match=r"home/\.config/pip/pip\.conf cannot be read"):
        read()
