"""Type checkers know what a Knot's futures hold."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SNIPPET = """
import cloudknot as ck

def age(subject: str) -> int:
    return len(subject)

knot = ck.Knot(age)
future = knot.map(["a"])
reveal_type(knot)
reveal_type(future)
reveal_type(future[0])
reveal_type(future.result())
reveal_type(future.result(return_exceptions=True))
reveal_type(knot.submit("a").result())
reveal_type(ck.attach("id"))
"""


def test_a_knot_of_int_gives_futures_of_int(tmp_path: Path) -> None:
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
    )
    revealed = [kind.replace("cloudknot.", "") for kind in re.findall(r'is "(.*)"', done.stdout)]
    assert revealed == [
        "knot.Knot[int]",
        "futures.MapFuture[int]",
        "calls.CallFuture[int]",
        "list[int]",
        "list[int | BaseException]",
        "int",
        "futures.MapFuture[Any] | calls.CallFuture[Any]",
    ], done.stdout
