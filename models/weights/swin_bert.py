"""The foundation models' weights of LAVT and RMSIN: weights/<model>/ -> BERT and a Swin, in float32."""

from __future__ import annotations

from pathlib import Path

from models.checkpoint import fill, load_tensors
from models.errors import REMEDY
from models.lavt.backbone import Backbone
from models.lavt.config import TextConfig
from models.lavt.text import Text
from models.tokens import load_tokenizer
from models.weights.files import swin_bert_files


def load_text(config: TextConfig, folder: Path) -> Text:
    """BERT with its pretrained weights.

    Raises:
        FileNotFoundError, CheckpointError: as `load_tensors` and `fill`.
    """
    files = swin_bert_files(folder)
    text = Text(config, load_tokenizer(files["tokenizer"], config.tokenizer))
    fill(text.bert, set(text.bert.state_dict()), load_tensors(files["bert"], REMEDY), files["bert"], REMEDY)
    return text


def load_swin(backbone: Backbone, folder: Path) -> None:
    """Give a backbone's Swin its pretrained weights; what language enters through stays as it was drawn.

    Raises:
        FileNotFoundError, CheckpointError: as `load_tensors` and `fill`.
    """
    file = swin_bert_files(folder)["swin"]
    fill(backbone.swin, set(backbone.swin.state_dict()), load_tensors(file, REMEDY), file, REMEDY)
