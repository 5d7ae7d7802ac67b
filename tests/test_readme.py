"""The code that newcomers copy runs as it stands."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from docker import DockerClient

from cloudknot.testing import Box
from tests.conftest import Script

ROOT = Path(__file__).parent.parent

FIRST_ACCEPTANCE = """
import cloudknot as ck
import numpy as np

def monte_pi_count(n):
    import numpy as np
    x, y = np.random.rand(n), np.random.rand(n)
    return np.count_nonzero(x * x + y * y <= 1.0)

knot = ck.Knot(name="pi-calc", func=monte_pi_count)   # also ck.Knot(monte_pi_count)
n_jobs, n_samples = 1000, 100_000
future = knot.map(np.ones(n_jobs, dtype=np.int32) * n_samples)
knot.view_jobs()                                      # Job ID, Name, Status, items done / failed / total
future.done(); future.result(); knot.jobs[-1].result()

def pi_from_future(future):
    global PI
    PI = 4.0 * np.sum(future.result()) / (n_samples * n_jobs)
future.add_done_callback(pi_from_future)
"""


def python_blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(), flags=re.DOTALL)


def test_the_first_map(script: Script) -> None:
    out = script.run(FIRST_ACCEPTANCE + "\nprint(PI)\n")
    table, pi = out.strip().rsplit("\n", 1)
    assert abs(float(pi) - math.pi) < 0.002
    head, row = table.split("\n")
    assert head.split() == ["Job", "ID", "Name", "Status", "Done", "Failed", "Total", "Started"]
    assert row.split()[1:3] == ["pi-calc", "running"]


def test_the_readmes_code_runs_as_it_stands(script: Script) -> None:
    shown, _on_aws, *blocks = python_blocks(ROOT / "README.md")
    assert len(blocks) == 4
    out = script.run("subjects = range(3)\ndef my_function(x): return x\n" + shown + "\n".join(blocks[:3]))
    assert "\n3.14" in out
    assert "[2374, ValueError(" in out
    assert "<1 failed of 3: 1 x ValueError: could not convert string to float: 'n/a'" in out
    assert out.strip().endswith("[2374, None, 14975]")


def test_the_readmes_code_of_containers_runs_as_it_stands(script: Script, engine: DockerClient) -> None:
    [*_, failing, containers] = python_blocks(ROOT / "README.md")
    result, clobbered = script.run("import cloudknot as ck\n" + failing + containers).strip().split("\n")[-2:]
    assert result == "[2374, 14975]"
    assert re.fullmatch(
        r"Clobbered\(stopped=0, removed=0, containers=[12], images=\('cloudknot:\w+',\), "
        r"definitions=\(\), running=0\)",
        clobbered,
    )


def test_the_readmes_code_of_aws_runs_as_it_stands(script: Script, aws_lab: Box) -> None:
    shown, on_aws, *_ = python_blocks(ROOT / "README.md")
    script.environment |= aws_lab.environment()
    begin = "subjects = range(3)\ndef my_function(x): return x\n"
    assert script.run(begin + shown + on_aws + "\nprint(future.result(), future.run.backend)").strip() == (
        "[0, 1, 2] aws"
    )


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"], ids=lambda p: p.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target, heading in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
        if "://" not in target:
            there = page.parent / target if target else page
            assert there.exists(), f"{page.name} links to {target}"
            assert not heading or heading in headings(there), f"{page.name} links to {target}#{heading}"


def headings(page: Path) -> set[str]:
    """Return what a page's headings are called in links."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}
