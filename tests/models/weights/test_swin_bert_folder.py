from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.checkpoint import CheckpointError
from models.lavt.backbone import make_swin
from models.weights.swin_bert_folder import read_bert_folder, read_swin_folder
from tests.checkpoints import change_json, write_bert_checkpoint, write_swin_checkpoint
from tests.language_aware import close, lavt_config, noise, tiny_text

CONFIG = lavt_config()


def equal(state: dict[str, Tensor], module: Any) -> None:
    theirs = module.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in state.items())


def test_swin_s_weights_are_read_and_its_classes_passed_over(tmp_path: Path) -> None:
    published = write_swin_checkpoint(tmp_path)
    names = torch.load(tmp_path / "pytorch_model.bin").keys()
    assert {"classifier.weight", "swin.layernorm.weight"} <= names
    assert "swin.encoder.layers.0.blocks.0.attention.self.query.weight" in names  # the older ones
    state = read_swin_folder(CONFIG.image, tmp_path)
    swin = make_swin(CONFIG.image)
    assert state.keys() == swin.state_dict().keys()
    equal(state, published)
    swin.load_state_dict(state)
    cells = noise(1, 256, 8)
    blocks = [stage.blocks[0].double().eval() for stage in (published.encoder.layers[0], swin.encoder.layers[0])]
    one, other = (block(cells, (16, 16), always_partition=True)[0] for block in blocks)
    close(one, other)


def test_bert_s_weights_are_read_and_its_heads_passed_over(tmp_path: Path) -> None:
    published = write_bert_checkpoint(tmp_path)
    names = torch.load(tmp_path / "pytorch_model.bin").keys()
    assert {"bert.pooler.dense.weight", "cls.predictions.bias", "bert.embeddings.LayerNorm.gamma"} <= names
    state, tokenizer = read_bert_folder(CONFIG.text, tmp_path)
    text = tiny_text(CONFIG, tmp_path)
    assert state.keys() == text.bert.state_dict().keys()
    equal(state, published)
    assert tokenizer("the ship").tokens() == ["[CLS]", "the", "ship", "[SEP]"]


def test_what_does_not_fit_is_named_with_both_values(tmp_path: Path, subtests: pytest.Subtests) -> None:
    swin, bert = tmp_path / "swin", tmp_path / "bert"
    for folder, write in ((swin, write_swin_checkpoint), (bert, write_bert_checkpoint)):
        folder.mkdir()
        write(folder)
    cases: list[tuple[Any, Any, Path, dict[str, Any], str]] = [
        (
            read_swin_folder,
            CONFIG.image,
            swin,
            {"window_size": 7},
            r"window_size is 7 and image\.swin\.window_size",
        ),
        (read_swin_folder, CONFIG.image, swin, {"model_type": "swinv2"}, r"model_type is 'swinv2'.* is 'swin'"),
        (
            read_bert_folder,
            CONFIG.text,
            bert,
            {"hidden_act": "relu"},
            r"is 'relu' and text\.bert\.hidden_act",
        ),
    ]
    for read, config, folder, change, said in cases:
        before = (folder / "config.json").read_text(encoding="utf-8")
        change_json(folder / "config.json", **change)
        with subtests.test(said), pytest.raises(CheckpointError, match=said):
            read(config, folder)
        (folder / "config.json").write_text(before, encoding="utf-8")
    change_json(swin / "preprocessor_config.json", image_mean=[0.5, 0.5, 0.5])
    with pytest.raises(CheckpointError, match=r"image_mean is .* and image\.pixel_mean is"):
        read_swin_folder(CONFIG.image, swin)
    stored = torch.load(bert / "pytorch_model.bin")
    torch.save({**stored, "bert.extra": torch.zeros(2)}, bert / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"1 unexpected \(.*extra\)"):
        read_bert_folder(CONFIG.text, bert)
