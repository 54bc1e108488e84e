from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nst_batch.report.page import write_report
from tests.browser.chromium import ARGUMENTS, DESKTOP, PROGRAM, Watched, install
from tests.report.made import Made, make_run


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium with a fresh profile."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs the extra nst_batch[browser]")
    if reason := install():
        pytest.skip(f"no Chromium here: {reason}")
    with driver.sync_playwright() as started:
        program = started.chromium.launch(executable_path=shutil.which(PROGRAM), args=list(ARGUMENTS))
        yield program
        program.close()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """224 pictures in all states, and their page."""
    made = make_run(tmp_path_factory.mktemp("made"))
    write_report(made.paths)
    return made


@pytest.fixture
def window(browser: Any) -> Iterator[Callable[..., Watched]]:
    """Opens windows; none of them may ask others for anything, or complain."""
    opened: list[Watched] = []

    def one(**options: Any) -> Watched:
        context = browser.new_context(**{"viewport": DESKTOP, "color_scheme": "light", **options})
        opened.append(Watched(context.new_page()))
        return opened[-1]

    yield one
    for each in opened:
        each.page.context.close()
    assert [each.strangers + each.complaints for each in opened] == [[]] * len(opened)


@pytest.fixture
def page(window: Callable[..., Watched], made: Made) -> Any:
    """The page of the run, in a window of a desktop."""
    return window().open(made.paths.report)
