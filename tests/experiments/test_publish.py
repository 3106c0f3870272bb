from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.data.samples import load_dataset
from benchmark.results.store import load_result
from experiments import predict
from experiments.commands import publish
from experiments.published import FILE, find_run, load_published, read_published
from models.checkpoint import CheckpointError, load_tensors, save_tensors
from models.rsrefseg import RSRefSeg
from models.weights.foundation import load_clip
from tests.trained import CONFIG, RESULT, ROOT, RUN, make_trained_project, picture

PLACE = Path("weights/tiny/trained/fake_scenes")
COMMITTED = sorted(ROOT.glob(f"weights/*/trained/*/{FILE}"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, fake_place: Callable[..., Path]) -> Path:
    """A project with one trained run and its result; read only."""
    return make_trained_project(tmp_path_factory.mktemp("project"), fake_place)


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be spoilt; the test runs there."""
    copy = Path(shutil.copytree(trained, tmp_path / "project"))
    monkeypatch.chdir(copy)
    return copy


def publish_it() -> Path:
    return publish.publish(CONFIG, load_result(RESULT), load_dataset(Path("data/fake_scenes")))


def mask(network: RSRefSeg) -> np.ndarray:
    tensor = torch.from_numpy(np.array(picture())).permute(2, 0, 1)
    return network.predict([tensor], ["the red ship"], [0])[0]


def test_half_precision_is_taken_only_where_it_changes_little(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_tensors(RUN / "model.safetensors", "")
    assert publish_it() == PLACE  # the masks of a fake result are not the model's, so everything changes
    kept, about = load_tensors(PLACE / "model.safetensors", ""), read_published(PLACE)
    assert all(torch.equal(kept[name], before[name]) for name in before)
    assert (about.precision, about.changed, about.miou_stored) == ("float32", 0, about.miou)
    monkeypatch.setattr(publish, "MIOU", 1)
    monkeypatch.setattr(publish, "CHANGED", 1)
    publish_it()
    small, about = load_tensors(PLACE / "model.safetensors", ""), read_published(PLACE)
    assert all(torch.equal(small[name], publish.halved(before)[name]) for name in before)
    assert about.precision == "float16"
    assert about.changed > 0.001
    assert mask(find_run(PLACE)[0]).shape == (51, 90)


def test_a_published_run_is_the_run_it_is_of(project: Path) -> None:
    publish_it()
    expected = mask(find_run(RESULT)[0])
    shutil.rmtree("runs")
    shutil.rmtree("results")
    network, config = find_run(PLACE)
    assert config.plain() == CONFIG.plain()
    np.testing.assert_array_equal(mask(network), expected)


def test_predict_uses_it_where_no_run_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move(publish_it(), "weights/mini/trained/vhr10")
    shutil.copytree("weights/tiny", "weights/mini", dirs_exist_ok=True)
    picture().save("scene.png")
    predict.main(Path("scene.png"), ["the red ship"], out=Path("out.png"))
    np.testing.assert_array_equal(np.array(Image.open("out_mask.png")) > 0, mask(find_run(RESULT)[0]))
    capsys.readouterr()
    shutil.rmtree("weights/mini/trained")
    with pytest.raises(SystemExit, match="1"):
        predict.main(Path("scene.png"), ["the red ship"], out=Path("out.png"))
    message = " ".join(capsys.readouterr().err.split())
    assert "error: weights/mini/trained/vhr10/published.json: no trained run is published there" in message
    assert "--run results/" in message


def test_a_foundation_made_anew_is_refused_with_what_to_do(project: Path) -> None:
    publish_it()
    clip = load_clip(CONFIG.model.clip, Path("weights/tiny"))
    changed = {name: value + 1e-3 for name, value in clip.model.state_dict().items()}
    save_tensors(Path("weights/tiny/clip.safetensors"), changed)
    with pytest.raises(CheckpointError, match=r"trained on other foundation weights than .*git checkout weights\. If"):
        find_run(PLACE)


def test_a_run_that_its_result_or_its_description_does_not_fit_is_refused(project: Path) -> None:
    publish_it()
    about = (PLACE / FILE).read_text()
    (PLACE / FILE).write_text(about.replace(read_published(PLACE).fingerprint, "0" * 16))
    with pytest.raises(CheckpointError, match="not of the checkpoint beside it"):
        find_run(PLACE)
    (PLACE / FILE).write_text(about[:100])
    with pytest.raises(CheckpointError, match=r"published\.json: .*git checkout weights"):
        find_run(PLACE)
    result = RESULT / "result.json"
    result.write_text(result.read_text().replace(load_result(RESULT).result.run.fingerprint, "0" * 16))
    with pytest.raises(CheckpointError, match="not the training that"):
        publish_it()


@pytest.mark.skipif(not COMMITTED, reason="no trained run is published yet: python -m experiments.publish --help")
def test_what_is_in_git_is_of_the_committed_result_and_small() -> None:
    for file in COMMITTED:
        _, config, about = load_published(file.parent, file.parents[2])
        result = ROOT / "results" / about.dataset / about.model / about.variant / str(about.seed)
        assert about.fingerprint == load_result(result).result.run.fingerprint, f"{file}: publish it again"
        assert (config.dataset, config.variant, config.seed) == (about.dataset, about.variant, about.seed)
    weights = [file for file in (ROOT / "weights").glob("mini/**/*") if file.is_file()]
    assert sum(file.stat().st_size for file in weights) <= 12e6
