"""CLIPSeg and SAM 3 on tiny random checkpoints, against their own forward in transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from models import system
from models.checkpoint import CheckpointError, save_tensors
from models.config import SettingError
from models.pixels import prepare_images
from models.tokens import TruncationWarning
from models.zeroshot.clipseg import ClipSeg
from models.zeroshot.config import ClipSegConfig, Sam3Config
from models.zeroshot.sam3 import Sam3
from models.zeroshot.sizes import CLIPSEG, SAM3
from models.zeroshot.zeroshot import ZeroShot
from tests.checkpoints import as_video, change_json, write_clipseg_checkpoint, write_sam3_checkpoint
from tests.tiny import random_image

SIZES = ((40, 72), (64, 64), (90, 51))
IMAGES = [random_image(height, width, seed) for seed, (height, width) in enumerate(SIZES)]
TEXTS, IMAGE_INDEX = ["the red ship", "harbor", "the small ship near the road", "green tank"], [2, 0, 0, 1]
CLIPSEG_32 = ClipSegConfig.model_validate({**CLIPSEG["clipseg"], "side": 32})
SAM3_56 = Sam3Config.model_validate(SAM3["sam3"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A published folder of each."""
    found = {name: tmp_path_factory.mktemp(name) for name in ("clipseg", "sam3")}
    write_clipseg_checkpoint(found["clipseg"])
    write_sam3_checkpoint(found["sam3"])
    return found


Ready = Callable[[str], ZeroShot]


@pytest.fixture(scope="module")
def ready(folders: dict[str, Path]) -> Ready:
    models: dict[str, ZeroShot] = {
        "clipseg": ClipSeg.from_foundation(CLIPSEG_32, folders["clipseg"]),
        "sam3": Sam3.from_foundation(SAM3_56, folders["sam3"]),
        "semantic": (semantic := Sam3.from_foundation(SAM3_56, folders["sam3"])),
    }
    semantic.reading = "semantic"
    return models.__getitem__


def theirs(model: ZeroShot, name: str) -> Tensor:
    """Each expression with an image of its own, by transformers' forward."""
    ids, mask = model.tokens(TEXTS)
    pixels = prepare_images([IMAGES[index] for index in IMAGE_INDEX], model.side, model.pixel_mean, model.pixel_std)
    output = model.network(pixel_values=pixels, input_ids=ids, attention_mask=mask)
    if name == "clipseg":
        return output.logits
    if name == "semantic":
        return output.semantic_seg[:, 0]
    scores = output.pred_logits.sigmoid() * output.presence_logits.sigmoid()
    return torch.stack([masks[score.argmax()] for masks, score in zip(output.pred_masks, scores, strict=True)])


def test_sharing_images_gives_what_transformers_gives(ready: Ready, subtests: pytest.Subtests) -> None:
    for name in ("clipseg", "sam3", "semantic"):
        with subtests.test(name), torch.no_grad():
            model = ready(name)
            found = model(IMAGES, TEXTS, IMAGE_INDEX)
            torch.testing.assert_close(found, theirs(model, name), rtol=0, atol=1e-4)
            assert (found[1] - found[2]).abs().max() > 1e-3, "the words do not matter"


def test_few_expressions_are_decoded_at_once_and_each_image_is_encoded_once(
    ready: Ready, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    """Whatever memory a batch's expressions would take; SAM 3 encodes one image at a time as well."""
    monkeypatch.setattr(system, "EXPANDED", 1)
    for name, sizes in (("clipseg", [3]), ("sam3", [1, 1, 1])):
        model = ready(name)
        encoder = model.network.vision_encoder if name == "sam3" else model.network.clip.vision_model
        decoder = model.network.detr_encoder if name == "sam3" else model.network.decoder
        encoded: list[int] = []
        decoded: list[int] = []
        hooks = [
            encoder.register_forward_pre_hook(lambda _, args, sizes=encoded: sizes.append(len(args[0]))),
            decoder.register_forward_hook(lambda _, args, output, sizes=decoded: sizes.append(len(output[0]))),
        ]
        with subtests.test(name), torch.no_grad():
            found = model(IMAGES, TEXTS, IMAGE_INDEX)
            for hook in hooks:
                hook.remove()
            assert encoded == sizes
            assert decoded == [1] * len(TEXTS)
            torch.testing.assert_close(found, theirs(model, name), rtol=0, atol=1e-4)


def test_masks_come_at_each_image_s_own_size(ready: Ready, subtests: pytest.Subtests) -> None:
    for name in ("clipseg", "sam3"):
        with subtests.test(name):
            masks = ready(name).predict(IMAGES, TEXTS, IMAGE_INDEX)
            assert [mask.shape for mask in masks] == [SIZES[index] for index in IMAGE_INDEX]


def test_a_text_that_is_too_long_is_cut_and_counted(ready: Ready) -> None:
    with pytest.warns(TruncationWarning, match="1 expressions hold more than 10 tokens"):
        ready("sam3").predict(IMAGES[:1], ["the red ship near the small green tank in the upper left corner"], [0])


def test_sam_3_is_read_out_of_a_model_of_video(folders: dict[str, Path], tmp_path: Path, ready: Ready) -> None:
    as_video(folders["sam3"], tmp_path)
    with torch.no_grad():
        found = Sam3.from_foundation(SAM3_56, tmp_path)(IMAGES, TEXTS, IMAGE_INDEX)
        torch.testing.assert_close(found, ready("sam3")(IMAGES, TEXTS, IMAGE_INDEX))


def test_weights_that_are_missing_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    copy(folders["clipseg"], tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["decoder.film_mul.weight"]
    save_tensors(tmp_path / "model.safetensors", tensors, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 missing \(decoder\.film_mul\.weight\)"):
        ClipSeg.from_foundation(CLIPSEG_32, tmp_path)


def test_an_end_token_that_texts_never_have_is_refused_and_the_largest_is_one(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    copy(folders["clipseg"], tmp_path)
    for end in (3, 2):
        change_json(tmp_path / "config.json", text_config={"eos_token_id": end})
        if end == 3:
            with pytest.raises(CheckpointError, match=r"the end token is number 0, and config\.json looks for 3"):
                ClipSeg.read(CLIPSEG_32, tmp_path)
        else:  # older files; the network takes the largest number for the end
            ClipSeg.read(CLIPSEG_32, tmp_path)


def test_pixels_and_sides_that_are_not_the_network_s_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    copy(folders["clipseg"], tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    with pytest.raises(CheckpointError, match=r"image_mean is \[0\.5, 0\.5, 0\.5\] and pixel_mean is \[0\.485, "):
        ClipSeg.from_foundation(CLIPSEG_32, tmp_path)
    with pytest.raises(SettingError, match="side is 36, which patches of 8 px do not fill"):
        ClipSeg.from_foundation(CLIPSEG_32.model_copy(update={"side": 36}), folders["clipseg"])


def copy(folder: Path, into: Path) -> None:
    for file in folder.iterdir():
        (into / file.name).write_bytes(file.read_bytes())
