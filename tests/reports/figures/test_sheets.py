from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

from benchmark.results.store import ResultError
from reports.figures.sheets import activations_sheet, cases_sheet, examples_sheet
from reports.figures.style import set_theme
from reports.groups import Group
from reports.load import load_report


@pytest.fixture
def group(fake_place: Callable[..., Path], tmp_path: Path) -> Group:
    set_theme()
    root = fake_place(tmp_path, images=4)
    (found,) = load_report(root / "results", root / "params.yaml", root / "reports/generated/runs.csv").groups
    return found


def texts(figure: Figure | None) -> list[str]:
    assert figure is not None
    plt.close(figure)
    return [text.get_text() for text in figure.texts]


def test_cases_show_each_variant_with_its_iou_under_the_rule_that_chose_them(group: Group) -> None:
    shown = texts(cases_sheet(group))
    cases = pd.read_parquet(group.cases)
    titles = [text for text in shown if ": the fake disc" in text]
    assert len(titles) == cases["sample_id"].nunique()
    assert {title.split(":")[0] for title in titles} == {"best gain", "median", "random"} | {
        "worst loss" for rule in cases["rule"] if rule == "loss"
    }
    assert sum(text == "no_lora 1.00" for text in shown) == len(titles)  # these fakes predict the truth
    assert shown.count("truth") == len(titles)


def test_activations_are_those_of_the_full_model_and_only_what_it_has(group: Group) -> None:
    shown = texts(activations_sheet(group))
    count = shown.count("image")
    assert shown.count("local activation, max 1.00") == shown.count("global activation, max 1.00") == count > 0
    assert not any("dense prompt" in text for text in shown)
    assert sum(text == "rsrefseg 1.00" for text in shown) == count


def test_pictures_of_another_run_are_refused_and_missing_ones_are_not_drawn(group: Group) -> None:
    cases = pd.read_parquet(group.cases)
    cases.loc[cases["variant"] == "no_lora", "fingerprint"] = "other"
    cases.to_parquet(group.cases)
    for sheet in (cases_sheet, activations_sheet):
        with pytest.raises(ResultError, match=r"'no_lora' are of another run .*cases@fake_scenes-tiny"):
            sheet(group)
    gone = tuple(replace(one, results=()) if one.name == "no_lora" else one for one in group.methods)
    assert not any(text.startswith("no_lora") for text in texts(cases_sheet(replace(group, methods=gone))))
    group.cases.unlink()
    assert cases_sheet(group) is None
    assert activations_sheet(group) is None
    assert examples_sheet(group) is not None
    plt.close("all")
