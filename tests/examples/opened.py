"""A page in a browser, as a person uses it: what is seen, clicked and typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

TIMEOUT_S = 20.0
POLL_S = 0.02
# Where a point in mm of the 3D view is on the screen.
_PROJECT = """
const [x, y, z] = arguments[0];
const scene = document.getElementById("bundles")._fullLayout.scene._scene;
const { projection, view, model } = scene.glplot.cameraParams;
const all = [0, 1, 2, 3];
const times = (m, v) => all.map((row) => all.reduce((sum, k) => sum + m[k * 4 + row] * v[k], 0));
const point = [x, y, z].map((value, axis) => value * scene.dataScale[axis]);
const [u, v, , w] = times(projection, times(view, times(model, [...point, 1])));
const box = document.querySelector("#bundles canvas").getBoundingClientRect();
return [box.left + (u / w + 1) / 2 * box.width, box.top + (1 - v / w) / 2 * box.height];
"""


class Opened:
    """A page that is open in a browser.

    Parameters
    ----------
    driver : Chrome
        The browser.
    downloads : Path
        Where it puts files.
    """

    def __init__(self, driver: Chrome, downloads: Path) -> None:
        self.driver = driver
        self.downloads = downloads

    def open(self, folder: Path, link: str = "#") -> None:
        """Open a page's folder from the disk, or follow a link in it where it is open already."""
        address = (folder / "index.html").resolve().as_uri()
        if self.driver.current_url.partition("#")[0] == address:
            self.follow(link)
        else:
            self.open_anew(folder, link)

    def open_anew(self, folder: Path, link: str = "") -> None:
        """Open a page's folder from the disk, whatever is open."""
        self.driver.get("about:blank")
        self.read_console()
        self.read_requests()
        self.driver.get(f"{(folder / 'index.html').resolve().as_uri()}{link}")
        self.settle()

    def follow(self, link: str) -> None:
        """Put a link's part behind # into the address, as a person would."""
        self.run(
            "if (location.hash === (arguments[0] === '#' ? '' : arguments[0])) return;"
            "location.hash = arguments[0]; document.documentElement.dataset.state = 'busy';"
            "addEventListener('hashchange', () => tractPage.redraw('nothing'), {once: true})",
            link,
        )
        self.settle()

    def settle(self) -> None:
        """Wait until all is drawn, or failed to be."""
        self.wait(lambda: self.run("return document.documentElement.dataset.state") != "busy")

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait for a condition."""
        WebDriverWait(self.driver, TIMEOUT_S, POLL_S).until(lambda _: condition())

    def run(self, code: str, *arguments: object) -> Any:
        """Run JavaScript in the page."""
        return self.driver.execute_script(code, *arguments)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all that a selector finds, also of what is scrolled away."""
        return self.run(
            "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent.trim())", selector
        )

    def click(self, selector: str) -> None:
        """Click on something, brought into view first."""
        element = self.find(selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()
        self.settle()

    def click_at(self, figure: str, place: tuple[float, float]) -> None:
        """Move to a place of the window where a figure has something, and click when it says what."""
        x, y = map(round, place)
        chain = ActionChains(self.driver, duration=0)
        chain.w3c_actions.pointer_action.move_to_location(x - 3, y)
        chain.w3c_actions.pointer_action.move_to_location(x, y)
        chain.perform()
        self.wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, f"#{figure} .hovertext"))
        # A press is seen when the next picture is drawn, so it must last until then.
        down, up = ActionChains(self.driver, duration=0), ActionChains(self.driver, duration=0)
        down.w3c_actions.pointer_action.pointer_down()
        down.perform()
        self.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        up.w3c_actions.pointer_action.pointer_up()
        up.perform()
        self.settle()

    def click_twice_at(self, place: tuple[float, float]) -> None:
        """Click twice, as one does to begin anew."""
        chain = ActionChains(self.driver, duration=0)
        chain.w3c_actions.pointer_action.move_to_location(*map(round, place))
        chain.w3c_actions.pointer_action.double_click()
        chain.perform()

    def wait_for_text(self, selector: str, text: str) -> None:
        """Wait until something says this."""
        self.wait(lambda: self.text(selector) == text)

    def choose(self, name: str, text: str) -> None:
        """Choose in a list that drops down."""
        Select(self.find(f"#{name}")).select_by_visible_text(text)
        self.settle()

    def choose_tract(self, tract: str) -> None:
        self.click(f"#tract-list input[value={json.dumps(tract)}]")

    def begin_at_the_top(self) -> None:
        """Have the next Tab lead to the first of all fields."""
        self.run(
            "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')"
        )

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()
        self.settle()

    def fill(self, name: str, value: object) -> None:
        """Write into a field, and leave it."""
        self.run(
            "const f = document.getElementById(arguments[0]); f.value = arguments[1];"
            "f.dispatchEvent(new Event('change', {bubbles: true}))",
            name,
            str(value),
        )
        self.settle()

    def traces(self, figure: str) -> list[dict[str, Any]]:
        """Return what a figure draws."""
        kept = (
            "x",
            "y",
            "z",
            "name",
            "meta",
            "line",
            "customdata",
            "showlegend",
            "mode",
            "fill",
            "text",
            "opacity",
        )
        code = (
            "return document.getElementById(arguments[0]).data.map((trace) => Object.fromEntries(arguments[1]"
            ".filter((key) => key in trace).map((key) => [key, trace[key]])))"
        )
        return self.run(code, figure, kept)

    def trace(self, figure: str, name: str) -> dict[str, Any]:
        """Return the one trace whose name begins so."""
        found = [trace for trace in self.traces(figure) if str(trace.get("name", "")).startswith(name)]
        assert len(found) == 1, [trace.get("name") for trace in self.traces(figure)]
        return found[0]

    def place_in_profile(self, node: float, share: float = 0.5) -> tuple[float, float]:
        """Return where a node of the profile is in the window, at a share of the height from the top."""
        code = (
            "const e = document.getElementById('profile'); e.scrollIntoView({block: 'center'});"
            "const b = e.querySelector('.nsewdrag').getBoundingClientRect();"
            "return [b.left + e._fullLayout.xaxis.d2p(arguments[0]), b.top + arguments[1] * b.height]"
        )
        x, y = self.run(code, node, share)
        return x, y

    def place_in_3d(self, point: list[float]) -> tuple[float, float]:
        """Return where a point in mm is in the window."""
        self.run("document.getElementById('bundles').scrollIntoView({block: 'center'})")
        x, y = self.run(_PROJECT, point)
        return x, y

    def draw_range(self, first: float, last: float) -> None:
        """Draw over the profile with the mouse, from one place among the nodes to another."""
        start, end = self.place_in_profile(first), self.place_in_profile(last)
        chain = ActionChains(self.driver, duration=20)
        pointer = chain.w3c_actions.pointer_action
        pointer.move_to_location(*map(round, start))
        pointer.pointer_down()
        pointer.move_to_location(*(round((a + b) / 2) for a, b in zip(start, end, strict=True)))
        pointer.move_to_location(*map(round, end))
        pointer.pointer_up()
        chain.perform()

    def people(self) -> list[str]:
        """Return who is in the table, from top to bottom."""
        return self.texts("#people tbody th")

    def ticked(self) -> list[str]:
        return self.run(
            "return [...document.querySelectorAll('#people tr.chosen')].map((e) => e.dataset.person)"
        )

    def download(self, selector: str, end: str) -> Path:
        """Click, and return the file that comes."""
        before = set(self.downloads.glob("*"))
        self.click(selector)
        found: list[Path] = []

        def is_there() -> bool:
            found[:] = [path for path in set(self.downloads.glob(f"*{end}")) - before if path.stat().st_size]
            return bool(found)

        self.wait(is_there)
        return found[0]

    def read_console(self) -> list[str]:
        """Return the errors that the console said since it was read last; graphics drivers warn there too."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def read_requests(self) -> list[str]:
        """Return what was asked for since it was read last."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [
            one["params"]["request"]["url"]
            for one in messages
            if one["method"] == "Network.requestWillBeSent"
        ]
        return [unquote(address) for address in asked if not address.startswith(("data:", "blob:", "about:"))]

    def emulate(self, **features: str) -> None:
        """Have the system wish something, such as ``prefers_color_scheme="dark"``."""
        wished = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wished})

    def become_phone(self) -> None:
        """Have a phone's screen, 390 pixels wide, and a finger for a mouse."""
        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def become_desktop(self) -> None:
        """Undo what was emulated."""
        self.emulate()
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})

    def become(self, width: int, height: int = 900) -> None:
        """Have a window of another size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def fits(self, figure: str) -> bool:
        """Return whether a figure is as wide as its place."""
        code = "const e = document.getElementById(arguments[0]); return [e._fullLayout.width, e.clientWidth]"
        drawn, place = self.run(code, figure)
        return drawn == place
