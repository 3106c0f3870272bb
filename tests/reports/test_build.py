from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.results.store import ResultError
from reports.figures.plots import CAPTIONS
from reports.load import load_report
from reports.report import Report
from reports.tables.headline import headline_table, other_datasets
from reports.writing import BEGIN, END, build, replace_block


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def build_at(root: Path, readme: Path | None = None, document: Path | None = None) -> dict[str, bytes]:
    generated = root / "reports/generated"
    build(root / "results", generated, root / "params.yaml", readme, document)
    return files(generated)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figures: drawing takes seconds."""
    monkeypatch.setattr("reports.writing.save_all", lambda _, folder: folder.mkdir())


@pytest.fixture(scope="module")
def built(fake_place: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets, built once; read only."""
    some = {"variants": {"rsrefseg": 0.9, "no_lora": 0.7, "no_dense_prompt": 0.8}, "controls": {"whole_image": 0.0}}
    root = fake_place(tmp_path_factory.mktemp("built"), datasets=("fake_scenes", "fake_tiles"), images=3, **some)
    build_at(root)
    return root


def test_building_twice_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(built, tmp_path / "elsewhere"))
    command = [sys.executable, "-m", "reports.build"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
    }
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert files(root / "reports/generated") == files(built / "reports/generated")
    assert "reports/generated/index.html" in done.stdout
    assert "mlflow ui --backend-store-uri sqlite:///mlflow.db" in done.stdout
    assert all(name in done.stdout for name in ("rsrefseg", "no_dense_prompt", "whole_image"))


def test_every_dataset_with_results_is_reported(built: Path) -> None:
    names = set(files(built / "reports/generated"))
    for dataset in ("fake_scenes", "fake_tiles"):
        for table in ("main", "controls"):
            assert {f"tables/{dataset}/tiny/{table}.{kind}" for kind in ("md", "csv", "tex")} <= names
        for figure in CAPTIONS:
            assert {f"figures/{dataset}/tiny/{figure}.{kind}" for kind in ("png", "pdf")} <= names
    assert {"index.html", "runs.csv", "tables/provenance.md", "tables/summary.md", "figures/readme.jpg"} <= names


def test_the_page_needs_nothing_but_itself(built: Path) -> None:
    page = (built / "reports/generated/index.html").read_text()
    assert not re.search(r"""src=(?!["']data:)|<link[^>]*href=(?!["']data:)""", page)
    assert page.count("<img") == 2 * 11
    assert page.index("gain over the best baseline") < page.index("<img") < page.index("Results on fake_scenes")
    assert "from the result files alone; MLflow was not asked" in page
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r' id="([^"]+)"', page))


def test_the_page_says_what_the_current_run_names(built: Path) -> None:
    page = (built / "reports/generated/index.html").read_text()
    assert "datasets <code>fake_scenes</code>" in page
    assert len(re.findall(r"<td>fake_tiles</td>\s*<td>tiny</td>\s*<td>\w+</td>\s*<td>0</td>\s*<td>no</td>", page)) == 4


@pytest.mark.usefixtures("undrawn")
def test_the_readme_gets_the_headline_and_the_document_every_dataset(built: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(built, tmp_path / "place"))
    readme, document = tmp_path / "README.md", tmp_path / "results.md"
    for file in (readme, document):
        file.write_text(f"# Title\n\n{BEGIN}\nold table\n{END}\n\nthe end\n")
    build_at(root, readme, document)
    headline, whole = readme.read_text(), document.read_text()
    for text in (headline, whole):
        assert text.startswith(f"# Title\n\n{BEGIN}\n\n")
        assert text.endswith(f"{END}\n\nthe end\n")
        assert "old table" not in text
    assert (root / "reports/generated/tables/fake_scenes/tiny/headline.md").read_text() in headline
    assert "* fake_tiles · tiny: rsrefseg has mIoU " in headline
    assert "highest of" not in headline  # it is the full model
    assert [headline.count(name) for name in ("| no_lora |", "(training-free)", "P@0.9")] == [1, 1, 0]
    report = load_report(root / "results", root / "params.yaml")
    shown = headline_table(replace(report.groups[0], asked=("rsrefseg",)))
    assert [row[0].text for row in shown.rows] == ["rsrefseg", headline_table(report.groups[0]).rows[-1][0].text]
    assert shown.notes[0].endswith("More variants in docs/results.md: 4.")
    swapped = {"rsrefseg": "no_lora", "no_lora": "rsrefseg"}
    methods = tuple(replace(one, name=swapped.get(one.name, one.name)) for one in report.groups[1].methods)
    others = other_datasets(replace(report, groups=(report.groups[0], replace(report.groups[1], methods=methods))))
    assert re.search(r"rsrefseg has mIoU .*; highest of 3 variants: no_lora, \+\S+ \\?\[\+.* over rsrefseg", others)
    assert whole.index("## fake_scenes · tiny") < whole.index("## fake_tiles · tiny")
    names = ",".join(one.name for one in report.groups[1].trained if one.results)
    made = f"-S 'run.datasets=[fake_tiles]' -S 'run.models=[tiny]' -S 'run.variants=[{names}]' -S 'run.seeds=[0]'"
    assert f"dvc exp run {made}`" in whole
    for table in ("main", "ablation", "controls"):
        assert (root / f"reports/generated/tables/fake_tiles/tiny/{table}.md").read_text() in whole
    build_at(root, readme, document)
    assert (readme.read_text(), document.read_text()) == (headline, whole)


@pytest.mark.usefixtures("undrawn")
def test_the_report_needs_no_mlflow_and_says_so(built: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(built, tmp_path / "place"))
    runs = root / "reports/generated/runs.csv"
    build(root / "results", root / "out", root / "params.yaml", runs=runs)
    assert "held against what MLflow gave back" in (root / "out/index.html").read_text()
    runs.write_text(runs.read_text().replace("fake0000", "fake9999"))
    with pytest.raises(ResultError, match="differ in fingerprint"):
        build(root / "results", root / "out", root / "params.yaml", runs=runs)
    runs.unlink()
    build(root / "results", root / "out", root / "params.yaml")
    assert "MLflow was not asked" in (root / "out/index.html").read_text()


def test_a_readme_without_its_markers_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    readme = tmp_path / "README.md"
    for text in ("no markers", f"{BEGIN}", f"{END} {BEGIN}", f"{BEGIN} {END} {BEGIN} {END}"):
        readme.write_text(text)
        with subtests.test(msg=text), pytest.raises(ResultError, match=r"README\.md must have the markers"):
            replace_block(readme, "block")
    with pytest.raises(FileNotFoundError, match=r"OTHER\.md does not exist"):
        replace_block(tmp_path / "OTHER.md", "block")


def test_a_failed_build_keeps_the_old_report_and_the_readme(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, readme = Path(shutil.copytree(built, tmp_path / "place")), tmp_path / "README.md"
    readme.write_text(f"{BEGIN}{END}")
    before = files(root / "reports/generated")

    def broken(_: Report, folder: Path) -> None:
        folder.mkdir()
        raise FileNotFoundError("examples.parquet")

    monkeypatch.setattr("reports.writing.save_all", broken)
    with pytest.raises(FileNotFoundError, match=r"examples\.parquet"):
        build_at(root, readme)
    assert files(root / "reports/generated") == before
    assert readme.read_text() == f"{BEGIN}{END}"


def test_errors_are_one_message_without_a_traceback(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "reports.build"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no result.json under results; run `dvc repro` first" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
