from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reports.page import from_markdown
from reports.writing import build
from tests.browser import browse, needs_chromium, screenshot


@pytest.fixture(scope="module")
def page_file(
    fake_place: Callable[..., Path], fake_runs: Callable[[Path, Path], None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page of three seeds, of which one variant lacks one."""
    root = fake_place(tmp_path_factory.mktemp("page"), images=4, seeds=(0, 1, 2))
    shutil.rmtree(root / "results/fake_scenes/tiny/local_only/2")
    fake_runs(root / "results", root / "reports/generated/runs.csv")
    build(root / "results", root / "reports/generated", root / "params.yaml")
    return root / "reports/generated/index.html"


COLUMN = """([table, column]) => [...document.querySelectorAll(`#${table} ~ .scroll`)[0].querySelectorAll('tbody tr')]
    .map(row => row.cells[column].textContent)"""
MAIN = "fake_scenes-tiny-main"


@needs_chromium
def test_the_page_loads_without_an_error_and_asks_for_nothing(page_file: Path) -> None:
    with browse() as (page, faults):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        assert faults == []
        assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
        shown = page.evaluate("[...document.images].map(image => image.complete && image.naturalWidth)")
        assert len(shown) == 11
        assert all(width > 300 for width in shown)


@needs_chromium
def test_a_click_on_a_column_sorts_by_it_and_leaves_what_is_missing_last(page_file: Path) -> None:
    with browse() as (page, faults):
        page.goto(page_file.as_uri())
        head = page.locator(f"#{MAIN} ~ .scroll").first.locator("th button")
        names = head.all_text_contents()
        for column, least in ((names.index("mIoU [95 %]"), 5), (names.index("training time"), 2), (0, 8)):
            head.nth(column).click()
            falling = page.evaluate(COLUMN, [MAIN, column])
            head.nth(column).click()
            rising = page.evaluate(COLUMN, [MAIN, column])
            if column:
                assert falling[-1] == rising[-1] == "–"
                falling, rising = falling[:-1], rising[:-1]
            assert len(set(falling)) >= least or column
            values = [value.split(" ")[0] for value in falling]
            key = (lambda value: value) if column == 0 else lambda value: float(value)
            assert values == sorted(values, key=key, reverse=True)
            assert [value.split(" ")[0] for value in rising] == sorted(values, key=key)
        assert faults == []


@needs_chromium
@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_is_readable_on_a_telephone_and_on_a_desk(page_file: Path, width: int) -> None:
    with browse(width) as (page, faults):
        page.goto(page_file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        size = "(tag) => parseFloat(getComputedStyle(document.querySelector(tag)).fontSize)"
        assert page.evaluate(size, "body > p:not(.note)") >= 16
        assert page.evaluate(size, "td") >= 13
        assert faults == []
        picture = screenshot(page, f"report-{width}.png")
    assert np.asarray(Image.open(picture).convert("L")).std() > 10


@needs_chromium
def test_a_wide_table_keeps_its_first_column_in_view(page_file: Path) -> None:
    with browse(400) as (page, _):
        page.goto(page_file.as_uri())
        table = page.locator(f"#{MAIN} ~ .scroll").first
        assert table.evaluate("box => { box.scrollLeft = 9999; return box.scrollLeft }") > 300
        place = "box => box.querySelector('tbody td').getBoundingClientRect().left - box.getBoundingClientRect().left"
        assert abs(table.evaluate(place)) < 2


@needs_chromium
def test_the_page_holds_protocol_and_the_configuration_of_each_run(page_file: Path) -> None:
    with browse() as (page, _):
        page.goto(page_file.as_uri())
        details = page.locator("details")
        assert details.count() == 5 * 3 - 1 + 3
        details.first.locator("summary").click()
        assert "lr: 0.001" in details.first.inner_text()
        assert page.locator("#protocol math").count() > 10
        drawn = "[...document.querySelectorAll('#protocol math')].map(one => one.getBoundingClientRect().height)"
        assert min(page.evaluate(drawn)) > 5


def test_markdown_keeps_formulas_and_tables_and_escapes_html() -> None:
    html = from_markdown("# Title\n\n$a_i$ and <script>alert(1)</script>\n\n| a |\n|---|\n| $x|y$ |\n\n$$\\frac12$$\n")
    assert "<h2>Title</h2>" in html
    assert html.count("<math") == 3 or html.count("<math") == 2
    assert "<script>" not in html
    assert "<table>" in html
