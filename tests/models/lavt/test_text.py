from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.tokens import ExpressionError, Tokens, TruncationWarning
from tests.language_aware import PLAIN, close, drawn, lavt_config, tiny_text
from tests.tiny import SPECIAL, WORDS, tiny_tokenizer

VOCABULARY = [*SPECIAL["bert"], *WORDS]


def ids(*words: str) -> list[int]:
    return [VOCABULARY.index(word) for word in words]


def test_a_text_is_framed_and_filled_up_with_zeros(tmp_path: Path) -> None:
    found, mask = Tokens(tiny_tokenizer(tmp_path, "bert"), "bert", 8)(["the red boat"])
    assert found.tolist() == [[*ids("[CLS]", "the", "red", "[UNK]", "[SEP]"), 0, 0, 0]]
    assert mask.tolist() == [[True] * 5 + [False] * 3]


def test_a_text_that_is_too_long_is_cut_where_it_stands_and_loses_its_end(tmp_path: Path) -> None:
    read = Tokens(tiny_tokenizer(tmp_path, "bert"), "bert", 6)
    fits, _ = read([" ".join(["ship"] * 4)])
    assert fits[0].tolist() == ids("[CLS]", *["ship"] * 4, "[SEP]")
    for words in (5, 6, 20):  # of five, the end token alone is lost
        with pytest.warns(TruncationWarning, match=r"^1 expressions hold more than 6 tokens"):
            found, mask = read([" ".join(["ship"] * words)])
        assert found[0].tolist() == ids("[CLS]", *["ship"] * 5)
        assert mask.all()


def test_a_text_of_nothing_that_bert_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExpressionError, match=r"'\\u3000' holds nothing that BERT reads"):
        Tokens(tiny_tokenizer(tmp_path, "bert"), "bert", 8)(["road", "\u3000"])


def test_what_comes_out_of_a_text_depends_on_it_alone(tmp_path: Path) -> None:
    short = drawn(tiny_text(lavt_config(), tmp_path))
    longer = drawn(tiny_text(lavt_config(text={**PLAIN["text"], "length": 12}), tmp_path))
    alone, beside, padded = short(["the red ship"]), short(["road", "the red ship"]), longer(["the red ship"])
    count = int(alone.mask_NT.sum())
    assert count == 5
    close(beside.state_NTD[1, :count], alone.state_NTD[0, :count])
    close(padded.state_NTD[0, :count], alone.state_NTD[0, :count])
    assert torch.equal(padded.mask_NT[0].nonzero(), alone.mask_NT[0].nonzero())


def test_lower_layers_train_and_nothing_else(tmp_path: Path) -> None:
    trained = {name for name, one in tiny_text(lavt_config(), tmp_path).named_parameters() if one.requires_grad}
    assert {name.split(".")[3] for name in trained} == {"0", "1"}
    assert all(name.startswith("bert.encoder.layer.") for name in trained)
