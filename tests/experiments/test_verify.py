"""A fresh run against the committed one: per number same, within, off; the exit status tells."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import typer
from rich.console import Console

from benchmark.metrics.collapse import Collapse
from benchmark.metrics.iou import summary
from benchmark.output.terminal import terminal
from benchmark.results.store import StoredResult, find_results, run_key, save_result
from experiments.commands import verify
from experiments.commands.verify import compare_results
from experiments.tolerances import TOLERANCE_CONTROL

Results = dict[tuple[str, str, str, int], StoredResult]


@pytest.fixture
def committed(fake_results: Path) -> Results:
    return {run_key(one.result.run): one for one in find_results(fake_results / "results")}


def changed(stored: StoredResult, by: float, metric: str = "miou") -> StoredResult:
    test = stored.result.eval["test"]
    metrics = {**test.metrics, metric: round(test.metrics[metric] + by, 6)}
    result = stored.result.model_copy(update={"eval": {"test": test.model_copy(update={"metrics": metrics})}})
    return replace(stored, result=result)


def computed_by(stored: StoredResult, device: str, torch: str = "2.15.0") -> StoredResult:
    meta = stored.result.meta.model_copy(update={"device": device, "versions": {"torch": torch}})
    return replace(stored, result=stored.result.model_copy(update={"meta": meta}))


def test_the_tolerance_is_absolute_and_both_ways(subtests: pytest.Subtests, committed: Results) -> None:
    key = next(key for key in committed if key[2] == "no_lora")
    steps = [(0.0, "same"), (-1e-6 / 2, "same"), (2e-6, "within"), (-0.03, "within"), (-0.030002, "off"), (0.04, "off")]
    for by, verdict in steps:
        with subtests.test(msg=f"{by:+}"):
            found = compare_results(committed, {**committed, key: changed(committed[key], by)})
            verdicts = {(one.run, one.metric): one.verdict for one in found}
            assert verdicts.pop((" · ".join(map(str, key)), "miou")) == verdict
            assert set(verdicts.values()) == {"same"}


def test_on_one_kind_of_cpu_nothing_but_the_same_will_do(subtests: pytest.Subtests, committed: Results) -> None:
    key = next(key for key in committed if key[2] == "no_lora")
    here = "cpu (1 threads), Some Processor 9000, AVX512"
    for device, torch, verdict in (
        (here, "2.15.0", "off"),
        (here, "2.16.0", "within"),
        (here.replace("1 threads", "2 threads"), "2.15.0", "within"),
        (here.replace("9000", "9001"), "2.15.0", "within"),
    ):
        with subtests.test(device=device, torch=torch):
            before = {key: computed_by(committed[key], here)}
            now = {key: computed_by(changed(committed[key], 2e-6), device, torch)}
            assert [one.verdict for one in compare_results(before, now) if one.verdict != "same"] == [verdict]
            assert bool(verify.elsewhere(before, now)) == (verdict == "within")
    old, cuda = "cpu (1 threads)", "cuda (1 threads), Some GPU"
    for device in (old, cuda):  # the one does not name its processor, on the other nothing repeats
        before, now = computed_by(committed[key], device), computed_by(changed(committed[key], 2e-6), device)
        assert "off" not in {one.verdict for one in compare_results({key: before}, {key: now})}


def test_metrics_that_spread_twice_as_much_over_seeds_have_twice_the_room(committed: Results) -> None:
    key = next(key for key in committed if key[2] == "no_lora")
    for metric, verdict in (("boundary_iou", "off"), ("oiou", "within"), ("precision_0.5", "within")):
        found = compare_results(committed, {**committed, key: changed(committed[key], -0.06, metric)})
        assert [one.verdict for one in found if one.verdict != "same"] == [verdict], metric


def test_a_control_has_a_tolerance_of_its_own(committed: Results) -> None:
    key = next(key for key in committed if key[2] == "heat_map_point")
    found = compare_results(committed, {**committed, key: changed(committed[key], 2 * TOLERANCE_CONTROL)})
    assert [one.verdict for one in found if one.verdict != "same"] == ["off"]


def test_a_run_that_collapsed_on_one_side_only_is_off_and_said(
    committed: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    key = next(key for key in committed if key[2] == "no_lora")
    one = committed[key]
    result = one.result.model_copy(update={"collapse": Collapse(kind="empty", share=0.96)})
    fallen = {**committed, key: replace(one, result=result)}  # its numbers as they were
    for before, now, said in ((fallen, committed, ("empty", "no")), (committed, fallen, ("no", "empty"))):
        (found,) = [one for one in compare_results(before, now) if one.verdict != "same"]
        assert (found.run, found.metric) == (" · ".join(map(str, key)), "collapsed")
        assert (found.committed, found.fresh, found.verdict) == (*said, "off")
        verify.print_comparison(Console(width=150), [found], 0.03, False)
        assert re.search(rf"no_lora · 0 +collapsed +{said[0]} +{said[1]} +– +off", capsys.readouterr().out)
    assert {one.verdict for one in compare_results(fallen, fallen)} == {"same"}
    unknown = {**committed, key: replace(one, predictions=one.predictions.iloc[:6])}
    assert {one.verdict for one in compare_results(unknown, fallen)} == {"same"}


def test_names_and_words_are_printed_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    found = verify.Comparison("[/27L] · [red] · :ship:", "collapsed", "[b]", None, "off")
    verify.print_comparison(terminal(), [found], 0.03, False)
    printed = " ".join(capsys.readouterr().out.split())
    assert "[/27L] · [red] · :ship:" in printed
    assert "[b]" in printed


def test_runs_of_one_side_and_other_runs_are_said(committed: Results) -> None:
    keys = sorted(committed)
    other = committed[keys[2]]
    for changes in ({"fingerprint": "another"}, {"config": {**other.result.run.config, "seed": 9}}):
        run = other.result.run.model_copy(update=changes)
        fresh = {key: one for key, one in committed.items() if key != keys[0]}
        fresh[keys[2]] = replace(other, result=other.result.model_copy(update={"run": run}))
        found = compare_results({key: one for key, one in committed.items() if key != keys[1]}, fresh)
        whole = {one.run: one.verdict for one in found if not one.metric}
        assert list(whole.values()) == ["missing", "new", "other"]


def git(folder: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder, check=True, capture_output=True
    )


def test_the_command_compares_with_the_last_commit(
    fake_results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(fake_results / "results", tmp_path / "results")
    git(tmp_path, "init", "-q")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        verify.main(Path("results"), None, "HEAD", 0.03, False)
    assert "HEAD has no results/" in capsys.readouterr().err
    git(tmp_path, "add", "results")
    git(tmp_path, "commit", "-qm", "results")
    with pytest.raises(typer.Exit) as ended:  # nothing but what was committed
        verify.main(Path("results"), None, "HEAD", 0.03, False)
    assert ended.value.exit_code == 1
    printed = capsys.readouterr().out
    assert "Runs: 0 of 8 made anew, 8 are the same files. Numbers: none." in printed
    assert "Nothing was verified" in printed
    again, other, *_ = find_results(Path("results"))
    made_anew(again, again.lines)
    verify.main(Path("results"), None, "HEAD", 0.03, False)
    printed = capsys.readouterr().out
    assert "Runs: 1 of 8 made anew, 7 are the same files. Numbers: 8 same." in printed
    assert "Verified: 1 of 8 runs are reproduced" in printed
    made_anew(other, other.lines.assign(intersection=0, union=other.lines["mask_area"] + other.lines["predicted_area"]))
    with pytest.raises(typer.Exit) as ended:
        verify.main(Path("results"), None, "HEAD", 0.03, False)
    assert ended.value.exit_code == 1
    printed = capsys.readouterr().out
    assert re.search(r"2 of 8 made anew, 6 are the same files. Numbers: \d+ same, .*\d off", printed)
    assert "Not verified" in printed
    with pytest.raises(typer.Exit):  # a folder against itself
        verify.main(Path("results"), tmp_path / "results", "HEAD", 0.03, False)
    assert "Nothing was verified" in capsys.readouterr().out


def made_anew(one: StoredResult, lines: pd.DataFrame) -> None:
    """Store a result again as a run of other length, whose per-sample table is `lines`."""
    test = one.result.eval["test"]
    metrics = {**summary(lines), "boundary_iou": test.metrics["boundary_iou"]}
    test = test.model_copy(update={"metrics": metrics, "seconds": test.seconds + 1})
    save_result(one.folder, one.result.model_copy(update={"eval": {"test": test}}), lines, one.curve, one.predictions)


def test_wrong_folders_are_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        verify.main(Path("results"), None, "HEAD", 0.03, False)
    assert "there is no such folder; run `make repro` first" in capsys.readouterr().err
    (tmp_path / "results").mkdir()
    with pytest.raises(SystemExit):
        verify.main(Path("results"), Path("nowhere"), "HEAD", 0.03, False)
    assert "--against nowhere" in capsys.readouterr().err
