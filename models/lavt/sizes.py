"""LAVT's named sizes, as plain data: SIZES[name] is what LavtConfig takes.

The Swin is microsoft/swin-base-patch4-window12-384-in22k at 480 px, BERT google-bert/bert-base-uncased; `lavt-mini` is
the same code with small numbers, whose windows divide its grids, and reads texts with `mini`'s tokenizer.
"""

from __future__ import annotations

from typing import Any

Plain = dict[str, Any]


def swin_bert(dropout: float) -> Plain:
    """The published Swin-B and BERT. `dropout` is BERT's in training: LAVT trains it without, RMSIN with."""
    return {
        "image": {
            "swin": {
                "image_size": 480,
                "patch_size": 4,
                "embed_dim": 128,
                "depths": [2, 2, 18, 2],
                "num_heads": [4, 8, 16, 32],
                "window_size": 12,
                "drop_path_rate": 0.3,
            }
        },
        "text": {
            "bert": {
                "vocab_size": 30_522,
                "hidden_size": 768,
                "num_hidden_layers": 12,
                "num_attention_heads": 12,
                "intermediate_size": 3072,
                "max_position_embeddings": 512,
                "hidden_dropout_prob": dropout,
                "attention_probs_dropout_prob": dropout,
            },
            "length": 20,
            "trained_layers": 10,
        },
        "decoder_width": 512,
    }


def swin_bert_mini(dropout: float) -> Plain:
    """The same with small numbers."""
    return {
        "image": {
            "swin": {
                "image_size": 192,
                "patch_size": 4,
                "embed_dim": 16,
                "depths": [2, 2, 4, 2],
                "num_heads": [1, 2, 4, 8],
                "window_size": 6,
                "drop_path_rate": 0.1,
            }
        },
        "text": {
            "bert": {
                "vocab_size": 768,
                "hidden_size": 128,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 512,
                "max_position_embeddings": 24,
                "hidden_dropout_prob": dropout,
                "attention_probs_dropout_prob": dropout,
                "pad_token_id": None,  # mini's tokenizer fills up with its end token, which means something
            },
            "tokenizer": "siglip",
            "length": 24,
            "trained_layers": 2,
        },
        "decoder_width": 64,
    }


SIZES: dict[str, Plain] = {"lavt": swin_bert(dropout=0.0), "lavt-mini": swin_bert_mini(dropout=0.0)}
