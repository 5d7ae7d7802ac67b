"""The bar of long maps, on a real terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from docker import DockerClient

from cloudknot.progress import BuildLine, ProgressBars, make_progress_bar
from tests.conftest import Script

SLOW = (
    "import time\nimport cloudknot as ck\n"
    "ck.Knot(lambda x: time.sleep(0.2), name='slow').map(range(20)).result()\n"
)


def on_terminal(script: Script, **environment: str) -> str:
    path = script.folder / "slow.py"
    path.write_text(SLOW)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, str(path)], stderr=theirs, env={**script.environment, **environment}
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the terminal's other end has closed
        pass
    os.close(ours)
    assert process.wait(timeout=20) == 0
    return shown.decode()


def test_a_terminal_shows_a_bar(script: Script) -> None:
    shown = on_terminal(script)
    assert "slow: 100%" in shown
    assert "20/20" in shown


def test_it_can_be_turned_off(script: Script) -> None:
    assert on_terminal(script, CLOUDKNOT_PROGRESS="off") == ""


def test_a_pipe_shows_none(script: Script) -> None:
    process = script.start(SLOW)
    assert process.communicate(timeout=30) == ("", "")


@pytest.mark.parametrize(("wanted", "shows"), [(True, True), (False, False)])
def test_what_is_asked_for_goes_before_what_is_guessed(wanted: bool, shows: bool) -> None:
    assert isinstance(make_progress_bar(wanted), ProgressBars) is shows


def test_a_build_shows_its_lines_one_in_place_of_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    show = BuildLine()
    for line in ("downloading numpy", "installed", "the image is ready", ""):
        show(line)
    shown = capsys.readouterr().err
    assert shown.rstrip().split("\r")[-1].strip() == "the image is ready"
    assert "\n" not in shown.rstrip()
    show("")  # a look-up says nothing
    assert capsys.readouterr().err == ""


def test_on_a_terminal_the_image_of_a_knot_is_named(script: Script, engine: DockerClient) -> None:
    assert "is ready" in on_terminal(script, CLOUDKNOT_BACKEND="docker")
