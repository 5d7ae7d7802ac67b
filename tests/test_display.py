"""What a notebook shows."""

from __future__ import annotations

from cloudknot import Knot
from cloudknot.client import Client


def test_a_map_shows_its_state_and_why_items_failed(client: Client) -> None:
    future = Knot(lambda x: {}["<b>"] if x else x, name="shown-html", client=client).map(range(3))
    future.exception()
    shown = future._repr_html_()
    assert future.run_id in shown
    assert "1 of 3" in shown
    assert "2 &times; KeyError: &#x27;&lt;b&gt;&#x27;" in shown
    assert "<b>'" not in shown


def test_a_knot_shows_its_latest_jobs(client: Client) -> None:
    knot = Knot(abs, name="knot-html", client=client)
    assert "Job ID" not in knot._repr_html_()
    run_id = knot.map([1]).run_id
    assert run_id in knot._repr_html_()
    assert "abs" in repr(knot)
