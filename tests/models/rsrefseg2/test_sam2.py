from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import Sam2Model

from models.config import SettingError
from models.pixels import prepare_images
from models.rsrefseg2.config import Sam2Config
from models.rsrefseg2.sam2 import Sam2
from tests.models.rsrefseg2.tiny import SAM2
from tests.tiny import draw_weights, random_image

IMAGES = [random_image(40, 72, 0), random_image(64, 64, 1)]


def built(**decoder: object) -> Sam2:
    torch.manual_seed(0)
    sam = Sam2(Sam2Config.model_validate({**SAM2, "mask_decoder": {**SAM2["mask_decoder"], **decoder}}))
    draw_weights(sam, 0)
    return sam.eval()


def prompts(number: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(number)
    return torch.randn(number, 4, 32), torch.randn(number, 16, 16)


def masks_of(sam: Sam2, image_index: list[int], sparse: Tensor, heat: Tensor) -> Tensor:
    return sam.decode(sam.embed(sam.encode(IMAGES)).of(image_index), sparse, sam.embed_masks(heat))[0]


def test_the_parts_called_directly_are_transformers_own_forward() -> None:
    sam = built()
    points, labels = torch.tensor([[[[20.0, 30]]], [[[50.0, 8]]]]), torch.ones(2, 1, 1, dtype=torch.int64)
    heat = prompts(2)[1]
    pixels = prepare_images(IMAGES, 64, sam.pixel_mean, sam.pixel_std)
    assert isinstance(sam.model, Sam2Model)
    sam.model.backbone_feature_sizes = [[16, 16], [8, 8], [4, 4]]
    with torch.no_grad():
        theirs = sam.model(pixels, points, labels, input_masks=heat[:, None], multimask_output=False).pred_masks
        sparse = sam.model.prompt_encoder(points, labels, None, None)[0][:, 0]
        torch.testing.assert_close(masks_of(sam, [0, 1], sparse, heat), theirs[:, 0, 0])


def test_prompts_are_decoded_each_by_itself() -> None:
    sam, index, (sparse, heat) = built().double(), [1, 0, 1], prompts(3)
    with torch.no_grad():
        together = masks_of(sam, index, sparse.double(), heat.double())
        assert together.shape == (3, 16, 16)
        for place in range(3):
            one = slice(place, place + 1)
            alone = masks_of(sam, index[one], sparse[one].double(), heat[one].double())
            torch.testing.assert_close(alone[0], together[place], rtol=0, atol=1e-9)
        assert (together[0] - together[2]).abs().max() > 1e-3


def test_the_mask_is_never_replaced_by_one_that_training_did_not_see() -> None:
    sparse, heat = prompts(2)
    unstable = {"dynamic_multimask_stability_thresh": 2.0}
    with torch.no_grad():
        trained = masks_of(built(**unstable).train(), [0, 1], sparse, heat)
        predicted = masks_of(built(**unstable), [0, 1], sparse, heat)
        replaced = masks_of(built(**unstable, dynamic_multimask_via_stability=True), [0, 1], sparse, heat)
    assert torch.equal(predicted, trained)
    assert (replaced - trained).abs().max() > 1e-3


def test_every_level_of_the_pyramid_is_learnt_from() -> None:
    sam, (sparse, heat) = built(), prompts(2)
    masks_of(sam, [0, 1], sparse, heat).sum().backward()
    decoder, encoder = sam.model.mask_decoder, sam.model.vision_encoder
    learning = [*decoder.conv_s0.parameters(), *decoder.conv_s1.parameters(), sam.model.no_memory_embedding]
    learning += [*encoder.neck.parameters(), *encoder.backbone.patch_embed.parameters()]
    assert len(learning) == 2 + 2 + 1 + 8 + 2
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in learning)


def test_windows_that_do_not_divide_the_first_grid_are_refused_before_hiera_fails() -> None:
    with pytest.raises(ValueError, match="begins with 5, which does not divide the first grid of 16"):
        Sam2Config.model_validate({**SAM2, "backbone": {**SAM2["backbone"], "window_size_per_stage": [5, 2, 4, 2]}})


def test_a_setting_that_sam_2_does_not_have_is_refused_with_the_nearest() -> None:
    config = Sam2Config.model_validate({**SAM2, "backbone": {**SAM2["backbone"], "block_per_stage": [1]}})
    with pytest.raises(SettingError, match=r"sam\.backbone\.block_per_stage: .* did you mean blocks_per_stage"):
        Sam2(config)
