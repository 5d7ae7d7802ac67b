"""The page keeps its choices in a link, gives away what it shows, and works for all people and screens."""

from __future__ import annotations

import csv
import itertools
import re
import shutil
from pathlib import Path

import pytest
from matplotlib.image import imread
from selenium.webdriver.common.keys import Keys

from tests.examples.opened import Opened
from tests.examples.small_study import OUTLIER, PEOPLE, TRACTS, people_table, profile_table

LEFT, RIGHT, FORCEPS = TRACTS
CHOSEN = (
    "#tract=Right+Arcuate&metric=md&from=3&to=12&by=age&parts=2&hidden=2&band=deviation&lines=1"
    "&people=002%2C005&view=overview&colour=difference&group=2&minus=1&streamlines=1&eye=1%2C2%2C0.5&sort=column+age&down=1"
)
PHONE = 390
# Of text, and of parts of figures: Web Content Accessibility Guidelines 2.2, 1.4.3 and 1.4.11.
OF_TEXT, OF_PARTS = 4.5, 3.0
FINGER = 24  # pixels: 2.5.8 of the same


def test_a_link_keeps_all_that_is_chosen(page: Opened, small: Path) -> None:
    page.open_anew(small, CHOSEN)

    assert page.run("return location.hash") == CHOSEN, "each part fits, or it would be gone"
    assert page.text("#profile-title") == RIGHT
    assert page.text("#profile .ytitle") == "MD (10⁻³ mm²/s)"
    assert page.ticked() == ["005", "002"], "from the oldest down"
    assert page.people() == [*PEOPLE[5::-1], PEOPLE[11]]
    assert page.find("#overview").is_displayed()
    assert page.find("#lines").is_selected()
    page.follow("#")
    assert page.text("#profile-title") == LEFT, "without a link all is as in the beginning"


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("#people=nobody", "people nobody"),
        ("#tract=Left+IFOF&from=5", "tract Left IFOF"),
        ("#from=99", "from 99"),
        ("#people=%25E0%25A4%25A", "people %E0%A4%A"),
        ("#colour=red&what=ever", "colour red; what ever"),
    ],
)
def test_a_link_of_other_data_is_said_and_harms_nothing(
    page: Opened, small: Path, link: str, said: str
) -> None:
    page.open(small, link)

    page.wait(lambda: said in page.texts("#status")[0])
    assert page.text("#profile-title") == LEFT
    assert not page.find("#trouble").is_displayed()


def test_a_button_copies_the_link(page: Opened, small: Path) -> None:
    page.open(small, "#from=3")
    permission = {"origin": "file:///", "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.driver.execute_cdp_cmd("Browser.grantPermissions", permission)
    page.click("#copy")
    page.wait(lambda: page.texts("#status")[0].startswith(("The link is copied", "Copy the link")))

    copied = page.run("return document.getElementById('link').value || navigator.clipboard.readText()")
    assert copied == page.driver.current_url
    assert copied.endswith("#from=3")


def test_the_profile_is_given_away_as_a_table(page: Opened, small: Path) -> None:
    page.open(small, "#from=10&to=14&band=error")
    with page.download("[aria-label='Profile as CSV']", ".csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))

    fa = (
        profile_table()
        .query("tractID == @LEFT")
        .pivot_table(index="subjectID", columns="nodeID", values="fa")
    )
    assert [(row["group"], int(row["nodeID"])) for row in rows] == list(
        itertools.product("ab", range(10, 15))
    )
    for row in rows:
        values = fa.loc[list(PEOPLE["ab".index(row["group"]) :: 2]), int(row["nodeID"])]
        assert int(row["n"]) == 6
        assert float(row["mean"]) == pytest.approx(values.mean(), rel=1e-5)
        assert float(row["high"]) == pytest.approx(values.mean() + values.sem(), rel=1e-5)
        assert (row["tractID"], row["metric"], row["band"], row["grouped_by"]) == (
            LEFT,
            "fa",
            "error",
            "class",
        )


def test_people_are_given_away_as_they_are_shown(page: Opened, small: Path) -> None:
    page.open(
        small, f"#tract={FORCEPS}&hidden=b&sort=column+age&down=1".replace("<", "%3C").replace(" ", "+")
    )
    path = page.download("[aria-label='People as CSV']", ".csv")
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))

    assert path.name == "people-Forceps-i-Major-fa.csv"
    assert [row["subjectID"] for row in rows] == list(PEOPLE[-2::-2])
    means = profile_table().query("tractID == @FORCEPS").groupby("subjectID")["fa"].mean()
    ages = people_table().set_index("subjectID")["age"]
    for row in rows:
        assert float(row["mean"]) == pytest.approx(means[row["subjectID"]], rel=1e-5)
        assert float(row["age"]) == ages[row["subjectID"]]
        assert (row["is_missing"], row["is_outlier"], row["tractID"]) == ("0", "0", FORCEPS)


def test_figures_are_given_away_as_pictures(page: Opened, small: Path) -> None:
    page.open(small, "#colour=metric")

    drawing = page.download("[aria-label='Profile as SVG']", ".svg").read_text(encoding="utf-8")
    picture = imread(page.download("[aria-label='This view as PNG']", ".png"))
    assert drawing.startswith("<svg")
    assert "Left Arcuate: FA (unitless) by class" in drawing, "it says what it shows"
    assert picture.shape[1] == 2000
    assert picture.std() > 0.02, "the picture is blank"


def test_all_can_be_reached_and_done_by_keys(page: Opened, small: Path) -> None:
    page.open(small)
    page.begin_at_the_top()
    seen = []
    while "people-panel" not in seen[-1:]:
        page.press(Keys.TAB)
        focus, panel, outline = page.run(
            "const e = document.activeElement; const style = (x) => getComputedStyle(x).outlineStyle;"
            "const around = e.closest('.tract, .switch') ?? e;"
            "return [e.id || e.name || e.value, e.closest('section')?.id, [style(e), style(around)]]"
        )
        assert "solid" in outline, f"nobody sees that {focus} has the focus"
        seen += [focus, panel]
    assert {
        "copy",
        "help-button",
        "metric",
        "by",
        "tract",
        "view",
        "colour",
        "left",
        "band",
        "lines",
        "from",
    } <= {*seen}
    page.find("#tract-list input:checked").send_keys(Keys.ARROW_DOWN)
    page.settle()
    assert page.text("#profile-title") == RIGHT
    assert page.texts("#status") == [f"{RIGHT}, all nodes"], "it is said to those who do not see"
    page.find("#people tbody input").send_keys(Keys.SPACE, Keys.ARROW_DOWN, Keys.SPACE)
    page.settle()
    assert page.ticked() == list(PEOPLE[:2]), "the focus stayed in the table"
    page.find("#help-button").send_keys(Keys.ENTER)
    assert "Iglewicz and Hoaglin 1993" in page.text("#help")
    assert "0.6745 (x − median) / MAD is above 3.5" in page.text("#help")
    page.press(Keys.ESCAPE)
    assert not page.find("#help").is_displayed()


def test_everything_has_a_name_for_those_who_do_not_see(page: Opened, small: Path) -> None:
    page.open(small)

    nameless = page.run(
        "const nameOf = (e) => [e.ariaLabel, e.labels?.[0]?.textContent, e.getAttribute('aria-labelledby'),"
        " e.matches('select') ? '' : e.textContent].find((words) => words?.trim()) ?? '';"
        "return [...document.querySelectorAll('button, select, input, [role=img], section')]"
        ".filter((e) => !/\\p{L}/u.test(nameOf(e))).map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert page.run(
        "const named = [...document.querySelectorAll('[id]')].map((e) => e.id);"
        "return named.length === new Set(named).size"
    )
    assert page.find("#profile").get_attribute("aria-label").startswith("FA (unitless) along Left Arcuate")


def test_an_outlier_is_shown_with_its_score(page: Opened, small: Path) -> None:
    page.open(small)

    shown = page.texts(f"tr[data-person='{OUTLIER}'] .flagged")[0]
    means = profile_table().query("tractID == @LEFT").groupby("subjectID")["fa"].mean()
    away = means - means.median()
    assert shown == f"▲ outlier, z = {0.6745 * away[OUTLIER] / away.abs().median():.1f}"


def test_figures_fit_their_place_when_the_window_changes(page: Opened, small: Path) -> None:
    page.open(small)
    page.click("#view label:last-child")
    page.click("#view label:nth-of-type(1)")
    page.become(1100)

    page.wait(lambda: page.fits("profile") and page.fits("bundles"))
    page.click("#view label:last-child")
    assert page.fits("overview"), "also what was not seen when it changed"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_lines_stand_out(page: Opened, small: Path, scheme: str) -> None:
    page.open(small)
    page.emulate(prefers_color_scheme=scheme)
    page.settle()

    def colour(name: str) -> str:
        return page.run(
            "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim()",
            f"--{name}",
        )

    surface = colour("surface")
    assert page.run("return document.getElementById('profile')._fullLayout.paper_bgcolor") == surface
    for words, ground in (
        ("ink", "surface"),
        ("quiet", "ground"),
        ("warn", "warn-ground"),
        ("ink", "chosen"),
    ):
        assert contrast(colour(words), colour(ground)) >= OF_TEXT, (words, ground)
    groups = page.run("return [0, 1, 2, 3].map((place) => tractPage.colours.ofGroup(place))")
    for group in groups[:3]:
        assert contrast(group["colour"], surface) >= OF_PARTS, group
    looks = [(group["dash"], group["marker"]) for group in groups]
    assert len({dash for dash, _ in looks}) == len({marker for _, marker in looks}) == 4, (
        "also without colours"
    )


def contrast(one: str, other: str) -> float:
    """Return the ratio of two colours' luminance, as WCAG 2.2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(part, 16) / 255 for part in re.findall("[0-9a-fA-F]{2}", colour)]
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_nothing_moves_for_those_who_do_not_want_it(page: Opened, small: Path) -> None:
    moves = (
        "return [...document.querySelectorAll('*')].filter((e) => { const s = getComputedStyle(e);"
        "return s.transitionDuration !== '0s' || s.animationName !== 'none' }).map((e) => e.id)"
    )
    page.open(small)
    assert page.run(moves) == ["status"], "what fades is one line"
    page.emulate(prefers_reduced_motion="reduce")

    assert page.run(moves) == []


@pytest.mark.parametrize("study", ["small", "sarica"])
def test_on_a_phone_nothing_is_wider_than_the_screen(
    page: Opened, small: Path, published: dict[str, Path], study: str
) -> None:
    page.become_phone()
    page.open(published.get(study, small), "#colour=difference&lines=1&by=age")
    page.wait(lambda: page.fits("profile"))

    assert page.run("return [innerWidth, document.documentElement.scrollWidth]") == [PHONE, PHONE]
    beyond = page.run(
        "const parts = 'header *, .panel, .panel > *, .head > *, .fields > *, .bar > *';"
        "return [...document.querySelectorAll(parts)].filter((e) => e.checkVisibility()"
        " && !e.classList.contains('unseen') && e.getBoundingClientRect().right > innerWidth + 0.5)"
        ".map((e) => e.outerHTML.slice(0, 90))"
    )
    assert beyond == []
    tops = page.run(
        "return ['tracts', 'profile', 'anatomy', 'people']"
        ".map((name) => document.getElementById(`${name}-panel`).offsetTop)"
    )
    assert tops == sorted(tops), "one under another"
    small_ones = page.run(
        "return [...document.querySelectorAll('button, select, .chip, .tract')]"
        ".filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < arguments[0])"
        ".map((e) => e.outerHTML)",
        FINGER,
    )
    assert small_ones == []
    assert page.run("return document.getElementById('profile')._fullLayout.dragmode") is False, (
        "a finger scrolls"
    )


def test_a_folder_that_is_not_whole_is_said(page: Opened, small: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    shutil.copytree(small, part)
    (part / "data" / "metric_1.js").unlink()
    page.open_anew(part, "#metric=md")

    assert "data/metric_1.js could not be loaded. Copy the whole folder" in page.text("#trouble")
