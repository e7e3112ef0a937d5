"""What a reader of a report can do with it, in a real, headless Chromium without a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import pytest
from made_studies import designed_study, grid_study, placed, scaled_study, study_of

from wdstudy.analysis.report.comparison import write_reports
from wdstudy.analysis.report.page import write_report

pytestmark = pytest.mark.slow

Reports = dict[str, Path]


@dataclass
class Watched:
    """What a page said and asked for."""

    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file with the network cut; what it said and asked for is checked at the end."""
    contexts, watched = [], Watched()

    def opened(path: Path, width: int = 1280, scheme: str = "light") -> Any:
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
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Pages of a grid with seeds and diverged cells, of samples, and of both compared."""
    grid = grid_study(
        "grid", seeds=2, points=8, diverges=lambda lr, wd: lr == 1.0 and wd == 0.1, model="net"
    )
    rows = []
    for i in range(40):
        lr, weight_decay = 10 ** (-3 + 3 * i / 40), 10 ** (-4 + ((17 * i) % 40) / 10)
        end = 0.1 + (math.log10(lr * weight_decay) + 3) ** 2
        rows.append(placed(lr, weight_decay, end, step=[1, 2], val_loss=[2.0, end]))
    samples = study_of(rows, "samples", sampler="tpe")
    level = grid_study("level", lrs=LEVEL_LRS, seeds=2, loss=level_loss)
    folder = tmp_path_factory.mktemp("reports")
    paths = write_reports([grid, samples], folder)
    along = scaled_study("along", sizes=(8, 16, 32), points=6)
    paths += [write_report(study, folder) for study in (level, _with_far_trials(), along)]
    names = ("grid", "samples", "comparison", "level", "designed", "along")
    return dict(zip(names, paths, strict=True))


def _with_far_trials() -> optuna.Study:
    """A designed study of which two trials lie far from the others."""
    study = designed_study()
    for lr in (1e-6, 900.0):
        study.add_trial(placed(lr, 0.0, 2.0, stage="find", reason="all diverged", batch=1))
    for lr in (0.05, 0.06):  # or two would be more than a few
        study.add_trial(placed(lr, 0.005, 0.5, stage="find", reason="closer", batch=2))
    return study


LEVEL_LRS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]


def level_loss(lr: float, weight_decay: float, seed: int) -> float:
    """Noise about one level, but for high weight_decay, which harms, and at lr 1 and above none."""
    wobble = 0.02 * math.sin(37 * math.log(lr) + 11 * math.log(weight_decay + 1e-9) + 5 * seed)
    harm = 0.7 * (weight_decay == 0.1) + 0.4 * (lr >= 1 and weight_decay == 0)
    return 0.5 * math.exp(wobble + harm)


def fills(page: Any) -> list[str]:
    script = "nodes => nodes.map(node => node.getAttribute('fill'))"
    shades: list[str] = page.locator("[data-part=map] [data-cell]").evaluate_all(script)
    return shades


def cell(page: Any, lr: str, weight_decay: str) -> Any:
    return page.locator(f"[data-cell][aria-label^='lr {lr}, weight_decay {weight_decay}:']")


def test_the_slider_moves_the_heatmap(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["grid"])
    slider = page.get_by_label("Record point")
    at_end, said = fills(page), page.locator("output").inner_text()
    assert said == "epoch 8"
    slider.fill("0")
    assert page.locator("output").inner_text() == "epoch 1"
    assert fills(page) != at_end
    slider.fill("7")
    assert fills(page) == at_end


def test_a_diverged_cell_is_hatched_from_where_it_is_lost(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["grid"])
    lost = cell(page, "1", "0.1")
    assert lost.get_attribute("fill") == "url(#hatch)"
    assert "diverged" in lost.get_attribute("aria-label")
    page.get_by_label("Record point").fill("0")
    assert cell(page, "1", "0.1").get_attribute("fill").startswith("#")


def test_a_click_draws_the_cells_curves(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["grid"])
    title = page.locator("[data-part=cell]")
    assert title.inner_text() == "lr 0.1, weight_decay 0.01"  # the best cell, at first
    cell(page, "0.01", "0.1").click()
    assert title.inner_text() == "lr 0.01, weight_decay 0.1"
    drawn = page.locator("[data-part=curves] path[data-series]").evaluate_all(
        "nodes => nodes.map(node => node.dataset.series)"
    )
    assert set(drawn) == {"val_loss", "primary_loss", "decay_loss", "total_loss", "best"}
    entries = page.locator("[data-part=legend] li").all_inner_texts()
    assert [entry.strip() for entry in entries] == [
        "validation loss", "primary loss", "decay loss", "total loss", "the same of the best cell",
    ]  # fmt: skip
    assert "trial 3, 15" in page.locator("[data-part=facts]").inner_text()


def test_another_series_changes_heatmap_and_curves(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["grid"])
    before = fills(page)
    page.get_by_label("Series").select_option("decay loss")
    assert fills(page) != before
    page.get_by_label("Series").select_option("weight norm (L2)")
    drawn = page.locator("[data-part=curves] path[data-series=weight_norm]")
    assert drawn.count() == 1


def test_hovering_shows_the_cells_numbers(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["grid"])
    cell(page, "0.1", "0.01").hover()
    tip = page.locator("[data-part=tip]").inner_text()
    assert "lr 0.1 · weight_decay 0.01" in tip
    assert "validation loss at epoch 8: 0.101" in tip
    assert "2 seeds" in tip
    page.mouse.move(1, 1)
    assert page.locator("[data-part=tip]").is_hidden()


def test_arrow_keys_walk_over_the_cells(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["grid"])
    cell(page, "0.1", "0.01").focus()
    title = page.locator("[data-part=cell]")
    for key, expected in (
        ("ArrowRight", "lr 1, weight_decay 0.01"),
        ("ArrowRight", "lr 1, weight_decay 0.01"),  # the edge
        ("ArrowUp", "lr 1, weight_decay 0.1"),
        ("ArrowLeft", "lr 0.1, weight_decay 0.1"),
        ("ArrowDown", "lr 0.1, weight_decay 0.01"),
    ):
        page.keyboard.press(key)
        assert title.inner_text() == expected
    assert page.locator("[data-cell][tabindex='0']").count() == 1


def test_cells_as_good_as_the_best_are_circled(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["level"])
    rings = page.locator("[data-part=map] ellipse[data-tied]")
    assert 3 < rings.count() <= 20
    place = rings.first.get_attribute("data-tied")
    page.locator(f"[data-cell='{place}']").click()
    facts = page.locator("[data-part=facts]").inner_text()
    assert facts.endswith("as good as the best, within the noise")
    assert "circles are as good within the noise" in page.locator("#explorer-section").inner_text()
    assert open_page(reports["grid"]).locator("ellipse[data-tied]").count() == 0


def test_the_page_opens_with_what_to_do_and_its_figure_beside_it(
    open_page: Any, reports: Reports
) -> None:
    page = open_page(reports["level"])
    first = page.locator(".advice li").first
    assert first.inner_text().startswith("Train with lr")
    figure = page.locator("#effects img")
    assert first.bounding_box()["y"] < 400
    assert figure.bounding_box()["y"] < 300
    assert figure.bounding_box()["x"] > first.bounding_box()["x"] + first.bounding_box()["width"]
    for link in page.locator(".advice a").all():
        target = link.get_attribute("href")
        assert page.locator(f"figure{target}").count() == 1


@pytest.mark.parametrize("width", [1280, 390])
def test_the_numbers_behind_a_sentence_need_no_pointer(
    open_page: Any, reports: Reports, width: int
) -> None:
    page = open_page(reports["level"], width)
    numbers = page.locator(".advice small")
    assert numbers.count() >= 2
    assert all(line.is_visible() for line in numbers.all())


def test_a_phone_gets_a_figure_of_its_own_that_it_can_show_in_full_size(
    open_page: Any, reports: Reports
) -> None:
    size = "img => [img.naturalWidth, img.clientWidth]"
    shown = {}
    for width in (1280, 390):
        figure = open_page(reports["level"], width).locator("#effects img")
        figure.scroll_into_view_if_needed()
        natural, drawn = figure.evaluate(size)
        shown[width] = drawn / (natural / 1.44)  # 144 dots an inch, of 100 pixels
    assert shown[390] > 0.85
    assert shown[1280] > 0.8


def test_a_phone_reads_how_a_design_got_there(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["designed"], 390)
    section = page.locator("#how")
    picture = section.locator("#design img")
    picture.scroll_into_view_if_needed()
    natural, drawn = picture.evaluate("img => [img.naturalWidth, img.clientWidth]")
    assert drawn / (natural / 1.44) > 0.8  # its letters have four fifths of their size or more
    assert picture.evaluate("img => img.naturalHeight / img.naturalWidth") > 2  # the tall one
    for table in section.get_by_role("region").all():
        box = table.bounding_box()
        assert box["x"] + box["width"] <= 390
    first = section.get_by_role("region").first
    for cell_text in first.locator("tbody tr").first.locator("td").all():
        box = cell_text.bounding_box()
        assert box["x"] + box["width"] <= 390 + 1  # the questions need no scrolling


def test_far_off_trials_leave_the_others_the_room(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["designed"])
    places = {
        lr: page.locator(f"[data-cell][aria-label^='lr {lr}, weight_decay 0:']").bounding_box()["x"]
        for lr in ("1e-6", "0.03", "3", "900")
    }
    whole = page.locator("[data-part=map] svg").bounding_box()["width"]
    assert places["1e-6"] < places["0.03"] < places["3"] < places["900"]
    assert places["3"] - places["0.03"] > 0.4 * whole
    told = page.locator("[data-part=map] svg > text").all_text_contents()
    assert {"1e-6", "900"} <= set(told)


def test_samples_are_points_that_can_be_chosen(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["samples"])
    assert page.locator("circle[data-cell]").count() == 40
    page.locator("circle[data-cell]").nth(5).dispatch_event("click")
    assert page.locator("[data-part=curves] path[data-series=val_loss]").count() == 1


def test_the_table_sorts_by_a_click(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["grid"])
    column = "#trials tbody td:nth-child(3)"
    head = page.locator("#trials th", has_text="lr").first
    head.locator("button").click()
    rising = [float(text) for text in page.locator(column).all_inner_texts()]
    assert rising == sorted(rising)
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").click()
    falling = [float(text) for text in page.locator(column).all_inner_texts()]
    assert falling == rising[::-1]
    value = page.locator("#trials th", has_text="value").first
    value.locator("button").click()
    value.locator("button").click()
    states = page.locator("#trials tbody td:nth-child(2)").all_inner_texts()
    assert states[-2:] == ["diverged", "diverged"]  # without a value, last in either order


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("name", ["grid", "samples", "comparison", "level", "designed"])
def test_nothing_is_wider_than_the_window(
    open_page: Any, reports: Reports, name: str, width: int
) -> None:
    page = open_page(reports[name], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if name != "comparison":
        box = page.locator("[data-part=map] svg").bounding_box()
        assert box["x"] + box["width"] <= width


def test_the_explorer_follows_the_width_of_the_window(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["grid"])
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_function("document.querySelector('[data-part=map] svg').clientWidth < 400")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["grid", "comparison", "level"])
def test_axe_finds_nothing_serious(
    open_page: Any, reports: Reports, name: str, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(reports[name], scheme=scheme)
    found = Axe().run(page).response
    assert found["passes"]
    assert [v["id"] for v in found["violations"] if v["impact"] in ("serious", "critical")] == []


def test_it_prints_without_controls_on_few_pages(
    open_page: Any, reports: Reports, tmp_path: Path
) -> None:
    page = open_page(reports["grid"])
    page.emulate_media(media="print")
    assert page.locator("#explorer-section").is_hidden()
    assert page.locator("nav").is_hidden()
    printed = page.pdf(format="A4", prefer_css_page_size=True)
    pages = printed.count(b"/Type /Page\n") or printed.count(b"/Type /Page ")
    assert 2 <= pages <= 12


def test_the_slider_goes_along_the_scale_and_keeps_series_point_and_cell(
    open_page: Any, reports: Reports
) -> None:
    page = open_page(reports["along"])
    along = page.get_by_label("batch_size", exact=False).and_(page.locator("input"))
    title = page.locator("[data-part=cell]")
    assert page.locator("[data-part=value]").inner_text() == "32"
    assert along.get_attribute("aria-valuetext") == "batch_size 32"
    largest, best = fills(page), title.inner_text()
    page.get_by_label("Series").select_option("decay loss")
    page.get_by_label("Record point").fill("2")
    cell(page, "1", "1e-4").click()
    along.fill("0")
    assert page.locator("[data-part=value]").inner_text() == "8"
    assert page.locator("[data-part=series]").evaluate("s => s.selectedOptions[0].text") == (
        "decay loss"
    )
    assert page.locator("[data-part=point]").inner_text() == "epoch 3"
    assert title.inner_text() == "lr 1, weight_decay 1e-4"
    assert "trial 36, 78" in page.locator("[data-part=facts]").inner_text()
    page.get_by_label("Series").select_option("validation loss")
    page.get_by_label("Record point").fill("5")
    assert fills(page) != largest
    along.fill("2")
    assert fills(page) == largest
    page.locator("[data-part=map] [data-cell][aria-pressed=true]").focus()
    assert best.startswith("lr ")


def test_from_best_to_best_along_the_scale(open_page: Any, reports: Reports) -> None:
    page = open_page(reports["along"])
    along = page.locator("[data-part=scale]")
    for k in (0, 1, 2):
        along.fill(str(k))
        assert "the best cell" in page.locator("[data-part=facts]").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_page_of_a_scale_is_no_wider_than_the_screen_and_opens_each_value(
    open_page: Any, reports: Reports, width: int
) -> None:
    page = open_page(reports["along"], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shut = page.locator("details:not([open]) summary").first
    shut.click()
    assert page.locator("details[open]").count() == 2
    assert page.get_by_text("Train with lr").first.is_visible()


def test_the_optimum_by_the_law_of_all_goes_along_the_scale(
    open_page: Any, reports: Reports
) -> None:
    """lr goes with the root of the batch, and weight_decay against it: right and down."""
    page = open_page(reports["along"])
    places = []
    for k in (0, 1, 2):
        page.locator("[data-part=scale]").fill(str(k))
        dot = page.locator("[data-part=optimum]")
        places.append([float(dot.get_attribute(name)) for name in ("cx", "cy")])
    assert places == sorted(places)
    assert [y for _, y in places] == sorted(y for _, y in places)
