from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import torch

from models.checkpoint import CheckpointError, load_tensors, save_tensors
from models.config import ClipConfig, ModelConfig, SamConfig
from models.weights.files import foundation_files
from models.weights.foundation import load_clip, load_sam

COMMAND = "python -m experiments.foundation"


@pytest.fixture
def copy(weights: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes a foundation folder that may be spoilt."""
    numbers = count()
    return lambda: Path(shutil.copytree(weights, tmp_path / str(next(numbers))))


def test_a_foundation_folder_holds_three_files(weights: Path) -> None:
    files = foundation_files(weights)
    assert set(files) == {"clip", "tokenizer", "sam"}
    assert {file.name for file in weights.iterdir()} == {"foundation.json", *(file.name for file in files.values())}


def test_loaded_weights_are_those_of_the_files(config: ModelConfig, weights: Path) -> None:
    files = foundation_files(weights)
    clip, sam = load_clip(config.clip, weights), load_sam(config.sam, weights)
    for loaded, file in ((clip.model.state_dict(), files["clip"]), (sam.distinct_state(), files["sam"])):
        stored = load_tensors(file, "")
        assert loaded.keys() == stored.keys()
        assert all(torch.equal(loaded[name], stored[name]) for name in stored)


def test_the_prompt_encoder_gets_the_image_s_frequencies(config: ModelConfig, weights: Path) -> None:
    stored = load_tensors(foundation_files(weights)["sam"], "")["shared_image_embedding.positional_embedding"]
    model = load_sam(config.sam, weights).model
    assert torch.equal(model.prompt_encoder.shared_embedding.positional_embedding, stored)


def test_half_precision_files_are_loaded_as_float32(config: ModelConfig, copy: Callable[[], Path]) -> None:
    folder = copy()
    file = foundation_files(folder)["sam"]
    save_tensors(file, {name: value.half() for name, value in load_tensors(file, "").items()})
    assert {parameter.dtype for parameter in load_sam(config.sam, folder).parameters()} == {torch.float32}


def test_a_missing_file_is_named_with_the_command_that_makes_it(
    config: ModelConfig, copy: Callable[[], Path], subtests: pytest.Subtests
) -> None:
    for name in ("clip", "tokenizer", "sam"):
        folder = copy()
        file = foundation_files(folder)[name]
        file.unlink()
        with subtests.test(name), pytest.raises(FileNotFoundError, match=f"{re.escape(str(file))}.*{COMMAND}"):
            load_sam(config.sam, folder) if name == "sam" else load_clip(config.clip, folder)


def test_a_truncated_file_is_named_with_the_command_that_makes_it(
    config: ModelConfig, copy: Callable[[], Path], subtests: pytest.Subtests
) -> None:
    for name in ("clip", "tokenizer", "sam"):
        folder = copy()
        file = foundation_files(folder)[name]
        file.write_bytes(file.read_bytes()[:-100])
        error = ValueError if name == "tokenizer" else CheckpointError
        with subtests.test(name), pytest.raises(error, match=f"{re.escape(str(file))}.*{COMMAND}"):
            load_sam(config.sam, folder) if name == "sam" else load_clip(config.clip, folder)


def test_weights_of_another_size_are_refused(config: ModelConfig, weights: Path) -> None:
    wider = SamConfig(**{**config.sam.model_dump(), "vision": {**config.sam.vision, "hidden_size": 48}})
    with pytest.raises(CheckpointError, match=rf"sam\.safetensors: .*of another shape.*{COMMAND}"):
        load_sam(wider, weights)
    deeper = ClipConfig(**{**config.clip.model_dump(), "vision": {**config.clip.vision, "num_hidden_layers": 3}})
    with pytest.raises(CheckpointError, match=rf"clip\.safetensors: .*missing \(vision_model\..*layers\.2.*{COMMAND}"):
        load_clip(deeper, weights)


def test_weights_of_the_other_model_are_refused(config: ModelConfig, copy: Callable[[], Path]) -> None:
    folder = copy()
    files = foundation_files(folder)
    shutil.copy(files["clip"], files["sam"])
    with pytest.raises(CheckpointError, match=r"sam\.safetensors: .*missing.*unexpected"):
        load_sam(config.sam, folder)
