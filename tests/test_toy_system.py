"""A system goes the whole way by what CONTRIBUTING.md tells to write for one, without a line elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from benchmark.data.images import Picture
from benchmark.results.store import load_result
from experiments.commands import cases, evaluate, fetch, foundation, inspect, predict, publish, train
from experiments.commands.check import params_faults
from experiments.commands.collect import to_record
from experiments.config import load_params, resolve
from experiments.published import find_run
from experiments.webpage.answers import segment
from models import systems, zoo
from tests import toy_system

ROOT = Path(__file__).parents[1]
POINT = ("synthetic", "toy-mini", "seeing", 0)
FOLDER = Path("synthetic/toy-mini/seeing/0")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system registered, and a study of it in a folder of its own."""
    monkeypatch.setitem(systems.SYSTEMS, "toy", toy_system.ENTRY)
    monkeypatch.setitem(zoo.SIZES, "toy", toy_system.SIZES)
    for name, size in toy_system.SIZES.items():
        monkeypatch.setitem(zoo.MODELS, name, size)
        monkeypatch.setitem(zoo.SYSTEM_OF, name, "toy")
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["run"] = {
        "datasets": ["synthetic"], "models": ["toy-mini"], "variants": ["seeing"], "controls": [],
        "seeds": [0],
    }  # fmt: skip
    params["datasets"]["synthetic"] = {"train": 6, "val": 2, "test": 4, "side": 96, "per_image": 3}
    params["models"]["toy-mini"] = {"system": "toy", "train": {**params["models"]["mini"]["train"], "label_side": 24}}
    params["variants"] |= {"seeing": {"system": "toy"}, "colour_blind": {"system": "toy", "colour": False}}
    params["foundation"]["toy-mini"] = {"source": {}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield tmp_path
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def test_a_new_system_trains_is_measured_published_and_asked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch.main("synthetic", offline=True, allow_count_mismatch=False)
    foundation.main("toy-mini", None, Path("weights"))
    train.main(*POINT)
    evaluate.main(*POINT)
    stored = load_result("results" / FOLDER)
    assert stored.result.run.config["model"] == {"side": 24, "words": 64, "width": 8, "colour": True}
    assert stored.result.train.steps == 4  # two epochs of six images in batches of four
    assert len(stored.lines) == len(stored.predictions) > 4
    assert 0 <= stored.metrics["miou"] < 1
    record = to_record(stored, Path("results/synthetic/examples.parquet"))
    assert (record.tags["model"], record.params["model.colour"]) == ("toy-mini", "true")
    cases.main("synthetic", "toy-mini")  # though nothing lights up
    assert Path("results/synthetic/cases/toy-mini.parquet").is_file()
    publish.main(*POINT)
    place = Path("weights/toy-mini/trained/synthetic")
    assert json.loads((place / "published.json").read_text())["variant"] == "seeing"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("image.png")
    predict.main(Path("image.png"), ["the red ship"], place, Path("out.png"), None, None, None, None, False)
    network, config = find_run("runs" / FOLDER)
    assert config == resolve(load_params(), *POINT)
    (answer,), notes = segment(network, Picture(pixels, None, 1), ["the red ship"], ())
    assert notes == []
    assert answer.pictures.keys() == {"mask", "probability"}
    shown = np.asarray(Image.open("out_mask.png")) > 0
    assert (shown != answer.mask).mean() < 0.01  # published in half precision
    assert "weights/toy-mini/trained/synthetic" in capsys.readouterr().out


def test_check_knows_its_variants_and_what_it_costs_is_counted(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = load_params()
    assert list(params_faults(params)) == []
    run = params.run.model_copy(update={"variants": ["seeing", "no_lora"], "controls": ["clip_heat_map"]})
    faults = " ".join(params_faults(params.model_copy(update={"run": run})))
    assert "toy-mini is a size of 'toy', which has no variant 'no_lora'; it has seeing, colour_blind" in faults
    assert "toy-mini has no training-free baseline clip_heat_map" in faults
    inspect.main("toy-mini", None, None, 1, 1, None, None, None, "step", 1, Path("costs.json"))
    costs = json.loads(Path("costs.json").read_text())
    assert costs["parameters"]["bag of words"] == {"total": 512, "trained": 512, "adapters": 0}
    assert costs["flops"]["convolutions"]["expression"] == 2 * 24**2 * (9 * (3 + 8) * 8 + 8)
