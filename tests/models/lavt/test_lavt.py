from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.checkpoint import fill, save_tensors
from models.lavt.config import LavtConfig
from models.lavt.gate import Gate
from models.lavt.language_aware import LanguageAware
from models.lavt.lavt import LAVT
from models.lavt.sizes import SIZES
from models.lavt.text import TextStates
from models.rmsin.config import RmsinConfig
from models.rmsin.sizes import SIZES as RMSIN_SIZES
from models.weights.files import swin_bert_files
from models.weights.foundation import undrawn
from tests.language_aware import (
    IMAGE_INDEX,
    IMAGES,
    PLAIN,
    TEXTS,
    close,
    lavt_config,
    logits_of,
    on_meta,
    parameters_of,
    ready,
    rmsin_config,
    trained_of,
    without_gradient,
)
from tests.tiny import tiny_tokenizer_file

# What adds the same to all cells ahead of a norm over cells moves nothing, nor what all keys of a softmax share. In CIM
# every path ends in such norms.
CANCELLED = r"pwam\.(query|key|value|gather)\.bias|\.k_proj\.bias|\.key\.bias"
RMSIN_CANCELLED = r"between\..*\.bias|backbone\.norms\.\d\.bias"
BOTH: list[Any] = [lavt_config, rmsin_config]


def test_the_parameters_are_the_published_model_s_to_the_unit() -> None:
    """SYSTEMS' counts hold the gate behind the last stage, which never gets a gradient and is not built here."""
    dead = parameters_of(Gate(1024))
    model = on_meta(LavtConfig.model_validate(SIZES["lavt"]))
    assert parameters_of(model) == 225_642_362
    assert parameters_of(model) + dead == 227_739_514
    assert trained_of(model) + dead == 189_726_586
    assert parameters_of(on_meta(LavtConfig.model_validate(SIZES["lavt-mini"]))) + parameters_of(Gate(128)) == 1_693_576


def test_an_expression_costs_what_was_counted() -> None:
    """In multiply-adds: Swin 85.2 G and PWAM 5.9, with the gate behind the last stage; decoder 106.2, BERT 1.7."""
    model, spent = on_meta(LavtConfig.model_validate(SIZES["lavt"])).eval(), []
    with FlopCounterMode(display=False) as counter, torch.device("meta"), torch.no_grad():
        state = model.text.bert(input_ids=torch.zeros(1, 20, dtype=torch.long)).last_hidden_state
        spent.append(counter.get_total_flops())
        cells = model.backbone.first_stage(torch.empty(1, 3, 480, 480))
        spent.append(counter.get_total_flops())
        maps = model.backbone(cells, TextStates(state, torch.ones(1, 20, dtype=torch.bool)))
        spent.append(counter.get_total_flops())
        model.decoder(maps)
        spent.append(counter.get_total_flops())
    text, first, backbone, total = (flops / 2e9 for flops in spent)
    dead = 15**2 * parameters_of(Gate(1024)) / 1e9
    assert text == pytest.approx(1.7, abs=0.05)
    assert first - text == pytest.approx(6.8, abs=0.05)
    assert backbone - text + dead == pytest.approx(85.2 + 5.9, abs=0.1)
    assert total + dead == pytest.approx(199.0, abs=0.05)


@pytest.mark.parametrize("config", BOTH)
def test_a_prediction_does_not_depend_on_its_batch(config: Any, tmp_path: Path) -> None:
    """Nor on padding, on how many expressions are computed at a time, or on whether an image is encoded once."""
    model = ready(config(), tmp_path)
    together = logits_of(model)
    assert together.shape == (5, 64, 64)
    for place, (text, index) in enumerate(zip(TEXTS, IMAGE_INDEX, strict=True)):
        close(logits_of(model, [IMAGES[index]], [text], [0])[0], together[place])
    longer = ready(config(text={**PLAIN["text"], "length": 12}, chunk=5), tmp_path)
    close(logits_of(longer), together)
    apart = [IMAGES[index] for index in IMAGE_INDEX]
    close(logits_of(model, apart, TEXTS, range(5)), together)
    assert (together[1] - together[2]).abs().max() > 1e-3  # one image, two expressions


@pytest.mark.parametrize("config", BOTH)
def test_every_trained_parameter_moves_the_mask(config: Any, tmp_path: Path) -> None:
    model = ready(config(), tmp_path)
    unmoved = without_gradient(model)
    cancelled = CANCELLED if config is lavt_config else rf"{CANCELLED}|{RMSIN_CANCELLED}"
    assert all(re.search(cancelled, name) for name in unmoved), unmoved


def test_masks_have_their_images_sizes_and_follow_the_logits(tmp_path: Path) -> None:
    model = ready(lavt_config(), tmp_path)
    logits, masks = (predict(IMAGES, TEXTS, IMAGE_INDEX) for predict in (model.predict_logits, model.predict))
    assert [mask.shape for mask in masks] == [tuple(IMAGES[index].shape[1:]) for index in IMAGE_INDEX]
    assert all(((one > 0) == mask).all() for one, mask in zip(logits, masks, strict=True))
    with pytest.raises(ValueError, match=r"expression 0 is about image 3, but there are 3 images"):
        model.predict(IMAGES, ["ship"], [3])
    with pytest.raises(RuntimeError, match=r"call eval\(\) before predict"):
        model.train().predict(IMAGES, TEXTS, IMAGE_INDEX)


def test_logits_are_the_classes_difference_at_the_input_side(tmp_path: Path) -> None:
    model, seen = ready(lavt_config(chunk=5), tmp_path), []
    model.decoder.register_forward_hook(lambda _m, _i, out: seen.append(out))
    logits = logits_of(model)
    classes = torch.nn.functional.interpolate(seen[0], (64, 64), mode="bilinear", align_corners=True)
    close(logits, classes[:, 1] - classes[:, 0])
    assert torch.equal(logits > 0, classes.argmax(1).bool())


def write_foundation(model: LanguageAware, folder: Path) -> None:
    files = swin_bert_files(folder)
    save_tensors(files["swin"], model.backbone.swin.state_dict())
    save_tensors(files["bert"], model.text.bert.state_dict())
    tiny_tokenizer_file(files["tokenizer"], "bert")


@pytest.mark.parametrize("config", BOTH)
def test_what_training_changed_is_all_that_the_foundation_lacks(config: Any, tmp_path: Path) -> None:
    model = ready(config(), tmp_path).float()
    write_foundation(model, tmp_path)
    state = model.trained_state()
    assert any(name.endswith("running_var") for name in state)
    assert not any(name.startswith(("text.bert.embeddings", "text.bert.encoder.layer.2")) for name in state)
    with undrawn():  # as trained runs are read: what is not in the files has no value
        other = type(model).from_foundation(config(), tmp_path).eval()
    fill(other, set(other.trained_state()), state, Path("model.safetensors"), "")
    assert torch.equal(logits_of(other), logits_of(model))


@pytest.mark.parametrize(("kind", "name"), [(LavtConfig, "lavt"), (RmsinConfig, "rmsin")])
def test_the_optimiser_has_every_trained_parameter_once(kind: Any, name: str) -> None:
    model = on_meta(kind.model_validate({**SIZES, **RMSIN_SIZES}[name]))
    groups = {group["name"]: group for group in model.parameter_groups()}
    names = {id(parameter): name for name, parameter in model.named_parameters() if parameter.requires_grad}
    held = [id(parameter) for group in groups.values() for parameter in group["params"]]
    assert len(held) == len(names)
    assert set(held) == set(names)
    assert {key for key, group in groups.items() if group.get("weight_decay") == 0} == {"backbone_undecayed"}
    undecayed = {names[id(parameter)] for parameter in groups["backbone_undecayed"]["params"]}
    others = {name for name in names.values() if name.startswith("backbone.")} - undecayed
    assert all(re.search(r"norm|relative_position_bias_table|salience", name) for name in undecayed)
    assert not any("norm" in name or "bias_table" in name for name in others)
    layers = {names[id(parameter)].split(".")[4] for parameter in groups["text"]["params"]}
    assert layers == {str(layer) for layer in range(10)}


def test_a_model_starts_from_the_foundation_s_weights(tmp_path: Path) -> None:
    config = lavt_config()
    source = ready(config, tmp_path).float()
    write_foundation(source, tmp_path)
    model = LAVT.from_foundation(config, tmp_path)
    for found, wanted in ((model.backbone.swin, source.backbone.swin), (model.text.bert, source.text.bert)):
        assert all(torch.equal(value, wanted.state_dict()[name]) for name, value in found.state_dict().items())
    assert not torch.equal(model.decoder.classify.weight, source.decoder.classify.weight)
