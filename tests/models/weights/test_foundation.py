from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from models.checkpoint import CheckpointError, load_tensors, save_tensors
from models.config import ClipConfig, ModelConfig, SamConfig
from models.weights.foundation import foundation_files, load_clip, load_sam

COMMAND = "python -m experiments.foundation"


@pytest.fixture
def copy(weights: Path, tmp_path: Path) -> Path:
    """A foundation folder that may be spoilt."""
    return Path(shutil.copytree(weights, tmp_path / "weights"))


def test_a_foundation_folder_holds_three_files(weights: Path) -> None:
    files = foundation_files(weights)
    assert set(files) == {"clip", "tokenizer", "sam"}
    assert {file.name for file in weights.iterdir()} == {file.name for file in files.values()}


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


def test_half_precision_files_are_loaded_as_float32(config: ModelConfig, copy: Path) -> None:
    file = foundation_files(copy)["sam"]
    save_tensors(file, {name: value.half() for name, value in load_tensors(file, "").items()})
    assert {parameter.dtype for parameter in load_sam(config.sam, copy).parameters()} == {torch.float32}


@pytest.mark.parametrize("name", ["clip", "tokenizer", "sam"])
def test_a_missing_file_is_named_with_the_command_that_makes_it(config: ModelConfig, copy: Path, name: str) -> None:
    file = foundation_files(copy)[name]
    file.unlink()
    with pytest.raises(FileNotFoundError, match=f"{re.escape(str(file))}.*{COMMAND}"):
        load_sam(config.sam, copy) if name == "sam" else load_clip(config.clip, copy)


@pytest.mark.parametrize("name", ["clip", "sam"])
def test_a_truncated_file_is_named_with_the_command_that_makes_it(config: ModelConfig, copy: Path, name: str) -> None:
    file = foundation_files(copy)[name]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=f"{re.escape(str(file))}.*{COMMAND}"):
        load_sam(config.sam, copy) if name == "sam" else load_clip(config.clip, copy)


def test_a_truncated_tokenizer_is_named_with_the_command_that_makes_it(config: ModelConfig, copy: Path) -> None:
    file = foundation_files(copy)["tokenizer"]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"{re.escape(str(file))}.*{COMMAND}"):
        load_clip(config.clip, copy)


def test_weights_of_another_size_are_refused(config: ModelConfig, weights: Path) -> None:
    wider = SamConfig(**{**config.sam.model_dump(), "vision": {**config.sam.vision, "hidden_size": 48}})
    with pytest.raises(CheckpointError, match=rf"sam\.safetensors: .*of another shape.*{COMMAND}"):
        load_sam(wider, weights)
    deeper = ClipConfig(**{**config.clip.model_dump(), "vision": {**config.clip.vision, "num_hidden_layers": 3}})
    with pytest.raises(CheckpointError, match=rf"clip\.safetensors: .*missing \(vision_model\..*layers\.2.*{COMMAND}"):
        load_clip(deeper, weights)


def test_weights_of_the_other_model_are_refused(config: ModelConfig, copy: Path) -> None:
    files = foundation_files(copy)
    shutil.copy(files["clip"], files["sam"])
    with pytest.raises(CheckpointError, match=r"sam\.safetensors: .*missing.*unexpected"):
        load_sam(config.sam, copy)
