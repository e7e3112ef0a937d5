"""Reports in a real, headless Chromium that has no network."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Watched:
    """What a page said and asked for."""

    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """The Chromium of the system, else the one that Playwright installed."""
    from playwright.sync_api import sync_playwright

    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, request):  # type: ignore[no-untyped-def]
    """Opens a file with the network cut; what it said and asked for is checked at the end."""
    contexts, watched = [], Watched()

    def opened(path: Path, width: int = 1280, scheme: str = "light"):  # type: ignore[no-untyped-def]
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: watched.console.append(message.text))
        page.on("pageerror", lambda error: watched.console.append(str(error)))
        page.on("request", lambda asked: watched.requests.append(asked.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert watched.console == []
    assert [url for url in watched.requests if not url.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of a grid with seeds and diverged cells, of samples, and of both compared."""
    from made_studies import grid_study, placed, study_of

    from wdstudy.analysis.comparison_report import write_reports

    mpl.use("Agg")
    grid = grid_study(
        "grid", seeds=2, points=8, diverges=lambda lr, wd: lr == 1.0 and wd == 0.1, model="net"
    )
    rows = []
    for i in range(40):
        lr, weight_decay = 10 ** (-3 + 3 * i / 40), 10 ** (-4 + ((17 * i) % 40) / 10)
        end = 0.1 + (math.log10(lr * weight_decay) + 3) ** 2
        rows.append(placed(lr, weight_decay, end, step=[1, 2], val_loss=[2.0, end]))
    samples = study_of(rows, "samples", sampler="tpe")
    folder = tmp_path_factory.mktemp("reports")
    paths = write_reports([grid, samples], folder)
    return dict(zip(("grid", "samples", "comparison"), paths, strict=True))
