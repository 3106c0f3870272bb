from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast, SamModel

from models.checkpoint import CheckpointError
from models.clip import Clip
from models.config import ClipConfig, SamConfig
from models.sam import Sam
from models.tokens import SPECIAL_TOKENS, load_tokenizer
from models.weights.transformers_folder import part_names, read_clip_folder, read_sam_folder, weights_file
from tests.checkpoints import change_json, write_clip_checkpoint, write_sam_checkpoint
from tests.tiny import FAMILIES, tiny_config, tiny_tokenizer


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each family and of SAM; read only."""
    root = tmp_path_factory.mktemp("published")
    return {
        **{family: write_clip_checkpoint(root / family, family) for family in FAMILIES},
        "sam": write_sam_checkpoint(root / "sam"),
    }


@pytest.fixture
def copy(published: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """Makes a folder that may be spoilt, a new one at each call."""
    numbers = count()
    return lambda name: Path(shutil.copytree(published[name], tmp_path / f"{name}_{next(numbers)}"))


def clip_config(family: str = "siglip", **changes: Any) -> ClipConfig:
    config = tiny_config(family=family).clip
    return ClipConfig(**{**config.model_dump(), **changes})


def sam_config(**changes: Any) -> SamConfig:
    config = tiny_config().sam
    return SamConfig(**{**config.model_dump(), **changes})


def read(name: str, folder: Path) -> dict[str, torch.Tensor]:
    return read_sam_folder(sam_config(), folder) if name == "sam" else read_clip_folder(clip_config(name), folder)[0]


def as_bin(folder: Path) -> Path:
    """The folder's weights as the pickle that torch.save writes."""
    safe = folder / "model.safetensors"
    torch.save(load_file(safe), folder / "pytorch_model.bin")
    safe.unlink()
    return folder / "pytorch_model.bin"


# ------------------------------------------------------------------------------------------------------------- weights


def test_the_state_is_the_model_s_with_the_values_of_the_file(
    published: dict[str, Path], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for family in FAMILIES:
        with subtests.test(family):
            state, _ = read_clip_folder(clip_config(family), published[family])
            stored = load_file(published[family] / "model.safetensors")
            assert list(state) == list(Clip(clip_config(family), tiny_tokenizer(tmp_path, family)).model.state_dict())
            assert all(torch.equal(tensor, stored[name]) for name, tensor in state.items())
            left = {name.split(".")[1] for name in stored.keys() - state.keys()}
            assert left == (set() if family == "clip" else {"head"})  # the pooling of images, as published ones have it


def test_the_state_of_sam_has_each_weight_once(published: dict[str, Path]) -> None:
    state = read_sam_folder(sam_config(), published["sam"])
    model = SamModel.from_pretrained(published["sam"])
    assert state.keys() == Sam(sam_config()).distinct_state().keys()
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in state.items())


def test_the_precision_is_the_file_s(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        with subtests.test(dtype=dtype):
            folder = write_clip_checkpoint(tmp_path / str(dtype), "siglip", dtype)
            state = read("siglip", folder)
            assert {tensor.dtype for tensor in state.values()} == {dtype}
            assert all(torch.equal(state[name], load_file(folder / "model.safetensors")[name]) for name in state)


def test_nothing_is_rounded_where_a_file_mixes_precisions(copy: Callable[[str], Path]) -> None:
    file = copy("siglip") / "model.safetensors"
    stored = load_file(file)
    stored = {name: tensor.half() if name.startswith("logit") else tensor for name, tensor in stored.items()}
    save_file(stored, file, {"format": "pt"})
    state = read("siglip", file.parent)
    assert all(torch.equal(tensor, stored[name].float()) for name, tensor in state.items())


def test_weights_in_several_files_are_read_as_one(published: dict[str, Path], tmp_path: Path) -> None:
    folder = write_clip_checkpoint(tmp_path / "parts", "siglip", max_shard_size="40KB")
    assert not (folder / "model.safetensors").exists()
    assert weights_file(folder).name == "model.safetensors.index.json"
    assert len(part_names(weights_file(folder))) > 1
    whole, parts = read("siglip", published["siglip"]), read("siglip", folder)
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    (folder / part_names(weights_file(folder))[0]).unlink()
    with pytest.raises(FileNotFoundError, match=r"model-00001-of-.*index\.json names it"):
        read("siglip", folder)


def test_an_index_names_files_beside_it_only(tmp_path: Path, subtests: pytest.Subtests) -> None:
    index = tmp_path / "model.safetensors.index.json"
    names: list[Any] = ["../elsewhere.bin", "/etc/passwd", "", 3]
    for name in names:
        index.write_text(json.dumps({"weight_map": {"a": name}}), encoding="utf-8")
        with subtests.test(name=name), pytest.raises(CheckpointError, match=r"index\.json: its weight_map"):
            part_names(index)


def test_torch_files_are_read_too(
    published: dict[str, Path], copy: Callable[[str], Path], subtests: pytest.Subtests
) -> None:
    for name in ("clip", "sam"):
        with subtests.test(name):
            folder = copy(name)
            as_bin(folder)
            safe, other = read(name, published[name]), read(name, folder)
            assert all(torch.equal(safe[key], other[key]) for key in safe)


def test_old_position_buffers_are_passed_over(copy: Callable[[str], Path]) -> None:
    folder = copy("clip")
    file = folder / "model.safetensors"
    stored = load_file(file)
    for tower in ("text", "vision"):
        stored[f"{tower}_model.embeddings.position_ids"] = torch.arange(5)[None]
    save_file(stored, file, {"format": "pt"})
    read("clip", folder)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


def test_a_file_that_would_execute_something_does_not(
    copy: Callable[[str], Path], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for key, zipped in product(("logit_scale", "bomb"), (True, False)):  # in place of a weight, beside the weights
        with subtests.test(key, zipped=zipped):
            file, executed = as_bin(copy("siglip")), tmp_path / f"executed_{key}_{zipped}"
            stored: dict[str, Any] = torch.load(file)
            stored[key] = Bomb(executed)
            torch.save(stored, file, _use_new_zipfile_serialization=zipped)
            with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: refused, nothing in it was executed"):
                read("siglip", file.parent)
            assert not executed.exists()
            torch.load(file, weights_only=False)
            assert executed.exists(), "the file would not have executed anything"


def test_weights_that_do_not_fit_are_named(copy: Callable[[str], Path], subtests: pytest.Subtests) -> None:
    changes: list[tuple[str, dict[str, Any], str]] = [
        ("siglip", {"logit_scale": None}, r"1 missing \(logit_scale\)"),
        ("siglip", {"extra.weight": torch.zeros(2)}, r"1 unexpected \(extra\.weight\)"),
        (
            *("siglip", {"text_model.head.bias": torch.zeros(5)}),
            r"1 of another shape \(text_model\.head\.bias \(5,\) for \(32,\)\)",
        ),
        ("sam", {"mask_decoder.iou_token.weight": None}, r"1 missing \(mask_decoder\.iou_token\.weight\)"),
    ]
    for name, change, said in changes:
        folder = copy(name)
        file = folder / "model.safetensors"
        stored = {key: tensor for key, tensor in {**load_file(file), **change}.items() if tensor is not None}
        save_file(stored, file, {"format": "pt"})
        message = rf"model\.safetensors: does not fit this model: {said}"
        with subtests.test(name, change=list(change)), pytest.raises(CheckpointError, match=message):
            read(name, folder)


def test_a_truncated_file_is_named(copy: Callable[[str], Path], subtests: pytest.Subtests) -> None:
    for kind in ("safetensors", "bin"):
        folder = copy("siglip")
        file = folder / "model.safetensors" if kind == "safetensors" else as_bin(folder)
        file.write_bytes(file.read_bytes()[:-1000])
        with subtests.test(kind), pytest.raises(CheckpointError, match=rf"{file}: cannot be read"):
            read("siglip", folder)


def test_what_is_no_state_of_tensors_is_refused(copy: Callable[[str], Path]) -> None:
    file = as_bin(copy("siglip"))
    torch.save({"state_dict": torch.load(file)}, file)
    with pytest.raises(CheckpointError, match=r"state_dict in pytorch_model\.bin is a \w+, not a tensor"):
        read("siglip", file.parent)


def test_an_adapter_beside_the_weights_is_not_passed_over(copy: Callable[[str], Path]) -> None:
    folder = copy("siglip")
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"holds an adapter\. Merge it"):
        read("siglip", folder)


def test_a_missing_file_is_named(copy: Callable[[str], Path], subtests: pytest.Subtests) -> None:
    files = {
        "siglip": ("config.json", "model.safetensors", "tokenizer.json"),
        "sam": ("config.json", "model.safetensors"),
    }
    for name, file in ((name, file) for name, its in files.items() for file in its):
        folder = copy(name)
        (folder / file).unlink()
        with subtests.test(name, file=file), pytest.raises(FileNotFoundError, match=rf"{folder}.*{file}"):
            read(name, folder)


def test_truncated_settings_are_named(copy: Callable[[str], Path], subtests: pytest.Subtests) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        file = copy("siglip") / name
        file.write_bytes(file.read_bytes()[:-2])
        with subtests.test(name), pytest.raises(CheckpointError, match=rf"{file}: not whole JSON"):
            read("siglip", file.parent)


# ------------------------------------------------------------------------------------------------------------ settings


def test_a_setting_that_computes_something_else_is_named_with_both_values(
    copy: Callable[[str], Path], subtests: pytest.Subtests
) -> None:
    settings: list[tuple[str, str, str, Any, str]] = [
        ("siglip", "vision_config", "hidden_act", "gelu", "clip.vision.hidden_act is 'gelu_pytorch_tanh'"),
        ("siglip", "vision_config", "layer_norm_eps", 1e-5, "clip.vision.layer_norm_eps is 1e-06"),
        ("siglip", "vision_config", "num_attention_heads", 4, "clip.vision.num_attention_heads is 2"),
        ("siglip", "vision_config", "image_size", 64, "clip.vision.image_size is 32"),
        ("siglip2", "text_config", "vocab_size", 99, "clip.text.vocab_size is "),
        ("clip", "text_config", "hidden_act", "gelu", "clip.text.hidden_act is 'quick_gelu'"),
        ("clip", "text_config", "max_position_embeddings", 77, "clip.text.max_position_embeddings is 10"),
        ("sam", "vision_config", "window_size", 2, "sam.vision.window_size is 4"),
        ("sam", "vision_config", "global_attn_indexes", [0], r"sam.vision.global_attn_indexes is \[1\]"),
        ("sam", "vision_config", "patch_size", 16, "sam.vision.patch_size is 8"),
        ("sam", "prompt_encoder_config", "hidden_act", "relu", "sam.prompt_encoder.hidden_act is 'gelu'"),
        ("sam", "mask_decoder_config", "num_attention_heads", 4, "sam.mask_decoder.num_attention_heads is 2"),
        ("sam", "mask_decoder_config", "layer_norm_eps", 1e-5, "sam.mask_decoder.layer_norm_eps is 1e-06"),
    ]
    for name, section, key, value, ours in settings:
        with subtests.test(name, section=section, key=key):
            folder = copy(name)
            change_json(folder / "config.json", **{section: {key: value}})
            with pytest.raises(CheckpointError) as refused:
                read(name, folder)
            said = repr(value) if isinstance(value, str) else json.dumps(value)
            assert refused.match(rf"{folder}: another model than params\.yaml's: .*{section}\.{key} is ")
            assert refused.match(rf"is {said} and {ours}".replace("[0]", r"\[0\]"))
            assert refused.match(r"write its values into params\.yaml under models\.<name>")


def test_every_setting_that_differs_is_named_at_once(copy: Callable[[str], Path]) -> None:
    folder = copy("clip")
    change_json(folder / "config.json", projection_dim=8, vision_config={"hidden_act": "gelu"})
    with pytest.raises(
        CheckpointError, match=r"hidden_act is 'gelu' and .*; projection_dim is 8 and clip\.projection is 32"
    ):
        read("clip", folder)


def test_a_setting_that_the_folder_leaves_out_has_transformers_default(copy: Callable[[str], Path]) -> None:
    folder = copy("siglip")
    data = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for section in ("vision_config", "text_config"):
        for key in ("hidden_act", "layer_norm_eps", "attention_dropout"):
            del data[section][key]
    (folder / "config.json").write_text(json.dumps(data), encoding="utf-8")
    read("siglip", folder)


def test_settings_that_change_nothing_may_differ(copy: Callable[[str], Path]) -> None:
    folder = copy("clip")
    unread: dict[str, Any] = {"bos_token_id": 5, "eos_token_id": 2, "pad_token_id": 4, "initializer_range": 0.5}
    change_json(
        folder / "config.json", text_config={**unread, "projection_dim": 7}, vision_config={"projection_dim": 7}
    )
    read("clip", folder)


def test_other_pixels_are_refused(copy: Callable[[str], Path], subtests: pytest.Subtests) -> None:
    for name, where in (("siglip", "clip"), ("sam", "sam")):
        with subtests.test(name):
            folder = copy(name)
            change_json(folder / "preprocessor_config.json", image_mean=[0.5, 0.5, 0.25])
            message = rf"image_mean is \[0\.5, 0\.5, 0\.25\] and {where}\.pixel_mean is \["
            with pytest.raises(CheckpointError, match=message):
                read(name, folder)
            (folder / "preprocessor_config.json").unlink()
            read(name, folder)


def test_a_model_of_another_kind_is_refused(copy: Callable[[str], Path], subtests: pytest.Subtests) -> None:
    for kind in ("siglip2", "clip", None):
        folder = copy("siglip")  # a NaFlex SigLIP 2 is model_type siglip2; a fixed-resolution one is siglip
        change_json(folder / "config.json", model_type=kind)
        message = rf"config\.json: model_type is {kind!r}, and this model is 'siglip'"
        with subtests.test(kind=kind), pytest.raises(CheckpointError, match=message):
            read("siglip", folder)


# ----------------------------------------------------------------------------------------------------------- tokenizer


def test_the_tokenizer_frames_a_text_as_its_family_does_also_after_it_was_written(
    published: dict[str, Path], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    frame = {"siglip": (0, "</s>"), "siglip2": (0, "<eos>"), "clip": (1, "<|endoftext|>")}
    for family, (begins, end) in frame.items():
        _, tokenizer = read_clip_folder(clip_config(family), published[family])
        tokenizer.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
        for name, one in (("read", tokenizer), ("written", load_tokenizer(tmp_path / "tokenizer.json", family))):
            with subtests.test(family, tokenizer=name):
                tokens = one("red ship", padding="max_length", max_length=6).tokens()
                assert tokens[:begins] == ["<|startoftext|>"] * begins
                assert tokens[begins : begins + 3] == ["red", "ship", end]
                assert set(tokens[begins + 3 :]) == {SPECIAL_TOKENS[family]["pad_token"]}


def test_flags_of_tokenizer_config_that_break_the_frame_are_seen(
    copy: Callable[[str], Path], subtests: pytest.Subtests
) -> None:
    for family, flags in (("siglip2", {"add_eos_token": False}), ("clip", {"add_eos_token": True})):
        folder = copy(family)  # CLIP would lose its beginning: a flag that is not given is off
        change_json(folder / "tokenizer_config.json", **flags)
        message = rf"tokenizer\.json: a text becomes \[.*family '{family}' frames it"
        with subtests.test(family), pytest.raises(CheckpointError, match=message):
            read(family, folder)


def test_a_tokenizer_of_another_family_is_refused(
    published: dict[str, Path], copy: Callable[[str], Path], subtests: pytest.Subtests
) -> None:
    for family, other in (("siglip", "siglip2"), ("siglip2", "clip"), ("clip", "siglip")):
        folder = copy(family)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(published[other] / name, folder / name)
        message = rf"holds no .*, which family '{family}' needs\..*params\.yaml, models\.<name>\.clip\.family"
        with subtests.test(family, other=other), pytest.raises(CheckpointError, match=message):
            read(family, folder)


def test_more_tokens_than_the_text_encoder_knows_are_refused(copy: Callable[[str], Path]) -> None:
    folder = copy("siglip")
    file = str(folder / "tokenizer.json")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=file)
    tokenizer.add_tokens([f"new{number}" for number in range(9)])
    tokenizer.backend_tokenizer.save(file)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: \d+ tokens, and the text encoder knows \d+"):
        read("siglip", folder)


def test_clip_s_end_token_has_the_number_at_which_the_sentence_is_read(published: dict[str, Path]) -> None:
    text = {**tiny_config(family="clip").clip.text, "eos_token_id": 3}
    with pytest.raises(CheckpointError, match=r"end token is number 0, .* looks for 3\. Write 0 into params\.yaml"):
        read_clip_folder(clip_config("clip", text=text), published["clip"])
