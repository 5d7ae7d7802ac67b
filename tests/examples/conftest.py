"""A browser for the tests of the page, and pages to open in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.tractometry.page.__main__ import main
from tests.examples.opened import Opened
from tests.examples.small_study import write_study
from tests.rig.browser import start_browser
from tests.rig.errors import EngineUnavailableError


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A real browser for all tests; without one they are skipped, and fail under CI."""
    folder = tmp_path_factory.mktemp("browser")
    try:
        driver = start_browser(folder)
    except EngineUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield Opened(driver, folder / "downloads")
    driver.quit()


@pytest.fixture
def page(browser: Opened) -> Iterator[Opened]:
    """The browser, on a desk and with no wishes."""
    yield browser
    browser.become_desktop()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the small study."""
    folder = write_study(tmp_path_factory.mktemp("small") / "study")
    main([str(folder)])
    return folder / "page"


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of the published tables."""
    pages = {name: tmp_path_factory.mktemp("published") / name for name in ("sarica", "wh")}
    for name, folder in pages.items():
        main(["--study", name, "--out", str(folder)])
    return pages
