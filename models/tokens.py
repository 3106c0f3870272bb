"""From expressions to token ids, each family's own way, at one fixed length.

N expressions, T tokens.
"""

from __future__ import annotations

import json
import string
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedTokenizerFast

from models.errors import REMEDY, CheckpointError, ExpressionError

# What ends, fills and begins a text. SigLIP pads with its end token and CLIP with its own, as they were trained.
SPECIAL_TOKENS = {
    "siglip": {"pad_token": "</s>", "eos_token": "</s>", "unk_token": "<unk>"},
    "siglip2": {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"},
    "clip": {
        "pad_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "bos_token": "<|startoftext|>",
    },
    "bert": {"pad_token": "[PAD]", "eos_token": "[SEP]", "unk_token": "[UNK]", "bos_token": "[CLS]"},
}


class TruncationWarning(UserWarning):
    """Expressions that hold more tokens than the text encoder reads; the message counts them."""


def _letters_only(text: str) -> str:
    """Lower case, no ASCII punctuation, single spaces."""
    return " ".join(text.lower().translate(str.maketrans("", "", string.punctuation)).split())


# What a text becomes before it is cut into tokens. SigLIP: transformers' SiglipTokenizer.canonicalize_text; SigLIP 2:
# Siglip2Tokenizer; done here, for their tokenizer.json may or may not do it. CLIP's and BERT's do so.
CANONICAL: dict[str, Callable[[str], str]] = {"siglip": _letters_only, "siglip2": str.lower, "clip": str, "bert": str}

LOSES_END = {"bert"}  # cut where they stand, as LAVT does: a text that is too long has no end token


class Tokens:
    """Expressions -> token ids, with a memory of which were cut.

    Args:
        tokenizer: pads on the right.
        family: whose rules: CLIP's families, or BERT.
        length: T, in tokens, the end token included.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, family: str, length: int) -> None:
        self.tokenizer = tokenizer
        self.canonical = CANONICAL[family]
        self.length = length
        self._reader = "BERT" if family == "bert" else "CLIP"
        self._beyond = int(family in LOSES_END)  # tokens read to be left out: the end token of a text that is cut
        self.cut: set[str] = set()

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids (N, T) and which of them are the text's (N, T), its end token included.

        A text that is too long is cut before its end token (BERT's: and has none then); each is counted in one
        TruncationWarning.

        Raises:
            ExpressionError: no token is left of an expression (SigLIP reads no punctuation).
        """
        read = self.length + self._beyond
        tokens = self.tokenizer(
            [self.canonical(text) for text in texts],
            padding="max_length",
            max_length=read,
            truncation=True,
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        words_N = (tokens["special_tokens_mask"] == 0).sum(1)
        if not words_N.all():
            empty = texts[int(words_N.argmin())]
            raise ExpressionError(f"expression {empty!r} holds nothing that {self._reader} reads: use words")
        ids_NT, mask_NT = tokens["input_ids"][:, : self.length], tokens["attention_mask"].bool()
        beyond_N = mask_NT[:, self.length :].any(1).tolist()
        self._count(
            [
                text
                for text, one, beyond in zip(texts, tokens.encodings, beyond_N, strict=True)
                if one.overflowing or beyond
            ]
        )
        return ids_NT, mask_NT[:, : self.length]

    def _count(self, cut: Sequence[str]) -> None:
        new = set(cut) - self.cut
        if new:
            self.cut |= new
            warnings.warn(
                f"{len(new)} expressions hold more than {self.length} tokens and were cut ({len(self.cut)} so far), "
                f"as {min(new)!r}",
                TruncationWarning,
                stacklevel=2,
            )


def load_tokenizer(file: Path, family: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a tokenizer.json.

    Raises:
        FileNotFoundError: it is not there.
        CheckpointError: it is truncated.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no tokenizer. {REMEDY}")
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # the tokenizers library would raise a bare Exception that names no file
        raise CheckpointError(f"{file}: not a whole tokenizer ({error}). {REMEDY}") from None
    return PreTrainedTokenizerFast(tokenizer_file=str(file), padding_side="right", **SPECIAL_TOKENS[family])
