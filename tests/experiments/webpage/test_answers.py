from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data.images import Picture
from benchmark.output.escaping import visible
from experiments.published import Bin
from experiments.webpage.answers import Answer, measured_share, percent, render, render_fault, segment
from models.rsrefseg import RSRefSeg
from tests.hostile import HOSTILE, Reader
from tests.tiny import tiny_model, write_foundation
from tests.trained import picture

BINS = [Bin(low=0, high=0.5, share=0.1), Bin(low=0.5, high=0.8, share=None), Bin(low=0.8, high=1, share=0.9)]


def test_what_probabilities_were_worth_by_hand() -> None:
    """A bin is open below and closed above; one without test pixels is its lower neighbour's."""
    found = measured_share(np.array([0.2, 0.5, 0.6, 0.79, 0.9, 1.0], np.float32), BINS)
    assert found == pytest.approx((4 * 0.1 + 2 * 0.9) / 6)
    assert measured_share(np.zeros(0, np.float32), BINS) is None
    assert measured_share(np.ones(3, np.float32), []) is None


def test_an_answer_is_the_model_s_and_its_numbers_are_of_its_own_probabilities(tmp_path: Path) -> None:
    network: RSRefSeg = tiny_model(write_foundation(tmp_path / "tiny")).eval()
    image, sentences = np.array(picture(900, 700)), ["the red ship", "road"]
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    found, notes = segment(network, Picture(image, None, 1), sentences, BINS)
    assert notes == []
    asked = network.predict_logits([tensor], sentences, [0, 0])
    for answer, sentence, logits in zip(found, sentences, asked, strict=True):
        assert answer.sentence == sentence
        probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
        np.testing.assert_array_equal(answer.mask, logits > 0)
        assert answer.inside == pytest.approx(probability[logits > 0].mean(), abs=1e-4)
        maybe = probability[probability > 0.3]
        assert answer.unsure == pytest.approx((maybe < 0.7).mean(), abs=1e-4)
        assert {shown.shape for shown in answer.pictures.values()} == {(498, 640, 3)}


def test_a_mask_without_a_pixel_is_said_to_be_none(tmp_path: Path) -> None:
    network = tiny_model(write_foundation(tmp_path / "tiny")).eval()
    network.predict_logits = lambda images, texts, index: [np.full((51, 90), -3, np.float32)] * len(texts)  # type: ignore[method-assign]
    (answer,), _ = segment(network, Picture(np.array(picture()), None, 1), ["road"], BINS)
    assert (answer.inside, answer.unsure, answer.right) == (None, None, None)
    assert answer.highest == pytest.approx(0.0474, abs=1e-4)


def test_where_there_is_no_data_nothing_is_and_nothing_is_likely(tmp_path: Path) -> None:
    network = tiny_model(write_foundation(tmp_path / "tiny")).eval()
    network.predict_logits = lambda images, texts, index: [np.full((51, 90), 3, np.float32)] * len(texts)  # type: ignore[method-assign]
    known = np.zeros((51, 90), bool)
    known[:, :40] = True
    (answer,), _ = segment(network, Picture(np.array(picture()), known, 1), ["road"], BINS)
    assert np.array_equal(answer.mask, known)
    assert answer.inside == pytest.approx(0.9526, abs=1e-4)


def test_only_all_and_nothing_read_as_all_and_nothing() -> None:
    assert [percent(value) for value in (0, 0.0004, 0.5, 0.99999, 1)] == [
        "0.0 %", "less than 0.1 %", "50.0 %", "99.9 %", "100.0 %",
    ]  # fmt: skip


def test_the_variant_says_which_activations_there_are(tmp_path: Path) -> None:
    network = tiny_model(write_foundation(tmp_path / "tiny"), "global_only").eval()
    (answer,), _ = segment(network, Picture(np.array(picture()), None, 1), ["road"], [])
    assert list(answer.pictures) == ["mask", "probability", "global activation", "dense prompt"]


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.strip()])
def test_sentences_notes_and_alerts_are_text_on_the_page(text: str) -> None:
    pixel = np.zeros((1, 1, 3), np.uint8)
    answer = Answer(text, np.ones((1, 1), bool), 0.9, 0.9, 0.1, None, {"mask": pixel})
    reader = Reader()
    reader.feed(render([answer], [text], text))
    assert {tag for tag, _ in reader.tags} == {*"section p h3 ul li b div figure img figcaption".split()}
    (image,) = (dict(attributes) for tag, attributes in reader.tags if tag == "img")
    assert set(image) == {"src", "alt"}
    assert image["alt"] == f"mask: {visible(text, keep=chr(10))}"
    assert reader.text.count(visible(text, keep="\n")) >= 2
    reader = Reader()
    reader.feed(render_fault(text))
    assert [tag for tag, _ in reader.tags] == ["p"]
    assert reader.text.strip("\n") == visible(text, keep="\n").strip("\n")
