from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmark.results.store import ResultError
from reports.groups import ordered
from reports.load import load_report, load_selection
from reports.report import Report


def read(root: Path) -> Report:
    return load_report(root / "results", root / "params.yaml", root / "reports/generated/runs.csv")


@pytest.fixture
def copy(fake_results: Path, tmp_path: Path) -> Path:
    """A fake place that a test may spoil."""
    return Path(shutil.copytree(fake_results, tmp_path / "place"))


def test_variants_come_in_the_order_of_params_then_controls(fake_results: Path) -> None:
    (group,) = read(fake_results).groups
    names = [method.name for method in group.methods]
    assert names[:5] == ["rsrefseg", "no_lora", "global_only", "local_only", "no_dense_prompt"]
    assert names[5:] == ["whole_image", "clip_heat_map", "heat_map_point"]
    assert [method.control for method in group.methods] == [False] * 5 + [True] * 3


def test_unknown_names_follow_the_known_ones_by_alphabet() -> None:
    assert ordered(["z", "b", "a", "b", "known"], ["other", "known"]) == ["known", "a", "b", "z"]


def test_results_are_in_the_order_of_their_methods(fake_results: Path) -> None:
    report = read(fake_results)
    assert [one.result.run.variant for one in report.results] == [method.name for method in report.groups[0].methods]


def test_a_method_without_every_seed_is_missing_and_never_averaged(
    fake_place: Callable[..., Path], fake_runs: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    root = fake_place(tmp_path, variants={"rsrefseg": 0.9, "no_lora": 0.5}, seeds=(0, 1), images=3)
    shutil.rmtree(root / "results/fake_scenes/tiny/no_lora/1")
    fake_runs(root / "results", root / "reports/generated/runs.csv")
    (group,) = read(root).groups
    methods = {method.name: method for method in group.methods}
    assert methods["no_lora"].results == ()
    assert methods["no_lora"].missing_seeds == (1,)
    assert len(methods["rsrefseg"].results) == 2
    assert methods["rsrefseg"].metrics["miou"] == np.mean([one.metrics["miou"] for one in methods["rsrefseg"].results])
    assert len(methods["whole_image"].results) == 1  # a control learns nothing: one seed is enough
    assert methods["global_only"].results == ()


def test_what_run_names_is_told_from_what_it_does_not(copy: Path, fake_runs: Callable[[Path, Path], None]) -> None:
    params = (copy / "params.yaml").read_text()
    (copy / "params.yaml").write_text(params.replace("  - global_only\n", ""))
    shutil.rmtree(copy / "results/fake_scenes/tiny/no_lora")
    shutil.rmtree(copy / "results/fake_scenes/tiny/whole_image")
    fake_runs(copy / "results", copy / "reports/generated/runs.csv")
    report = read(copy)
    named = {one.result.run.variant: report.selection.names(one) for one in report.results}
    assert named.pop("global_only") is False
    assert all(named.values())
    assert report.absent == [
        ("fake_scenes", "tiny", "no_lora", "0"),
        ("fake_scenes", "tiny", "whole_image"),
    ]


def test_variants_and_baselines_are_expected_of_their_own_system_alone(
    fake_place: Callable[..., Path], tmp_path: Path
) -> None:
    models, few = ("lavt-mini", "mini", "rmsin-mini"), {"full": 0.5, "no_gate": 0.5}
    root = fake_place(tmp_path, models=models, variants=few, controls={}, images=3)
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["run"] |= {"models": ["mini", "lavt-mini"], "variants": ["rsrefseg", "full", "no_gate"]}
    params["models"] = {"mini": {"system": "rsrefseg"}, "lavt-mini": {"system": "lavt"}}
    params["variants"] = {"rsrefseg": {}, "full": {"system": ["lavt", "rmsin"]}, "no_gate": {"system": "lavt"}}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    report = read(root)
    names = {group.model: [method.name for method in group.methods] for group in report.groups}
    controls = ["whole_image", "clip_heat_map", "heat_map_point"]
    assert names == {
        "mini": ["rsrefseg", "full", "no_gate", *controls],  # what lies there is shown, whatever it is
        "lavt-mini": ["full", "no_gate"],
        "rmsin-mini": ["full", "no_gate"],
    }
    assert {group.model: group.main for group in report.groups}["lavt-mini"] == "full"
    absent = [("mini", "rsrefseg", "0"), *(("mini", name) for name in controls)]
    assert report.absent == [("fake_scenes", *key) for key in absent]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.iloc[1:], r"clip_heat_map.* is in the results but not in .*runs\.csv"),
        (
            lambda table: pd.concat([table, table.assign(seed=9)]),
            r"clip_heat_map', 9\) is in .*runs\.csv but not in the",
        ),
        (lambda table: table.assign(**{"test/miou": 0.5}), r"differ in miou"),
        (lambda table: table.assign(**{"test/oiou": None}), r"differ in oiou"),
        (lambda table: table.assign(fingerprint="x"), r"differ in fingerprint"),
        (lambda table: table.assign(collapsed="empty"), r"differ in collapsed"),
        (lambda table: table.drop(columns="collapsed"), r"differ in collapsed"),
    ],
)
def test_collected_runs_that_are_not_the_results_are_refused(
    copy: Path, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    path = copy / "reports/generated/runs.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(ResultError, match=message):
        read(copy)


def test_results_on_different_data_do_not_stand_in_one_table(copy: Path) -> None:
    path = copy / "results/fake_scenes/tiny/no_lora/0/result.json"
    document = json.loads(path.read_text())
    document["data"]["manifest_sha256"] = "0" * 64
    path.write_text(json.dumps(document))
    with pytest.raises(ResultError, match=r"no_lora.*different versions of dataset 'fake_scenes'.*000000000000"):
        read(copy)


@pytest.mark.parametrize("name", ["results", "reports/generated/runs.csv", "params.yaml"])
def test_what_is_missing_is_named_with_a_remedy(copy: Path, name: str) -> None:
    (copy / name).rename(copy / "elsewhere")
    with pytest.raises(FileNotFoundError, match=Path(name).name):
        read(copy)


def test_params_without_a_key_are_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("run: {datasets: [a]}\nvariants: {}\n")
    with pytest.raises(ResultError, match=r"params\.yaml: key 'models' is missing"):
        load_selection(tmp_path / "params.yaml")


def test_a_table_or_a_parameter_file_that_is_none_is_a_clear_error(
    fake_place: Callable[..., Path], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    root = fake_place(tmp_path, images=3)
    runs, params = root / "reports/generated/runs.csv", root / "params.yaml"
    for name, text in (
        ("no table", ""), ("no seed", runs.read_text().replace("seed", "sed", 1)),
        ("a seed in words", runs.read_text().replace(",0,", ",zero,")),
    ):  # fmt: skip
        spoilt = tmp_path / "spoilt.csv"
        spoilt.write_text(text)
        with (
            subtests.test(msg=name),
            pytest.raises(ResultError, match=r"spoilt\.csv is not the table of collected runs"),
        ):
            load_report(root / "results", params, spoilt)
    for text, message in (("run: [", "not valid YAML"), ("", "is missing or not a list")):
        params.write_text(text)
        with subtests.test(msg=message), pytest.raises(ResultError, match=message):
            load_report(root / "results", params)
