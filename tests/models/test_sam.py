from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from models.config import ModelConfig
from models.sam import Sam
from models.weights.foundation import load_sam
from models.zoo import MODELS
from tests.tiny import random_image

IMAGES = [random_image(64, 64, 0), random_image(30, 90, 1)]


@pytest.fixture(scope="module")
def sam(config: ModelConfig, weights: Path) -> Sam:
    return load_sam(config.sam, weights).eval().requires_grad_(False)


def mini() -> Sam:
    torch.manual_seed(0)
    return Sam(ModelConfig.model_validate(MODELS["mini"]).sam)


def test_shapes_are_those_the_docstrings_promise(sam: Sam) -> None:
    assert sam.encode(IMAGES).shape == (2, 32, 8, 8)
    assert sam.positional_encoding(5, 7).shape == (1, 32, 5, 7)
    assert sam.embed_points(torch.rand(3, 2, 2) * 64, torch.ones(3, 2)).shape == (3, 3, 32)
    assert sam.embed_boxes(torch.rand(3, 4) * 64).shape == (3, 2, 32)
    assert sam.embed_masks(torch.randn(3, 32, 32)).shape == (3, 32, 8, 8)
    assert sam.no_mask().shape == (1, 32, 1, 1)


def test_any_number_of_sparse_prompts_gives_one_mask_each(sam: Sam, subtests: pytest.Subtests) -> None:
    image = sam.encode(IMAGES)[[0, 1, 1]]
    for prompts in (0, 1, 5):
        with subtests.test(prompts=prompts):
            logits, quality = sam.decode(image, torch.randn(3, prompts, 32), sam.no_mask())
            assert logits.shape == (3, 32, 32)
            assert quality.shape == (3,)
            assert logits.isfinite().all()


def test_a_mask_does_not_depend_on_the_prompts_decoded_beside_it(sam: Sam) -> None:
    torch.manual_seed(1)
    image, sparse, dense = sam.encode(IMAGES)[[0, 1, 1]], torch.randn(3, 4, 32), torch.randn(3, 32, 8, 8)
    together, _ = sam.decode(image, sparse, dense)
    for number in range(3):
        alone, _ = sam.decode(image[[number]], sparse[[number]], dense[[number]])
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=1e-5)


def test_the_single_mask_output_is_the_decoder_s_first_mask(sam: Sam) -> None:
    torch.manual_seed(1)
    image, sparse = sam.encode(IMAGES[:1]), torch.randn(1, 4, 32)
    logits, _ = sam.decode(image, sparse, sam.no_mask())
    decoder = sam.model.mask_decoder
    spoilt = [decoder.output_hypernetworks_mlps[number] for number in (1, 2)]
    handles = [mlp.register_forward_hook(lambda _, __, output: output + 100) for mlp in spoilt]
    again, _ = sam.decode(image, sparse, sam.no_mask())
    for handle in handles:
        handle.remove()
    assert torch.equal(logits, again)


def test_both_kinds_of_prompt_reach_the_mask(sam: Sam) -> None:
    torch.manual_seed(1)
    image, sparse = sam.encode(IMAGES[:1]), torch.randn(1, 4, 32)
    plain, _ = sam.decode(image, sparse, sam.no_mask())
    assert (sam.decode(image, 2 * sparse, sam.no_mask())[0] - plain).abs().max() > 1e-3
    assert (sam.decode(image, sparse, sam.embed_masks(torch.randn(1, 32, 32)))[0] - plain).abs().max() > 1e-3


def test_the_positional_encoding_is_transformers_own_on_the_embedding_grid(sam: Sam) -> None:
    own = sam.model.get_image_wide_positional_embeddings()
    torch.testing.assert_close(sam.positional_encoding(8, 8), own.reshape(1, 32, 8, 8))


def test_the_positional_encoding_of_a_cell_is_that_of_a_point_at_its_centre(sam: Sam) -> None:
    grid = sam.positional_encoding(4, 8)  # 4 rows of 16 px, 8 columns of 8 px
    for row, column in ((0, 0), (1, 6), (3, 2)):
        centre = (
            torch.tensor([[[8 * column + 4.0, 16 * row + 8.0]]]) - 0.5
        )  # a pixel's number is its centre less a half
        point = sam.embed_points(centre, torch.ones(1, 1))[0, 0] - sam.model.prompt_encoder.point_embed[1].weight[0]
        torch.testing.assert_close(grid[0, :, row, column], point, rtol=0, atol=1e-4)


def test_points_on_and_off_the_object_and_box_corners_are_told_apart(sam: Sam) -> None:
    place = torch.tensor([[[10.0, 20.0]]])
    on, off = (sam.embed_points(place, torch.full((1, 1), label))[0, 0] for label in (1.0, 0.0))
    corners = sam.embed_boxes(torch.tensor([[10.0, 20.0, 10.0, 20.0]]))[0]
    embeddings = [on, off, *corners]
    for number, one in enumerate(embeddings):
        for other in embeddings[:number]:
            assert (one - other).abs().max() > 1e-2


def test_a_fresh_sam_has_positional_frequencies_from_which_something_can_be_learnt() -> None:
    frequencies = mini().model.shared_image_embedding.positional_embedding
    assert 0.7 < frequencies.std().item() < 1.3  # transformers' own draw has hidden_size // 2 = 48


def test_image_and_prompts_share_the_same_frequencies() -> None:
    sam = mini()
    shared = sam.model.shared_image_embedding.positional_embedding
    assert sam.model.prompt_encoder.shared_embedding.positional_embedding is shared


def test_gradients_do_not_vanish_in_a_fresh_sam() -> None:
    sam = mini()
    points = sam.embed_points(torch.full((2, 1, 2), 50.0), torch.ones(2, 1))
    logits, _ = sam.decode(sam.encode(IMAGES), points, sam.no_mask())
    binary_cross_entropy_with_logits(logits, (torch.rand_like(logits) > 0.5).float()).backward()
    encoder = dict(sam.model.vision_encoder.named_parameters())
    for name in ("patch_embed.projection.weight", "layers.0.attn.qkv.weight", "layers.3.mlp.lin2.weight"):
        assert encoder[name].grad.norm() > 1e-8, name  # at transformers' own initializer_range: 1e-15


def test_distinct_state_holds_every_weight_once(sam: Sam) -> None:
    state = sam.distinct_state()
    left_out = set(sam.model.state_dict()) - set(state)
    assert left_out == {"prompt_encoder.shared_embedding.positional_embedding"}
    assert len({value.data_ptr() for value in state.values()}) == len(state)
