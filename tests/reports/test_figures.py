from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reports import figures
from reports.load import Report, load_report


def read(root: Path) -> Report:
    return load_report(root / "results", root / "reports/generated/runs.csv", root / "params.yaml")


def test_figures_are_png_and_pdf_at_column_width(fake_results: Path, tmp_path: Path) -> None:
    written = figures.save_all(read(fake_results), tmp_path)
    assert [path.stem for path in written] == ["metrics", "precision", "training", "examples"]
    for path in written:
        picture = Image.open(path)
        photographs = path.stem == "examples"
        dots = figures.PHOTO_DPI * figures.FULL_WIDTH if photographs else 200 * figures.WIDTH
        assert picture.width == pytest.approx(dots, abs=1)
        assert np.asarray(picture.convert("L")).std() > 5
        assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_files_hold_no_date_or_program_name(fake_results: Path, tmp_path: Path) -> None:
    for path in figures.save_all(read(fake_results), tmp_path):
        assert Image.open(path).info.keys() <= {"dpi"}
        assert not any(word in path.with_suffix(".pdf").read_bytes() for word in (b"CreationDate", b"Producer"))


def test_a_variant_keeps_its_colour_and_marker_whatever_else_has_results(
    fake_results: Path, fake_place: Callable[..., Path], tmp_path: Path
) -> None:
    many = figures.styles(read(fake_results))
    few = figures.styles(read(fake_place(tmp_path, variants={"no_dense_prompt": 0.5}, controls={}, images=3)))
    assert few["no_dense_prompt", False] == many["no_dense_prompt", False]
    assert len({style.color for style in many.values()}) == len({style.marker for style in many.values()}) == 8


def test_controls_alone_have_no_training_curves_and_no_sheet(fake_place: Callable[..., Path], tmp_path: Path) -> None:
    root = fake_place(tmp_path, variants={}, images=3)
    assert [path.stem for path in figures.save_all(read(root), tmp_path / "out")] == ["metrics", "precision"]
