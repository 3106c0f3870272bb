"""`experiments.cases` on trained tiny models of two variants."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmark.data.samples import decode_mask, load_dataset
from benchmark.metrics.measure import AREA_COLUMNS
from benchmark.results.cases import COLUMNS, decode_map, load_cases
from benchmark.results.truth import save_examples
from benchmark.speed.reference import pixel_areas
from experiments import cases, evaluate, train
from tests.conftest import make_fake_dataset
from tests.tiny import _SAM, _clip, write_foundation

TRAIN = {
    "epochs": 1, "step_of": "images", "batch_size": 4, "expressions_per_image": 2, "lr": 1e-3, "warmup_epochs": 0,
    "warmup_start": 0, "cosine": "per_step", "final_lr_ratio": 0.1, "weight_decay": 0, "clip_norm": 1.0,
    "loss": {"bce": 1, "dice": 1}, "label_side": None, "select": "best", "threads": 1, "augment": [],
}  # fmt: skip
PATH = Path("results/synthetic/cases/mini.parquet")
pytestmark = pytest.mark.filterwarnings("ignore::models.tokens.TruncationWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two variants, trained for a step and measured."""
    folder = tmp_path_factory.mktemp("cases")
    make_fake_dataset(folder / "data/synthetic", images=4)
    save_examples(folder / "results/synthetic/examples.parquet", load_dataset(folder / "data/synthetic"), 2)
    write_foundation(folder / "weights/mini")
    variants = {"no_lora": {"lora": None}, "rsrefseg": {}, "global_only": {"prompter": {"local": False}}}
    params = {
        "run": {"datasets": ["synthetic"], "models": ["mini"], "variants": [*variants], "controls": [], "seeds": [5]},
        "datasets": {"synthetic": {"train": 4, "val": 4, "test": 4, "per_image": 3}},
        "models": {"mini": {"clip": _clip("siglip"), "sam": _SAM}},
        "variants": variants, "train": TRAIN, "evaluate": {"batch_images": 2}, "loader": {"workers": 0},
        "foundation": {},
    }  # fmt: skip
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for variant in variants:
            train.main(dataset="synthetic", model="mini", variant=variant, seed=5)
            evaluate.main(dataset="synthetic", model="mini", variant=variant, seed=5)
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be changed, and is the current folder."""
    root = Path(shutil.copytree(trained, tmp_path / "place"))
    monkeypatch.chdir(root)
    return root


def test_what_each_variant_predicted_is_kept_as_it_was_measured(place: Path) -> None:
    cases.main(dataset="synthetic", model="mini")
    found = load_cases(PATH)
    assert tuple(found.columns) == COLUMNS
    assert found["variant"].tolist() == ["no_lora", "rsrefseg", "global_only"] * found["sample_id"].nunique()
    assert {"median", "random"} <= set(found["rule"])
    for row in found.to_dict("records"):
        folder = Path("results/synthetic/mini") / row["variant"] / "5"
        predicted = pd.read_parquet(folder / "predictions.parquet").set_index("sample_id")["prediction"]
        assert row["prediction"] == predicted[row["sample_id"]]
        assert row["fingerprint"] == json.loads((folder / "result.json").read_text())["run"]["fingerprint"]
        lines = pd.read_parquet(folder / "samples.parquet").set_index("sample_id")
        size = row["height"], row["width"]
        again = pixel_areas(decode_mask(row["mask"], *size), decode_mask(row["prediction"], *size))
        assert again == tuple(lines.loc[row["sample_id"], list(AREA_COLUMNS)])


def test_a_map_is_kept_of_what_a_variant_has_and_of_nothing_else(place: Path) -> None:
    cases.main(dataset="synthetic", model="mini")
    found = load_cases(PATH).set_index("variant")
    assert found.loc["global_only", "local"].isna().all()
    for name in ("local", "global", "dense"):
        maps = [decode_map(content) for content in found.loc["rsrefseg", name]]
        assert {values.shape for values in maps} == {(8, 8)}
        assert all(values.min() >= 0 and values.max() <= 1 for values in maps)
    glob, dense = (np.stack([decode_map(one) for one in found.loc["rsrefseg", name]]) for name in ("global", "dense"))
    np.testing.assert_allclose(glob, dense, atol=1 / 255)  # in this formulation both are the sigmoid of G


def test_the_same_results_give_the_same_bytes(place: Path) -> None:
    cases.main(dataset="synthetic", model="mini")
    before = PATH.read_bytes()
    cases.main(dataset="synthetic", model="mini")
    assert PATH.read_bytes() == before


def test_a_result_of_another_checkpoint_and_a_missing_one_are_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("results/synthetic/mini/no_lora/5/result.json")
    result = json.loads(path.read_text())
    result["run"]["fingerprint"] = "another"
    path.write_text(json.dumps(result))
    with pytest.raises(SystemExit):
        cases.main(dataset="synthetic", model="mini")
    assert "mini/no_lora/5 is not of the checkpoint that lies here; evaluate the run again" in capsys.readouterr().err
    path.unlink()
    with pytest.raises(SystemExit):
        cases.main(dataset="synthetic", model="mini")
    assert "no_lora/5/result.json is missing; make it again with `dvc repro`" in capsys.readouterr().err
    assert not PATH.exists()
