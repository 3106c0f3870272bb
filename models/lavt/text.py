"""BERT, as LAVT reads it: the last hidden state of every token, without the pooler.

N expressions, T tokens, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from models.config import check_keys
from models.lavt.config import TextConfig
from models.tokens import Tokens


class TextStates(NamedTuple):
    """state_NTD: of each token · mask_NT: true where a token is the expression's, special tokens included."""

    state_NTD: Tensor
    mask_NT: Tensor

    def part(self, first: int, last: int) -> TextStates:
        """The expressions from `first` up to `last`."""
        return TextStates(self.state_NTD[first:last], self.mask_NT[first:last])


class Text(nn.Module):
    """BERT and its tokenizer. Embeddings and upper layers are frozen: `config.trained_layers`.

    Args:
        config: sizes, and what trains.
        tokenizer: its vocabulary fits `config.bert["vocab_size"]`; pads on the right.
    """

    def __init__(self, config: TextConfig, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.tokens = Tokens(tokenizer, config.tokenizer, config.length)
        check_keys("text.bert", config.bert, BertConfig)
        settings = BertConfig(**config.bert)
        settings._attn_implementation = "sdpa"
        self.bert = BertModel(settings, add_pooling_layer=False)
        self.bert.embeddings.requires_grad_(False)
        for layer in self.bert.encoder.layer[config.trained_layers :]:
            layer.requires_grad_(False)

    def forward(self, texts: Sequence[str]) -> TextStates:
        """Encode N expressions, each padded to T: what comes out of one depends on it alone.

        Raises:
            ExpressionError: nothing is left of one of them.
        """
        ids_NT, mask_NT = self.tokens(texts)
        device = self.bert.embeddings.word_embeddings.weight.device
        ids_NT, mask_NT = ids_NT.to(device), mask_NT.to(device)
        return TextStates(self.bert(input_ids=ids_NT, attention_mask=mask_NT.long()).last_hidden_state, mask_NT)
