"""JSON lines: the same table as the dataset's own files give, and each fault of a line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from benchmark.data.samples import SampleError, decode_mask
from benchmark.datasets import DATASETS, lines, risbench, rrsisd
from tests.benchmark.datasets.conftest import NAMES, build
from tests.newer_layouts import write_lines

SHARED = Path(__file__).parents[4] / "shared" / "data" / "annotations"


@pytest.fixture(scope="module")
def lined(fakes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The fakes with JSON lines beside their own files."""
    folder = tmp_path_factory.mktemp("lined")
    for name in NAMES:
        shutil.copytree(fakes[name], folder / name)
        write_lines(name, folder / name)
    return {name: folder / name for name in NAMES}


def test_lines_give_the_table_that_the_own_files_give(
    lined: dict[str, Path], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for name, root in lined.items():
        with subtests.test(name):
            own = build(name, root, tmp_path / "own")
            other = build(name, root, tmp_path / "lines", lines=f"datainfo/{name}_{{split}}.jsonl")
            assert own.manifest == other.manifest
            assert own.samples.equals(other.samples)


def test_nothing_but_images_and_lines_is_needed(lined: dict[str, Path], tmp_path: Path) -> None:
    for name, root in lined.items():
        folder = shutil.copytree(root, tmp_path / name)
        config = DATASETS[name].config.model_validate({"root": str(folder), "lines": "x"})
        assert isinstance(config, lines.LinesConfig)
        for path in sorted(folder.rglob("*"), reverse=True):
            place = path.relative_to(folder).as_posix()
            if not any(
                place.startswith(kept) or kept.startswith(f"{place}/") for kept in (config.images_in, "datainfo")
            ):
                path.rmdir() if path.is_dir() else path.unlink()
        spec = DATASETS[name].spec
        assert spec is not None
        needed = config.needed(spec).files
        assert [file.lands() for file in needed] == [(config.images_in,)]
        build(name, folder, tmp_path / "data", lines=f"datainfo/{name}_{{split}}.jsonl")


def test_one_file_may_have_every_split(lined: dict[str, Path], tmp_path: Path) -> None:
    root = shutil.copytree(lined["risbench"], tmp_path / "risbench")
    parts = [(root / f"datainfo/risbench_{split}.jsonl").read_text() for split in ("test", "train", "val")]
    (root / "all.jsonl").write_text("\ufeff" + "\n".join(parts), encoding="utf-8")
    samples = build("risbench", root, tmp_path / "a", lines="all.jsonl").samples.sort_values("sample_id")
    other = build("risbench", root, tmp_path / "b").samples.sort_values("sample_id")
    assert samples["mask"].tolist() == other["mask"].tolist()


def test_published_boxes_of_lines_are_those_of_their_own_files(lined: dict[str, Path]) -> None:
    root = str(lined["rrsisd"])
    boxes = rrsisd.published_boxes(rrsisd.RRSISDConfig(root=root, lines="datainfo/rrsisd_{split}.jsonl"))
    assert boxes == rrsisd.published_boxes(rrsisd.RRSISDConfig(root=root))
    assert boxes


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real annotation lines are not at {SHARED}")
def test_the_real_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text((SHARED / "rrsisd_val.sample.json").read_text())
    found = rrsisd.entries(rrsisd.RRSISDConfig(root=str(tmp_path), lines="one.jsonl"))
    assert [(e.sample_id, e.split, e.category, e.image) for e in found] == [
        ("14636", "val", "vehicle", "images/rrsisd/JPEGImages/14636.jpg")
    ]
    assert found[0].mask().sum() == 544
    shutil.copy(SHARED / "risbench_test.sample.jsonl", tmp_path / "two.jsonl")
    config = DATASETS["risbench"].config.model_validate({"root": str(tmp_path), "lines": "two.jsonl"})
    assert isinstance(config, risbench.RISBenchConfig)
    entries = risbench.entries(config)
    assert [entry.sample_id for entry in entries[:2]] == ["test_1_0", "test_1_1"]
    assert [entry.category for entry in entries] == ["ship", "ship", "airplane", "vehicle", "swimming pool", "vehicle"]
    assert all(entry.mask().shape == (512, 512) and entry.mask().any() for entry in entries)


def test_a_code_made_of_a_softened_mask_takes_turns_in_its_border() -> None:
    """What docs/datasets.md warns of: pycocotools begins a run at every change of value."""
    grey = np.zeros((1, 8), np.uint8)
    grey[0, 2:7] = (100, 255, 255, 100, 50)
    code = coco.encode(np.asfortranarray(grey))
    assert decode_mask(code["counts"].decode(), 1, 8)[0].tolist() == [
        False, False, True, False, False, True, False, True,
    ]  # fmt: skip


def changed(**values: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda line: line.update(values)


BAD: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str]] = {
    "no split": ("rrsisd", lambda line: line.pop("split"), r"rrsisd_val.jsonl: line 1: split is .*Field required"),
    "another split": ("rrsisd", changed(split="test"), "line 1 is of split test, the file of val"),
    "no words": ("risbench", changed(sent="  "), r"line 1: sent is  ? ?: String should have at least 1 character"),
    "a name that leaves the folder": ("risbench", changed(file_name="../x.png"), r"file_name is \.\./x\.png"),
    "a code that does not fill its size": (
        "risbench",
        lambda line: line["segmentation"].update(size=[50, 50]),
        r"sample 'val_0_0': .*risbench_val.jsonl: line 1: its runs cover \d+ of 2500 pixels",
    ),
    "a code of 10^12 pixels": (
        "risbench",
        lambda line: line["segmentation"].update(size=[10**6, 10**6]),
        r"line 1 says it is 1000000x1000000",
    ),
    "codes of two sizes": (
        "rrsisd",
        lambda line: line["segmentation"].append({"size": [5, 5], "counts": "0"}),
        r"line 1: its mask is 5x5 \(height x width\), its image 96x96",
    ),
    "no codes": ("rrsisd", changed(segmentation=[]), r"line 1: segmentation"),
    "an unknown category": ("rrsisd", changed(category_name="volcano"), "category_name is 'volcano', none of Express"),
    "two categories": ("rrsisd", changed(category_id=19, category_name="dam"), "'dam', which is number 8, and .* 19"),
}


def test_a_bad_line_is_named_and_nothing_is_written(
    lined: dict[str, Path], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for number, (case, (name, spoil, message)) in enumerate(BAD.items()):
        with subtests.test(case):
            root = shutil.copytree(lined[name], tmp_path / f"{number}")
            path = root / f"datainfo/{name}_val.jsonl"
            first, *rest = path.read_text().splitlines()
            line = json.loads(first)
            spoil(line)
            path.write_text("\n".join([json.dumps(line), *rest]))
            with pytest.raises(SampleError, match=message):
                build(name, root, tmp_path / f"data{number}", lines=f"datainfo/{name}_{{split}}.jsonl")
            assert not list((tmp_path / f"data{number}").glob("*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "line 1 is not JSON"),
        (b"\xff\n", "line 1 is not JSON"),
        (b"[" * 200_000, "line 1 is not JSON"),
        (b"x" * (lines.MAX_LINE + 1), r"line 1 has more than 4,194,304 bytes"),
    ],
    ids=("half a line", "not UTF-8", "brackets", "a long line"),
)
def test_what_is_no_line_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "x.jsonl").write_bytes(text)
    with pytest.raises(SampleError, match=message):
        rrsisd.entries(rrsisd.RRSISDConfig(root=str(tmp_path), lines="x.jsonl"))


def test_missing_lines_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"x_train.jsonl does not exist; lay it there, set datasets.rrsisd.lines"
    ):
        rrsisd.entries(rrsisd.RRSISDConfig(root=str(tmp_path), lines="x_{split}.jsonl"))
