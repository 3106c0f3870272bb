from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from reports.figures import plots as figures
from reports.figures.style import DPI, FULL_WIDTH, PHOTO_DPI, WIDTH, styles
from reports.load import load_report
from reports.report import Report


def read(root: Path) -> Report:
    return load_report(root / "results", root / "params.yaml", root / "reports/generated/runs.csv")


def test_figures_are_png_and_pdf_at_column_width_without_dates(fake_place: Callable[..., Path], tmp_path: Path) -> None:
    written = figures.save_all(read(fake_place(tmp_path, images=3)), tmp_path / "out")
    assert [path.stem for path in written] == [*figures.CAPTIONS, "readme"]
    for path in written:
        photographs = path.stem in (*figures.SHEETS, "readme")
        assert path.suffix == (".jpg" if photographs else ".png")
        picture, pdf = Image.open(path.with_suffix(".png")), path.with_suffix(".pdf").read_bytes()
        dots = PHOTO_DPI * FULL_WIDTH if photographs else DPI * WIDTH
        assert picture.width == pytest.approx(dots, abs=1)
        assert np.asarray(picture.convert("L")).std() > 5
        assert picture.info.keys() <= {"dpi"}
        assert pdf.startswith(b"%PDF")
        assert not any(word in pdf for word in (b"CreationDate", b"Producer"))


def test_a_variant_keeps_its_colour_and_marker_whatever_else_has_results(
    fake_results: Path, fake_place: Callable[..., Path], tmp_path: Path
) -> None:
    many = styles(read(fake_results))
    few = styles(read(fake_place(tmp_path, variants={"no_dense_prompt": 0.5}, controls={}, images=3)))
    assert few["no_dense_prompt", False] == many["no_dense_prompt", False]
    assert len({style.color for style in many.values()}) == len({style.marker for style in many.values()}) == 8


def test_controls_alone_have_no_training_curves_and_no_sheet(fake_place: Callable[..., Path], tmp_path: Path) -> None:
    root = fake_place(tmp_path, variants={}, images=3)
    drawn = [path.stem for path in figures.save_all(read(root), tmp_path / "out")]
    assert drawn == ["metrics", "precision", "distribution"]


def test_a_category_s_cell_and_a_size_s_point_are_the_mean_over_its_samples_and_seeds(
    fake_place: Callable[..., Path], tmp_path: Path
) -> None:
    (group,) = read(fake_place(tmp_path, images=8, seeds=(0, 1))).groups
    look = styles(read(tmp_path))
    method = group.trained[1]
    heat = figures.category_map(group, look)
    assert heat is not None
    shown = [text.get_text() for text in heat.axes[0].texts]
    assert shown == [f"{100 * one.metrics['miou']:.0f}" for one in group.trained]  # one category: all samples
    sizes = figures.miou_by_size(group, look)
    assert sizes is not None
    line = next(line for line in sizes.axes[0].lines if line.get_label() == method.name)
    assert len(line.get_ydata()) == figures.BINS
    assert np.mean(np.asarray(line.get_ydata())) == pytest.approx(
        100 * method.metrics["miou"], abs=0.01
    )  # 24 in 6 bins
    plt.close("all")


def test_differences_are_drawn_with_their_intervals(fake_results: Path) -> None:
    report = read(fake_results)
    (group,) = report.groups
    figure = figures.difference_plot(group, styles(report))
    assert figure is not None
    zero, *lines = figure.axes[0].lines
    assert set(zero.get_xdata()) == {0}
    for title, bars in zip(group.differences, lines[::2], strict=True):
        _, low, high = group.differences[title]["miou"]
        assert list(bars.get_xdata()) == pytest.approx([100 * low, 100 * high])
    plt.close("all")
