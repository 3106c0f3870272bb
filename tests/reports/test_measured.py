"""docs/speed.md and its figure, from small tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.output.escaping import csv_table, visible
from experiments.commands import bench
from reports import measured
from tests.hostile import HOSTILE, MARKDOWN

WHERE = {"machine": "two cores, no GPU", "versions": "torch 2", "commit": "abc", "date": "2026-12-01", "busy": ""}


def write(folder: Path, pairs: list[dict[str, Any]], growths: list[dict[str, Any]]) -> None:
    for file, rows in ((bench.PAIRS, pairs), (bench.GROWTHS, growths)):
        lines = [{**dict.fromkeys(bench.COLUMNS[file], ""), **WHERE, **row} for row in rows]
        (folder / file).write_text(csv_table(pd.DataFrame(lines, columns=list(bench.COLUMNS[file]))), encoding="utf-8")


def pair(ratio: float, **more: Any) -> dict[str, Any]:
    return {
        "module": "m",
        "path": "work",
        "case": "small",
        "reference": 2.0,
        "ours": 2.0 / ratio,
        "ratio": ratio,
        **more,
    }


def build(place: Path) -> str:
    measured.build(place, place / "docs" / "speed.md")
    return (place / "docs" / "speed.md").read_text(encoding="utf-8")


def test_the_tables_are_those_that_bench_writes() -> None:
    assert (tuple(measured.PAIRS), tuple(measured.GROWTHS)) == (
        bench.COLUMNS[bench.PAIRS],
        bench.COLUMNS[bench.GROWTHS],
    )


def test_the_page_says_which_goals_are_reached_and_the_same_tables_give_the_same_bytes(tmp_path: Path) -> None:
    pairs = [pair(4.0, goal=3.0, share=0.5, limit="the disk"), pair(2.0, goal=3.0, note="why"), pair(1.5, peak_mb=2000)]
    growths = [
        {"module": "m", "path": "work", "over": "images", "size": size, "seconds": 1e-3 * size**2} for size in (1, 2, 8)
    ]
    write(tmp_path, pairs, growths)
    page = build(tmp_path)
    assert "| work | small | 2 s | 500 ms | 4.00 | 3.00 | yes | 50% | the disk | – | – |" in page
    assert "| work | small | 2 s | 1 s | 2.00 | 3.00 | no | – | – | – | why |" in page
    assert "| work | small | 2 s | 1.33 s | 1.50 | – | – | – | – | 2,000 MiB | – |" in page
    assert "| work | images | 1 to 8 | 1 ms to 64 ms | 2.00 | – | – | – |" in page
    assert "A GPU: there was none" in page
    files = [tmp_path / f"speed{suffix}" for suffix in (".png", ".pdf")]
    before = [file.read_bytes() for file in files]
    assert build(tmp_path) == page
    assert [file.read_bytes() for file in files] == before


def test_a_text_stays_in_its_cell_whatever_it_is(tmp_path: Path) -> None:
    texts = [text for text in HOSTILE if text.strip() and "\udcff" not in text]
    write(tmp_path, [pair(2.0, path=text, case=text, note=text, limit=text) for text in texts], [])
    cells = set()
    for token in MARKDOWN.parse(build(tmp_path)):
        assert token.type != "html_block"
        assert not {"html_inline", "s_open", "em_open"} & {child.type for child in token.children or ()}
        cells.add("".join(child.content for child in token.children or ()))
    for text in texts:
        assert {visible(text).strip(), f"'{visible(text)}".strip()} & cells, text


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_slope_of_a_power_law_is_its_power(power: float) -> None:
    sizes = [64, 128, 256, 512]
    assert measured.slope(sizes, [3e-4 * size**power for size in sizes]) == pytest.approx(power, abs=1e-9)


def test_what_has_no_slope_gets_none() -> None:
    for costs in ([1.0, 2.0], [1.0, 0.0, 3.0], [1.0, float("nan"), 3.0]):
        assert measured.slope(range(1, len(costs) + 1), costs) is None


def test_another_table_is_refused_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [pair(2.0)], [])
    whole = (tmp_path / bench.PAIRS).read_text()
    for text, said in (
        (whole.replace("ratio", "ration"), "not what was measured"),
        (whole.replace(",2.0,1.0,2.0,", ",2.0,fast,2.0,"), "could not convert string to float: 'fast'"),
        (whole.replace(",busy", ""), "has columns"),
        (whole.splitlines()[0] + "\n", "holds no measurement"),
    ):
        assert text != whole
        (tmp_path / bench.PAIRS).write_text(text)
        with pytest.raises(SystemExit):
            measured.main(tmp_path, tmp_path / "speed.md")
        assert said in capsys.readouterr().err.replace("\n", " "), text
    assert {file.name for file in tmp_path.iterdir()} == {bench.PAIRS, bench.GROWTHS}
