from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from models.checkpoint import CheckpointError
from models.tokens import Tokens, TruncationWarning, load_tokenizer
from tests.tiny import FAMILIES, SPECIAL, WORDS, tiny_tokenizer, tiny_tokenizer_file

LENGTH = 8
END = {"siglip": "</s>", "siglip2": "<eos>", "clip": "<|endoftext|>"}
PADDING = {"siglip": "</s>", "siglip2": "<pad>", "clip": "<|endoftext|>"}


def tokens(folder: Path, family: str) -> Tokens:
    return Tokens(tiny_tokenizer(folder, family), family, LENGTH)


def ids(family: str, words: list[str]) -> list[int]:
    return [[*SPECIAL[family], *WORDS].index(word) for word in words]


def test_an_expression_is_framed_ended_and_filled_up_as_its_family_was_trained(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for family in FAMILIES:
        with subtests.test(family):
            begin = ["<|startoftext|>"] if family == "clip" else []
            words = [*begin, "the", "red", "ship", END[family]]
            found, mask = tokens(tmp_path, family)(["the red ship"])
            assert found.tolist() == [ids(family, words + [PADDING[family]] * (LENGTH - len(words)))]
            assert mask.tolist() == [[True] * len(words) + [False] * (LENGTH - len(words))]
            assert (found.dtype, mask.dtype) == (torch.int64, torch.bool)


def test_every_expression_comes_out_at_one_length_whatever_is_beside_it(
    tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for family in FAMILIES:
        with subtests.test(family):
            read = tokens(tmp_path, family)
            alone, alone_mask = read(["the red ship"])
            with pytest.warns(TruncationWarning):
                beside, beside_mask = read(["road", "the red ship", " ".join(WORDS)])
            assert alone.shape == (1, LENGTH)
            assert torch.equal(beside[1], alone[0])
            assert torch.equal(beside_mask[1], alone_mask[0])


def test_what_is_too_long_is_cut_and_keeps_its_end(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for family in FAMILIES:
        with subtests.test(family):
            with pytest.warns(TruncationWarning):
                found, mask = tokens(tmp_path, family)([" ".join(["ship"] * 20)])
            assert mask.all()
            framing = 1 + (family == "clip")
            begin = ["<|startoftext|>"] if family == "clip" else []
            assert found[0].tolist() == ids(family, [*begin, *["ship"] * (LENGTH - framing), END[family]])


def test_what_was_cut_is_counted_once_each(tmp_path: Path) -> None:
    read = tokens(tmp_path, "siglip")
    long = [" ".join([word] * 9) for word in ("ship", "road", "tank")]
    with pytest.warns(TruncationWarning, match=r"^2 expressions hold more than 8 tokens and were cut \(2 so far\)"):
        read([long[0], "road", long[1], long[0]])
    with pytest.warns(TruncationWarning, match=r"^1 expressions hold more than 8 tokens and were cut \(3 so far\)"):
        read(long)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(long)
        read([" ".join(["ship"] * 7)])  # seven words and the end: just fits


def test_case_and_for_siglip_punctuation_say_nothing(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for family, text in (("siglip", "The RED, ship!"), ("siglip2", "The RED ship")):
        with subtests.test(family):
            read = tokens(tmp_path, family)
            read.tokenizer.backend_tokenizer.normalizer = None  # the published tokenizer.json may not do it
            assert torch.equal(read([text])[0], read(["the red ship"])[0])


def test_siglip_2_keeps_punctuation(tmp_path: Path) -> None:
    read = tokens(tmp_path, "siglip2")
    assert not torch.equal(read(["the red, ship"])[0], read(["the red ship"])[0])


def test_unknown_words_are_read(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for family in FAMILIES:
        with subtests.test(family):
            _, mask = tokens(tmp_path, family)(["Überführung 東"])
            assert mask.sum() == 3 + (family == "clip")


def test_an_expression_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expression '\?!' holds nothing that CLIP reads: use words"):
        tokens(tmp_path, "siglip")(["road", "?!"])


def test_a_missing_tokenizer_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json: .*python -m experiments\.foundation"):
        load_tokenizer(tmp_path / "tokenizer.json", "siglip")


def test_a_truncated_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    file = tiny_tokenizer_file(tmp_path / "tokenizer.json")
    file.write_text(file.read_text(encoding="utf-8")[:100], encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: not a whole tokenizer"):
        load_tokenizer(file, "siglip")
