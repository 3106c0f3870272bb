from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import Sam2Model

from models.checkpoint import CheckpointError, save_tensors
from models.pixels import prepare_images
from models.rsrefseg2.config import Sam2Config
from models.weights.files import foundation_files
from models.weights.sam2 import load_sam2, read_sam2_folder
from tests.checkpoints import write_sam2_checkpoint
from tests.models.rsrefseg2.tiny import SAM2
from tests.tiny import random_image


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint in the published layout: a model of video, whose image part is SAM2."""
    folder = tmp_path_factory.mktemp("published")
    write_sam2_checkpoint(folder)
    return folder


def test_a_published_model_of_video_gives_its_image_part(published: Path, tmp_path: Path) -> None:
    config = Sam2Config.model_validate(SAM2)
    save_tensors(foundation_files(tmp_path)["sam"], read_sam2_folder(config, published))
    sam, theirs = load_sam2(config, tmp_path), Sam2Model.from_pretrained(published)
    images = [random_image(40, 72, 0)]
    with torch.no_grad():
        pixels = prepare_images(images, 64, sam.pixel_mean, sam.pixel_std)
        expected = theirs.vision_encoder(pixels).fpn_hidden_states
        for one, other in zip(sam.encode(images), expected, strict=True):
            torch.testing.assert_close(one, other)
    found = sam.distinct_state()
    assert set(found) <= set(theirs.state_dict())
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in found.items())


def test_another_model_than_the_configuration_s_is_refused(published: Path, subtests: pytest.Subtests) -> None:
    for part, key, value in (
        ("backbone", "global_attention_blocks", [2]),
        ("mask_decoder", "num_attention_heads", 4),
        ("vision", "fpn_top_down_levels", [3]),
    ):
        changed = Sam2Config.model_validate({**SAM2, part: {**SAM2[part], key: value}})
        with subtests.test(key), pytest.raises(CheckpointError, match=rf"{key} is .* and sam\.{part}\.{key} is"):
            read_sam2_folder(changed, published)


def test_a_model_that_is_not_sam_2_is_refused(published: Path, tmp_path: Path) -> None:
    said = json.loads((published / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**said, "model_type": "sam"}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="model_type is 'sam', and this model is 'sam2'"):
        read_sam2_folder(Sam2Config.model_validate(SAM2), tmp_path)
