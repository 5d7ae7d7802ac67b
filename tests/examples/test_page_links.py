"""What is chosen in one view of the page shows in the others and in the address, by mouse and by keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.examples.opened import Opened
from tests.examples.small_study import (
    LACKING,
    N_NODES,
    OUTLIER,
    PEOPLE,
    SHAPED,
    TRACTS,
    profile_table,
    shapes,
)

LEFT, RIGHT, FORCEPS = TRACTS
WIDE = 10  # pixels, of the chosen tract
FAINT_PEOPLE = "#lines=1"


def core(tract: str, axis: int) -> list[float]:
    return [point[axis] for point in shapes()[tract]["coreFiber"]]


def chosen_in_3d(page: Opened) -> list[str]:
    """Return the tracts whose core is drawn wide."""
    lines = [trace for trace in page.traces("bundles") if trace["mode"] == "lines"]
    return [trace["meta"] for trace in lines if trace["line"]["width"] >= WIDE]


def test_a_tract_of_the_list_shows_in_every_view(page: Opened, small: Path) -> None:
    page.open(small)
    assert chosen_in_3d(page) == [LEFT]
    page.choose_tract(RIGHT)

    assert chosen_in_3d(page) == [RIGHT]
    assert page.text("#profile-title") == RIGHT
    assert page.text(f"tr[data-person='{LACKING}'] .flagged") == "∅ missing"
    assert page.trace("profile", "b")["name"] == "b (n = 5)", "one of six lacks the tract"
    assert "tract=Right+Arcuate" in page.driver.current_url


def test_a_click_on_a_bundle_chooses_its_tract(page: Opened, small: Path) -> None:
    page.open(small)
    page.click_at("bundles", page.place_in_3d(shapes()[RIGHT]["coreFiber"][N_NODES // 2]))

    page.wait_for_text("#profile-title", RIGHT)
    page.settle()
    assert chosen_in_3d(page) == [RIGHT]


def test_a_tract_without_a_shape_is_everywhere_but_in_3d_which_says_so(page: Opened, small: Path) -> None:
    page.open(small)
    page.choose_tract(FORCEPS)

    assert page.text("#bundles-note").startswith(f"{FORCEPS} has no shape here")
    assert chosen_in_3d(page) == []
    assert page.text("#profile-title") == FORCEPS
    assert len(page.trace("profile", "a")["y"]) == N_NODES
    page.click("#view label:last-child")
    assert page.texts("#overview .ytick") == list(TRACTS[::-1]), "names are words, and no markup"


def test_a_range_drawn_over_the_profile_shows_in_3d_and_in_the_table(page: Opened, small: Path) -> None:
    page.open(small)
    page.draw_range(9.6, 14.4)

    page.wait(lambda: [page.find(f"#{end}").get_property("value") for end in ("from", "to")] == ["10", "14"])
    page.settle()
    part = page.trace("bundles", "range")
    assert part["y"] == pytest.approx(core(LEFT, 1)[10:15], abs=0.02)
    assert page.trace("bundles", "ends")["text"] == ["node 10", "node 14"]
    assert "FA, nodes 10–14" in page.texts("#people thead button")
    rows = profile_table().query("subjectID == @PEOPLE[1] and tractID == @LEFT and 10 <= nodeID <= 14")
    assert page.texts(f"tr[data-person='{PEOPLE[1]}'] td.number")[-1] == f"{rows['fa'].mean():.3f}"
    assert (
        page.run(
            "return document.querySelectorAll('#profile .select-outline, #profile .selectionlayer *').length"
        )
        == 0
    )


def test_two_clicks_in_the_profile_take_all_nodes_again(page: Opened, small: Path) -> None:
    page.open(small, "#from=10&to=14")
    page.click_twice_at(page.place_in_profile(20, 0.95))

    page.wait(lambda: "from" not in page.driver.current_url)
    page.settle()
    assert "range" not in [trace.get("name") for trace in page.traces("bundles")]


def test_a_range_from_the_keyboard_does_the_same(page: Opened, small: Path) -> None:
    page.open(small)
    field = page.find("#from")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys("10", Keys.TAB)
    page.settle()
    assert page.run("return document.activeElement.id") == "to"
    page.press("14", Keys.ENTER)

    assert page.trace("bundles", "ends")["text"] == ["node 10", "node 14"]
    assert "from=10&to=14" in page.driver.current_url
    page.click("#all-nodes")
    assert "from" not in page.driver.current_url


@pytest.mark.parametrize(
    ("start", "end", "value", "wanted"),
    [
        ("#from=4&to=9", "from", "20", [20, 20]),
        ("#from=4&to=9", "to", "2", [2, 2]),
        ("#", "to", "999", [0, 29]),
    ],
    ids=["begins after its end", "ends before it begins", "beyond the tract"],
)
def test_a_range_is_always_one(
    page: Opened, small: Path, start: str, end: str, value: str, wanted: list[int]
) -> None:
    page.open(small, start)
    page.fill(end, value)

    assert page.run("const {from, to} = tractPage.state.current; return [from, to]") == wanted
    assert [int(page.find(f"#{name}").get_property("value")) for name in ("from", "to")] == wanted


def test_a_person_of_the_table_has_a_line_in_the_profile(page: Opened, small: Path) -> None:
    page.open(small)
    page.click(f"tr[data-person='{OUTLIER}'] th")

    assert page.ticked() == [OUTLIER]
    assert min(page.trace("profile", OUTLIER)["y"]) > 0.55
    page.click(f"tr[data-person='{OUTLIER}'] input")
    assert page.ticked() == []
    assert OUTLIER not in [trace.get("name") for trace in page.traces("profile")]


def test_a_line_of_the_profile_ticks_its_person_in_the_table(page: Opened, small: Path) -> None:
    page.open(small, FAINT_PEOPLE)
    place = page.run(
        "const e = document.getElementById('profile'); e.scrollIntoView({block: 'center'});"
        "const t = e.data.find((trace) => trace.customdata?.includes(5));"
        "const at = t.customdata.indexOf(5) + 20;"
        "const b = e.querySelector('.nsewdrag').getBoundingClientRect();"
        "return [b.left + e._fullLayout.xaxis.d2p(t.x[at]), b.top + e._fullLayout.yaxis.d2p(t.y[at])]"
    )
    page.click_at("profile", place)

    page.wait(lambda: page.ticked() == [OUTLIER])
    assert page.find(f"tr[data-person='{OUTLIER}'] input").is_selected()


def test_a_group_that_is_hidden_is_hidden_everywhere(page: Opened, small: Path) -> None:
    page.open(small)
    page.click(".chip input[value=b]")

    assert [trace["name"] for trace in page.traces("profile") if trace.get("name")] == ["a (n = 6)"]
    assert page.people() == list(PEOPLE[::2])
    assert page.text("#people-count").startswith("6 of 12 people")
    assert "b " not in page.text("#summary")


def test_the_table_is_sorted_up_then_down_then_not(page: Opened, small: Path) -> None:
    page.open(small)
    button = "#people [data-sort='column age']"
    page.click(button)
    assert page.people() == list(PEOPLE), "who has no age comes last"
    assert page.find(f"th:has({button[len('#people ') :]})").get_attribute("aria-sort") == "ascending"
    page.click(button)
    assert page.people() == [*PEOPLE[-2::-1], PEOPLE[-1]], "also the other way round"
    page.click(button)
    assert page.people() == list(PEOPLE)
    page.click("#people [data-sort=flag]")
    page.click("#people [data-sort=flag]")
    assert page.people()[0] == OUTLIER


def test_flags_are_in_the_list_and_the_table(page: Opened, small: Path) -> None:
    page.open(small)

    assert page.texts(".tract .words") == [
        ", missing in 0 of 12 people",
        ", outlier in 1 of 12 people",
        ", missing in 1 of 12 people",
        ", outlier in 0 of 12 people",
        ", missing in 0 of 12 people",
        ", outlier in 0 of 12 people",
    ]
    assert page.texts(".tract .flag:not([hidden]) .sign") == ["▲ 1", "∅ 1"]
    assert page.text(f"tr[data-person='{OUTLIER}'] .flagged").startswith("▲ outlier, z = ")
    assert (
        page.find(f"tr[data-person='{LACKING}'] .flagged[title]").get_attribute("title")
        == f"missing: {RIGHT}"
    )


def test_bundles_are_coloured_by_a_group_and_by_a_difference(page: Opened, small: Path) -> None:
    page.open(small)
    page.choose("colour", "metric")
    page.choose("group", "b")
    assert page.trace("bundles", LEFT)["line"]["color"] == pytest.approx(page.trace("profile", "b")["y"])

    page.choose("colour", "difference of groups")
    means = [page.trace("profile", name)["y"] for name in ("b", "a")]
    difference = [b - a for b, a in zip(*means, strict=True)]
    line = page.trace("bundles", LEFT)["line"]
    assert line["color"] == pytest.approx(difference, abs=1e-9)
    assert line["cmin"] == -line["cmax"], "no difference is grey"
    assert page.text("#scale-title") == "FA, b minus a (unitless)"


def test_streamlines_are_shown_when_asked(page: Opened, small: Path) -> None:
    page.open(small)
    assert len(page.traces("bundles")) == len(SHAPED)
    page.click("#streamlines")

    assert len(page.traces("bundles")) == 2 * len(SHAPED)
    assert "60 of 80 streamlines shown" in page.text("#bundles-note")


def test_the_bundles_turn_from_the_keyboard(page: Opened, small: Path) -> None:
    page.open(small)
    page.find("#looks [value=left]").send_keys(Keys.ENTER)
    page.settle()
    eye = "return document.getElementById('bundles')._fullLayout.scene._scene.getCamera().eye"

    assert page.run(eye)["x"] < -1, "from the left, which is where x is negative"
    page.find("#looks [value=turn-left]").send_keys(Keys.ENTER)
    page.settle()
    assert page.run(eye)["y"] < -0.1
    assert "eye=" in page.driver.current_url
