"""A real browser for the tests: Chromium without a window, from Debian's packages, driven by Selenium."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.rig.apt import find_program, install_missing

PACKAGES = {"chromium": "chromium", "chromedriver": "chromium-driver"}
SWITCHES = (
    "--headless",
    "--no-sandbox",  # which root may not have
    "--disable-gpu",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    # What it would ask of the network by itself.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def start_browser(folder: Path, *, width: int = 1440, height: int = 1000) -> Chrome:
    """Start a browser that keeps what it has in a folder, with logs of its console and its requests.

    Raises
    ------
    EngineUnavailableError
        There is no browser, and none may or can be installed.
    """
    install_missing(PACKAGES)
    options = ChromeOptions()
    options.binary_location = find_program("chromium") or "chromium"
    for switch in (*SWITCHES, f"--user-data-dir={folder / 'user'}", f"--window-size={width},{height}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(executable_path=find_program("chromedriver") or "chromedriver")
    driver = Chrome(options=options, service=service)
    downloads = {"behavior": "allow", "downloadPath": str(folder / "downloads"), "eventsEnabled": False}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", downloads)
    return driver
