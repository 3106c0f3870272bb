from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.clip import Clip
from models.pixels import prepare_images
from models.prompter import similarity
from models.tokens import TruncationWarning
from models.weights.foundation import load_clip
from tests.tiny import FAMILIES, WORDS, random_image, tiny_config

LENGTH, WIDTH = 10, 32


@pytest.fixture(scope="module")
def clips(foundations: dict[str, Path]) -> dict[str, Clip]:
    return {
        family: load_clip(tiny_config(family=family).clip, foundations[family]).eval().requires_grad_(False)
        for family in FAMILIES
    }


def test_every_family_gives_features_of_the_same_shapes(clips: dict[str, Clip], subtests: pytest.Subtests) -> None:
    images = [random_image(20, 50, 0), random_image(32, 32, 1), random_image(7, 9, 2)]
    for family, clip in clips.items():
        with subtests.test(family):
            features = clip(images, ["the red ship", "road"])
            assert features.visual_BCHW.shape == (3, WIDTH, 8, 8)
            assert features.text_NTC.shape == (2, LENGTH, WIDTH)
            assert features.mask_NT.shape == (2, LENGTH)
            assert features.mask_NT.dtype == torch.bool
            assert features.sentence_NC.shape == (2, WIDTH)
            assert features.scale.item() == pytest.approx(torch.tensor(3.0).exp().item())  # not the logarithm
            assert features.bias.item() == pytest.approx(0 if family == "clip" else -0.3)
            assert (features.neutral_C is not None) == (family == "clip")


def test_siglip_s_map_is_the_last_hidden_state_row_by_row(clips: dict[str, Clip], subtests: pytest.Subtests) -> None:
    images = [random_image(32, 32, 1)]
    for family in ("siglip", "siglip2"):
        with subtests.test(family):
            clip = clips[family]
            pixels = prepare_images(images, 32, clip.pixel_mean, clip.pixel_std)
            hidden, visual = clip.model.vision_model(pixels).last_hidden_state, clip.encode_images(images)
            for row, column in ((0, 0), (0, 7), (3, 5), (7, 0)):
                torch.testing.assert_close(visual[0, :, row, column], hidden[0, 8 * row + column])


def test_clip_s_map_leaves_out_CLS_and_is_normed_and_projected_as_CLS_is(clips: dict[str, Clip]) -> None:
    clip, images = clips["clip"], [random_image(32, 32, 1)]
    pixels = prepare_images(images, 32, clip.pixel_mean, clip.pixel_std)
    hidden = clip.model.vision_model(pixels).last_hidden_state
    assert hidden.shape[1] == 1 + 8 * 8
    visual = clip.encode_images(images)
    for row, column in ((0, 0), (0, 7), (3, 5), (7, 0)):
        state = hidden[0, 1 + 8 * row + column]
        projected = clip.model.visual_projection(clip.model.vision_model.post_layernorm(state))
        torch.testing.assert_close(visual[0, :, row, column], projected)
    cls = clip.model.visual_projection(clip.model.vision_model.post_layernorm(hidden[:, 0]))
    torch.testing.assert_close(cls, clip.model.get_image_features(pixels).pooler_output)  # transformers' own way


def test_the_sentence_is_the_one_transformers_compares_images_with(
    clips: dict[str, Clip], subtests: pytest.Subtests
) -> None:
    for family, clip in clips.items():
        with subtests.test(family):
            ids, _ = clip.tokens(["the red ship", "road"])
            own = clip.encode_texts(["the red ship", "road"]).sentence_NC
            torch.testing.assert_close(own, clip.model.get_text_features(ids).pooler_output)


def test_clip_s_sentence_is_its_end_token(clips: dict[str, Clip]) -> None:
    text = clips["clip"].encode_texts(["the red ship", "road"])
    for number in range(2):
        end = int(text.mask_NT[number].sum()) - 1
        torch.testing.assert_close(text.sentence_NC[number], text.text_NTC[number, end])


def test_clip_s_logit_is_its_own_softmax_against_the_neutral_caption(clips: dict[str, Clip]) -> None:
    clip = clips["clip"]
    features = clip([random_image(20, 50, 0)], ["the red ship"])
    G = similarity(features, normalize(features.visual_BCHW, dim=1), features.sentence_NC[:, None])[0, 0]
    pair_2C = normalize(torch.stack([features.sentence_NC[0], clip.encode_texts(["the"]).sentence_NC[0]]), dim=-1)
    patches_CHW = normalize(features.visual_BCHW[0], dim=0)
    softmax_2HW = (features.scale * torch.einsum("kc,chw->khw", pair_2C, patches_CHW)).softmax(0)
    torch.testing.assert_close(G.sigmoid(), softmax_2HW[0])


def test_the_neutral_caption_itself_has_a_logit_of_zero_everywhere(clips: dict[str, Clip]) -> None:
    features = clips["clip"]([random_image(20, 50, 0)], ["the", "ship"])
    logits = similarity(features, normalize(features.visual_BCHW[[0, 0]], dim=1), features.sentence_NC[:, None])
    torch.testing.assert_close(logits[0], torch.zeros(1, 8, 8), rtol=0, atol=1e-4)
    assert logits[1].abs().max() > 0.1


def test_a_patch_lies_where_it_is_in_the_image(clips: dict[str, Clip], subtests: pytest.Subtests) -> None:
    dark = torch.zeros(3, 32, 32, dtype=torch.uint8)
    lit = dark.clone()
    lit[:, 4:8, 24:28] = 255  # row 1, column 6
    for family, clip in clips.items():
        with subtests.test(family):
            with torch.no_grad():
                embed = clip.model.vision_model.embeddings.patch_embedding
                change = [embed(image[None] / 255.0) for image in (dark, lit)]
                moved = (change[1] - change[0]).abs().sum(1)[0]
            assert moved.nonzero().tolist() == [[1, 6]]
            difference = (clip.encode_images([lit]) - clip.encode_images([dark])).norm(dim=1)[0]
            assert difference.argmax().item() == 8 * 1 + 6


def test_features_of_an_expression_do_not_depend_on_the_expressions_beside_it(
    clips: dict[str, Clip], subtests: pytest.Subtests
) -> None:
    def close(one: Tensor, other: Tensor) -> None:
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)

    for family, clip in clips.items():
        with subtests.test(family):
            alone = clip.encode_texts(["the red ship"])
            clip.tokens.cut.clear()
            with pytest.warns(TruncationWarning):
                among = clip.encode_texts(["road", " ".join(WORDS), "the red ship"])
            for one, other in zip(alone[:3], among[:3], strict=True):
                close(other[2].float(), one[0].float())
            if alone.neutral_C is not None and among.neutral_C is not None:
                close(among.neutral_C, alone.neutral_C)


def test_a_text_that_is_too_long_is_read_as_its_beginning(clips: dict[str, Clip], subtests: pytest.Subtests) -> None:
    words = (WORDS * 3)[:40]
    for family, clip in clips.items():
        with subtests.test(family):
            fits = LENGTH - 1 - (family == "clip")
            clip.tokens.cut.clear()
            with pytest.warns(TruncationWarning):
                long = clip.encode_texts([" ".join(words)])
            cut = clip.encode_texts([" ".join(words[:fits])])
            torch.testing.assert_close(long.text_NTC, cut.text_NTC)
            torch.testing.assert_close(long.sentence_NC, cut.sentence_NC)


def test_words_tell_expressions_apart(clips: dict[str, Clip], subtests: pytest.Subtests) -> None:
    for family, clip in clips.items():
        with subtests.test(family):
            sentence = clip.encode_texts(["the RED ship", "the red ship", "the green ship"]).sentence_NC
            assert torch.equal(sentence[0], sentence[1])
            assert (sentence[1] - sentence[2]).abs().max() > 1e-2
