"""LAVT's and RMSIN's foundation models in folders of transformers' own layout, as the hub has them:
microsoft/swin-base-patch4-window12-384-in22k and google-bert/bert-base-uncased.

What their pretraining needed and nothing here reads may lie in the files: Swin's classes and last norm; BERT's pooler
and heads. A Swin of another image size fits: what it learnt of places is relative to its windows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import BertModel, PreTrainedTokenizerFast, SwinModel

from models.lavt.backbone import make_swin
from models.lavt.config import ImageConfig, TextConfig
from models.lavt.text import Text
from models.weights.folder_settings import check_flat_settings
from models.weights.transformers_folder import check_numbers, read_tokenizer, read_weights

UNREAD_OF_SWIN = {"image_size", "drop_path_rate", "encoder_stride", "_out_features", "_out_indices"}
UNREAD_OF_BERT = {
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"),  # of training
    *("use_cache", "tie_word_embeddings"),
}


class _HeadlessSwin(SwinModel):
    """Swin whose classes may lie in the file."""

    _keys_to_ignore_on_load_unexpected = (
        *(SwinModel._keys_to_ignore_on_load_unexpected or ()),
        r"^classifier\.",
    )


class _HeadlessBert(BertModel):
    """BERT whose pooler and pretraining heads may lie in the file."""

    _keys_to_ignore_on_load_unexpected = (
        *(BertModel._keys_to_ignore_on_load_unexpected or ()),
        *(r"^(bert\.)?pooler\.", r"^cls\.", r"embeddings\.position_ids$"),
    )

    def __init__(self, config: Any) -> None:
        super().__init__(config, add_pooling_layer=False)


def read_swin_folder(config: ImageConfig, folder: Path) -> dict[str, Tensor]:
    """Swin's weights.

    Returns:
        The state of `make_swin(config)`, on the CPU in the file's precision.

    Raises:
        FileNotFoundError: a file is missing.
        CheckpointError: a file is damaged or could execute; the folder holds another model than `config`.
    """
    with torch.device("meta"):  # names and shapes, no memory
        ours = make_swin(config)
    check_flat_settings(ours.config, "image.swin", UNREAD_OF_SWIN, folder, (config.pixel_mean, config.pixel_std))
    return read_weights(_HeadlessSwin, ours.config, set(ours.state_dict()), folder)


def read_bert_folder(config: TextConfig, folder: Path) -> tuple[dict[str, Tensor], PreTrainedTokenizerFast]:
    """BERT's weights and tokenizer.

    Returns:
        The state of `Text(config).bert`, on the CPU in the file's precision; the tokenizer.

    Raises:
        FileNotFoundError, CheckpointError: as `read_swin_folder`.
    """
    tokenizer = read_tokenizer(config.tokenizer, folder, "text.tokenizer")
    with torch.device("meta"):
        ours = Text(config, tokenizer).bert
    check_flat_settings(ours.config, "text.bert", UNREAD_OF_BERT, folder)
    check_numbers(ours.config, config.tokenizer, tokenizer, folder)
    return read_weights(_HeadlessBert, ours.config, set(ours.state_dict()), folder), tokenizer
