from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.results.store import ResultError
from reports.build import BEGIN, END, build, replace_block
from reports.figures.plots import CAPTIONS, DRAWN


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def build_at(root: Path, readme: Path | None = None) -> dict[str, bytes]:
    generated = root / "reports/generated"
    build(root / "results", generated, root / "params.yaml", readme)
    return files(generated)


@pytest.fixture(scope="module")
def built(fake_place: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets, built once; read only."""
    root = fake_place(tmp_path_factory.mktemp("built"), datasets=("fake_scenes", "fake_tiles"), images=3)
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
    assert {"index.html", "runs.csv", "tables/provenance.md", "tables/readme.md"} <= names


def test_the_page_needs_nothing_but_itself(built: Path) -> None:
    page = (built / "reports/generated/index.html").read_text()
    assert not re.search(r"""src=(?!["']data:)|<link[^>]*href=(?!["']data:)""", page)
    assert page.count("<img") == 2 * 11
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r' id="([^"]+)"', page))


def test_the_page_says_what_the_current_run_names(built: Path) -> None:
    page = (built / "reports/generated/index.html").read_text()
    assert "datasets <code>fake_scenes</code>" in page
    assert len(re.findall(r"<td>fake_tiles</td>\s*<td>tiny</td>\s*<td>\w+</td>\s*<td>0</td>\s*<td>no</td>", page)) == 8


def test_the_readme_block_is_replaced_and_the_rest_is_kept(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.build.save_all", lambda _, folder: folder.mkdir())  # drawing takes seconds
    root, readme = Path(shutil.copytree(built, tmp_path / "place")), tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{BEGIN}\nold table\n{END}\n\nthe end\n")
    build_at(root, readme)
    text = readme.read_text()
    assert text.startswith(f"# Title\n\n{BEGIN}\n\n### fake_scenes · tiny\n")
    assert text.endswith(f"{END}\n\nthe end\n")
    assert "old table" not in text
    assert (root / "reports/generated/tables/readme.md").read_text() in text
    build_at(root, readme)
    assert readme.read_text() == text


@pytest.mark.parametrize("text", ["no markers", f"{BEGIN}", f"{END} {BEGIN}", f"{BEGIN} {END} {BEGIN} {END}"])
def test_a_readme_without_its_markers_is_refused(tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(ResultError, match=r"README\.md must have the markers"):
        replace_block(readme, "block")
    with pytest.raises(FileNotFoundError, match=r"OTHER\.md does not exist"):
        replace_block(tmp_path / "OTHER.md", "block")


def test_a_failed_build_keeps_the_old_report_and_the_readme(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reports.figures.plots.DRAWN", dict.fromkeys(DRAWN, lambda *_: None))
    root, readme = Path(shutil.copytree(built, tmp_path / "place")), tmp_path / "README.md"
    readme.write_text(f"{BEGIN}{END}")
    before = files(root / "reports/generated")
    (root / "results/fake_scenes/examples.parquet").unlink()
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
