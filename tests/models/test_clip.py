from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.clip import Clip, load_tokenizer
from models.config import ModelConfig
from models.foundation import load_clip
from models.images import prepare_images
from tests.tiny import WORDS, random_image

LENGTH, WIDTH = 10, 32


@pytest.fixture(scope="module")
def clip(config: ModelConfig, weights: Path) -> Clip:
    return load_clip(config.clip, weights).eval().requires_grad_(False)


def test_features_have_the_shapes_the_prompter_reads(clip: Clip) -> None:
    images = [random_image(20, 50, 0), random_image(32, 32, 1), random_image(7, 9, 2)]
    features = clip(images, ["the red ship", "road"])
    assert features.visual_BCHW.shape == (3, WIDTH, 8, 8)
    assert features.text_NTC.shape == (2, LENGTH, WIDTH)
    assert features.mask_NT.shape == (2, LENGTH)
    assert features.mask_NT.dtype == torch.bool
    assert features.sentence_NC.shape == (2, WIDTH)
    assert features.scale.item() == pytest.approx(torch.tensor(3.0).exp().item())  # not the logarithm
    assert features.bias.item() == pytest.approx(-0.3)


def test_the_visual_map_holds_the_last_hidden_state_row_by_row(clip: Clip) -> None:
    images = [random_image(32, 32, 1)]
    hidden = clip.model.vision_model(prepare_images(images, 32, clip.pixel_mean, clip.pixel_std)).last_hidden_state
    visual = clip.encode_images(images)
    for row, column in ((0, 0), (0, 7), (3, 5), (7, 0)):
        torch.testing.assert_close(visual[0, :, row, column], hidden[0, 8 * row + column])


def test_a_patch_lies_where_it_is_in_the_image(clip: Clip) -> None:
    dark = torch.zeros(3, 32, 32, dtype=torch.uint8)
    lit = dark.clone()
    lit[:, 4:8, 24:28] = 255  # row 1, column 6
    with torch.no_grad():
        change = [clip.model.vision_model.embeddings.patch_embedding(image[None] / 255.0) for image in (dark, lit)]
        moved = (change[1] - change[0]).abs().sum(1)[0]
    assert moved.nonzero().tolist() == [[1, 6]]
    difference = (clip.encode_images([lit]) - clip.encode_images([dark])).norm(dim=1)[0]
    assert difference.argmax().item() == 8 * 1 + 6


def test_text_is_padded_to_one_length_whatever_is_beside_it(clip: Clip) -> None:
    for texts in (["road"], ["road", "the red ship left of the harbor"], ["road"] * 3):
        tokens, mask, _ = clip.encode_texts(texts)
        assert tokens.shape[1] == mask.shape[1] == LENGTH


def test_features_of_an_expression_do_not_depend_on_the_expressions_beside_it(clip: Clip) -> None:
    alone = clip.encode_texts(["the red ship"])
    among = clip.encode_texts(["road", " ".join(WORDS), "the red ship"])
    for one, other in zip(alone, among, strict=True):
        torch.testing.assert_close(other[2], one[0], rtol=0, atol=1e-6)


def test_the_mask_marks_the_expression_s_own_tokens_from_the_left(clip: Clip) -> None:
    _, mask, _ = clip.encode_texts(["road", "the red ship"])
    assert mask.tolist() == [[True] * 2 + [False] * 8, [True] * 4 + [False] * 6]  # words and the end of the text


def test_a_text_that_is_too_long_is_cut_and_keeps_its_end_token(clip: Clip) -> None:
    words = (WORDS * 3)[:40]
    long, mask, sentence = clip.encode_texts([" ".join(words)])
    cut, _, cut_sentence = clip.encode_texts([" ".join(words[: LENGTH - 1])])
    assert mask.all()
    torch.testing.assert_close(long, cut)
    torch.testing.assert_close(sentence, cut_sentence)
    kept = clip.tokenizer(" ".join(words), max_length=LENGTH, truncation=True)["input_ids"]
    assert kept[-1] == clip.tokenizer.eos_token_id


def test_unknown_words_are_read_and_known_ones_tell_apart(clip: Clip) -> None:
    tokens, mask, sentence = clip.encode_texts(["Überführung 東", "the RED ship", "the red ship", "the green ship"])
    assert tokens.isfinite().all()
    assert mask[0].sum() == 3
    assert torch.equal(sentence[1], sentence[2])
    assert (sentence[2] - sentence[3]).abs().max() > 1e-2


def test_a_missing_tokenizer_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json: .*python -m experiments\.foundation"):
        load_tokenizer(tmp_path / "tokenizer.json")
