from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.config import dataset_config, fingerprint, load_params, merged, resolve, variants_of
from experiments.cost.random_weights import build
from experiments.settings import ConfigError, Params, nearest, run_class
from models.config import SettingError
from models.zoo import CONTROLS, MODELS
from tests.tiny import VARIANTS

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
REAL: dict[str, Any] = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
DATASET, MODEL = REAL["run"]["datasets"][0], REAL["run"]["models"][0]

OVERLAYS = {  # where each level says what it changes
    "model": ("models", MODEL),
    "dataset": ("datasets", DATASET, "overlay"),
    "variant": ("variants", "rsrefseg"),
}


def real() -> dict[str, Any]:
    return copy.deepcopy(REAL)


def at(data: dict[str, Any], path: tuple[str, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


def write(folder: Path, data: Any) -> Path:
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return file


def use_all(file: Path) -> None:
    """Everything the stages do with params.yaml."""
    params = load_params(file)
    for dataset in params.datasets:
        dataset_config(params, dataset)
        resolve(params, dataset, MODEL, None, 0)
    for model in params.models:
        for variant in (*variants_of(params, model), None):
            resolve(params, DATASET, model, variant, 0)


def refuses_each(subtests: pytest.Subtests, folder: Path, *rows: tuple[tuple[str, ...], Any, str]) -> None:
    """The real file is refused with each of these values in its place, and the message names file and fault."""
    for path, value, message in rows:
        with subtests.test(msg=f"{'.'.join(path)} = {value!r}"):
            data = real()
            at(data, path[:-1])[path[-1]] = value
            with pytest.raises(ConfigError, match=rf"params\.yaml.*{message}"):
                use_all(write(folder, data))


def mappings(data: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every mapping of params.yaml."""
    yield path
    for key, value in data.items():
        if isinstance(value, dict):
            yield from mappings(value, (*path, key))


# ------------------------------------------------------------------------------------------------------- unknown names


def test_the_real_file_is_usable() -> None:
    use_all(PARAMS_FILE)


def test_an_unknown_key_is_refused_wherever_it_stands(subtests: pytest.Subtests, tmp_path: Path) -> None:
    paths = [path for path in mappings(REAL) if path != ("variants",)]  # there any name is a new variant
    assert len(paths) > 50
    for path in paths:
        with subtests.test(msg=".".join(path) or "top"):
            data = real()
            at(data, path)["unheard_of"] = 1
            with pytest.raises(ConfigError, match=r"params\.yaml.*unheard_of"):
                use_all(write(tmp_path, data))


def test_an_unknown_key_of_train_is_refused_in_every_overlay(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for level, path in itertools.product(OVERLAYS, mappings(REAL["train"])):
        with subtests.test(msg=f"{level}: {'.'.join(path) or 'top'}"):
            overlay: dict[str, Any] = {"unheard_of": 1}
            for key in reversed((*OVERLAYS[level], "train", *path)):
                overlay = {key: overlay}
            with pytest.raises(ConfigError, match=r"unheard_of: unknown key"):
                use_all(write(tmp_path, merged(real(), overlay)))


def test_an_unknown_key_of_a_foundation_model_is_refused(subtests: pytest.Subtests, tmp_path: Path) -> None:
    parts = {"clip": ("vision", "text"), "sam": ("vision", "prompt_encoder", "mask_decoder")}
    for part, inner in ((part, inner) for part, inside in parts.items() for inner in inside):
        with subtests.test(msg=f"{part}.{inner}"):
            data = real()
            data["variants"]["rsrefseg"] = {part: {inner: {"hiden_size": 8}}}
            params = load_params(write(tmp_path, data))
            with pytest.raises(SettingError, match=r"hiden_size.*did you mean hidden_size"):
                build(resolve(params, DATASET, MODEL, "rsrefseg", 0).model)


def test_an_unknown_name_is_answered_with_the_nearest_known_one(subtests: pytest.Subtests, tmp_path: Path) -> None:
    refuses_each(
        subtests,
        tmp_path,
        (("run", "datasets"), ["syntetic"], r"run\.datasets: unknown name 'syntetic'; did you mean 'synthetic'\?"),
        (("run", "models"), ["mimi"], r"run\.models: unknown name 'mimi'; did you mean 'mini'\?"),
        (("run", "variants"), ["no_loar"], r"run\.variants: unknown name 'no_loar'; did you mean 'no_lora'\?"),
        (
            ("run", "controls"),
            ["whole_imag"],
            r"run\.controls: unknown name 'whole_imag'; did you mean 'whole_image'\?",
        ),
        (("run", "models"), ["zzz"], r"unknown name 'zzz'; known: .*mini"),
        (("datasets", "dubay"), {}, r"datasets: unknown name 'dubay'; did you mean 'dubai'\?"),
        (("models", "miny"), {}, r"models: unknown name 'miny'; did you mean 'mini'\?"),
        (("variants", "rsrefseg"), {"promptr": {}}, r"rsrefseg\.promptr: unknown key; did you mean 'prompter'\?"),
        (("models", "mini"), {"trian": {}}, r"mini\.trian: unknown key; did you mean 'train'\?"),
        (("variants", "no_lora"), {"prompter": {"globl": False}}, r"globl: unknown key; did you mean 'global'\?"),
        (("variants", "no_lora"), {"lora": {"rnak": 8}}, r"rnak: unknown key; did you mean 'rank'\?"),
        (("datasets", "synthetic"), {"overlay": {"trian": {}}}, r"overlay\.trian: unknown key; did you mean 'train'\?"),
        (("datasets", "synthetic"), {"sides": 256}, r"synthetic: sides: unknown key; did you mean 'side'\?"),
        (("train", "epoch"), 3, r"train\.epoch: unknown key; did you mean 'epochs'\?"),
        (("train", "loss", "dyce"), 3, r"train\.loss\.dyce: unknown key; did you mean 'dice'\?"),
        (("evaluate", "batch_image"), 3, r"evaluate\.batch_image: unknown key; did you mean 'batch_images'\?"),
        (("runs",), {}, r"runs: unknown key; did you mean 'run'\?"),
    )


def test_an_unknown_point_of_the_study_is_answered_with_the_nearest_one(subtests: pytest.Subtests) -> None:
    for arguments, message in (
        (("syntetic", MODEL, "rsrefseg"), "unknown dataset 'syntetic'; did you mean 'synthetic'"),
        ((DATASET, "minni", "rsrefseg"), "unknown model 'minni'; did you mean 'mini'"),
        ((DATASET, MODEL, "rsrefsge"), "unknown variant 'rsrefsge'; did you mean 'rsrefseg'"),
    ):
        with subtests.test(msg=message), pytest.raises(ConfigError, match=message):
            resolve(load_params(PARAMS_FILE), *arguments, 0)


def test_nearest_gives_all_names_when_none_is_near() -> None:
    assert nearest("qqq", ["two", "one"]) == "; known: one, two"


# ----------------------------------------------------------------------------------------------------- other bad files


def test_a_bad_value_is_named_with_file_and_place(subtests: pytest.Subtests, tmp_path: Path) -> None:
    refuses_each(
        subtests,
        tmp_path,
        (("train", "lr"), 0, r"train\.lr = 0"),
        (("train", "lr"), "fast", r"train\.lr = 'fast'"),
        (("train", "epochs"), None, r"train\.epochs = None"),
        (("train", "epochs"), 0.5, r"train\.epochs = 0\.5"),
        (("train", "loss"), {"bce": 0, "dice": 0}, r"train\.loss: .*bce, dice, .*are all 0"),
        (("train", "warmup_start"), None, r"train\.warmup_start\..* = None"),
        (("train", "expressions_per_image"), 5, r"expressions_per_image is 5, but a step of pairs takes every"),
        (("train", "gradient_accumulation"), 3, r"batch_size is 4, which .* 3 cannot .* give 1 or 2 or 4"),
        (
            ("variants", "no_lora"),
            {"prompter": {"local": False, "global": False}},
            r"local and prompter\.global are both",
        ),
        (("variants", "no_lora"), {"prompter": {"dense": "False"}}, r"dense = 'False'"),
        (("variants", "no_lora"), {"lora": False}, r"lora = False"),
        (("variants", "no_lora"), {"prompter": None}, r"prompter = None"),
        (("run", "seeds"), [0, 0], r"run\.seeds = \[0, 0\].*names something twice"),
        (("run", "seeds"), 0, r"run\.seeds = 0"),
    )


def test_an_overlay_that_is_no_mapping_is_named(subtests: pytest.Subtests, tmp_path: Path) -> None:
    overlays: tuple[Any, ...] = (None, 3, ["train"])
    said = rf"{DATASET}.*overlay"
    refuses_each(subtests, tmp_path, *((("datasets", DATASET, "overlay"), overlay, said) for overlay in overlays))


def test_a_number_that_is_left_out_is_an_error_and_never_a_default(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for path in (("train",), ("train", "lr"), ("run", "seeds"), ("evaluate", "batch_images")):
        with subtests.test(msg=".".join(path)):
            data = real()
            del at(data, path[:-1])[path[-1]]
            with pytest.raises(ConfigError, match=rf"params\.yaml.*{path[-1]}: missing; add it"):
                use_all(write(tmp_path, data))


def test_all_faults_come_in_one_message(tmp_path: Path) -> None:
    data = real()
    data["evaluate"] = {"batch_images": 0, "size": 3}
    data["run"]["sedes"] = data["run"].pop("seeds")
    with pytest.raises(ConfigError, match=r"(?s)seeds: missing.*sedes: unknown.*batch_images = 0.*size: unknown"):
        load_params(write(tmp_path, data))


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: not found; run from the project's folder"):
        load_params(tmp_path / "absent.yaml")


def test_a_file_that_is_no_mapping_is_named(subtests: pytest.Subtests, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    for text in ("run: [1, 2", "a: b: c", ""):
        file.write_text(text, encoding="utf-8")
        with subtests.test(msg=text), pytest.raises(ConfigError, match=r"params\.yaml"):
            load_params(file)


# ------------------------------------------------------------------------------------------------------------- merging


def params_with(**rates: float) -> Params:
    """Params in which the named levels say their own learning rate; the default is 1e-3."""
    data = real()
    data["train"]["lr"] = 1e-3
    for level, (kind, name, *rest) in OVERLAYS.items():
        own = {"train": {"lr": rates[level]}} if level in rates else {}
        data[kind][name] = {"overlay": own} if rest else own
    return Params.model_validate(data)


def test_the_variant_has_the_last_word_before_the_dataset_and_the_model(subtests: pytest.Subtests) -> None:
    orders: list[tuple[dict[str, float], float]] = [
        ({}, 1e-3),
        ({"model": 2e-3}, 2e-3),
        ({"model": 2e-3, "dataset": 3e-3}, 3e-3),
        ({"model": 2e-3, "variant": 4e-3}, 4e-3),
        ({"dataset": 3e-3, "variant": 4e-3}, 4e-3),
        ({"model": 2e-3, "dataset": 3e-3, "variant": 4e-3}, 4e-3),
    ]
    for levels, expected in orders:
        with subtests.test(msg=str(levels)):
            config = resolve(params_with(**levels), DATASET, MODEL, "rsrefseg", 0)
            assert config.train.lr == expected
            assert config.train.epochs == REAL["train"]["epochs"]  # an overlay replaces what it names, nothing beside


def test_the_papers_sizes_train_as_released_but_for_the_chosen_epoch() -> None:
    """The released config (configs_RSRefSeg/RSRefSeg-b.py, c20e056), and every way in which ours is another."""
    config = resolve(load_params(PARAMS_FILE), "rrsisd", "rsrefseg-b", "rsrefseg", 0)
    released = {
        "epochs": 200, "step_of": "pairs", "batch_size": 8, "expressions_per_image": None, "lr": 1e-4,
        "warmup_epochs": 5, "warmup_start": 0.01, "cosine": "per_epoch", "final_lr_ratio": 0.001, "weight_decay": 0.05,
        "clip_norm": None, "loss": {"bce": 5, "dice": 0}, "label_side": 1024, "augment": (),
    }  # fmt: skip
    assert config.train.model_dump() == {**released, "select": "best", "threads": 2}
    assert REAL["train"]["select"] == "last"
    assert config.model.lora is not None
    assert (config.model.lora.rank, config.model.lora.alpha, config.model.lora.dropout) == (16, 16, 0.1)
    assert (config.model.clip.through_side, config.model.prompter.start) == (1024, "released")


def test_without_a_variant_there_is_no_variant_s_overlay() -> None:
    params = params_with(dataset=3e-3, variant=4e-3)
    config = resolve(params, DATASET, MODEL, None, 0)
    assert (config.train.lr, config.variant) == (3e-3, "")


def test_null_turns_off_and_is_never_a_default() -> None:
    data = real()
    data["variants"]["rsrefseg"] = {"lora": None, "train": {"clip_norm": None, "expressions_per_image": None}}
    config = resolve(Params.model_validate(data), DATASET, MODEL, "rsrefseg", 0)
    assert (config.model.lora, config.train.clip_norm, config.train.expressions_per_image) == (None, None, None)


def test_what_one_level_turns_off_a_later_one_can_turn_on() -> None:
    data = real()
    data["models"][MODEL] = {"lora": None}
    data["variants"]["rsrefseg"] = {"lora": {"rank": 8}}
    params = Params.model_validate(data)
    assert resolve(params, DATASET, MODEL, None, 0).model.lora is None
    lora = resolve(params, DATASET, MODEL, "rsrefseg", 0).model.lora
    assert lora is not None
    assert lora.rank == 8


def test_merging_is_key_by_key_and_leaves_both_sides_as_they_were() -> None:
    base, difference = {"a": {"b": 1, "c": [1, 2]}, "d": 4}, {"a": {"c": [3], "e": None}, "d": {"f": 1}}
    before = copy.deepcopy((base, difference))
    assert merged(base, difference) == {"a": {"b": 1, "c": [3], "e": None}, "d": {"f": 1}}
    assert (base, difference) == before


def test_resolving_changes_no_named_size() -> None:
    before = copy.deepcopy(MODELS)
    data = real()
    data["variants"]["rsrefseg"] = {"sam": {"vision": {"num_hidden_layers": 2}}}
    config = resolve(Params.model_validate(data), DATASET, MODEL, "rsrefseg", 0)
    assert config.model.sam.vision["num_hidden_layers"] == 2
    assert config.model.sam.vision["image_size"] == MODELS[MODEL]["sam"]["vision"]["image_size"]
    assert before == MODELS


# ------------------------------------------------------------------------------------------------------------ variants


def test_the_variants_of_the_tests_are_those_of_the_study() -> None:
    assert {name: REAL["variants"][name] for name in variants_of(load_params(PARAMS_FILE), MODEL)} == VARIANTS


def test_no_two_variants_resolve_to_the_same_run(subtests: pytest.Subtests) -> None:
    params = load_params(PARAMS_FILE)
    for dataset, model in itertools.product(REAL["datasets"], REAL["models"]):
        with subtests.test(msg=f"{dataset} x {model}"):
            variants = variants_of(params, model)
            plain = [resolve(params, dataset, model, variant, 0).plain() for variant in variants]
            seen = [{key: config[key] for key in ("model", "train")} for config in plain]
            assert len(seen) >= 3 or (not seen and model in ("clipseg", "sam3")), "which are never trained"
            for number, one in enumerate(seen):
                assert one not in seen[:number], variants[number]


def test_every_variant_builds_the_model_it_resolves_to() -> None:
    params = load_params(PARAMS_FILE)
    built: dict[str, dict[str, Any]] = {}
    for variant in variants_of(params, MODEL):
        config = resolve(params, DATASET, MODEL, variant, 0)
        network = build(config.model)
        assert network.config == config.model
        built[variant] = {name: (tuple(p.shape), p.requires_grad) for name, p in network.named_parameters()}
        built[variant]["prompter's cells"] = config.model.prompter_grid
    assert list(built) == list(VARIANTS)
    for number, variant in enumerate(built):
        assert built[variant] not in [built[other] for other in list(built)[:number]], variant


def test_no_variant_is_called_as_a_control_is() -> None:
    assert not set(CONTROLS) & set(REAL["variants"])  # results of both lie in one folder


# ------------------------------------------------------------------------------------------------ one run's own record


def test_a_resolved_configuration_survives_its_own_json() -> None:
    config = resolve(load_params(PARAMS_FILE), DATASET, MODEL, "local_only", 3)
    plain = config.plain()
    assert run_class("rsrefseg").model_validate(plain) == config
    assert plain["model"]["prompter"]["global"] is False
    assert (plain["dataset"], plain["model_name"], plain["variant"], plain["seed"]) == (DATASET, MODEL, "local_only", 3)


def test_augmentation_is_named_known_and_in_one_order(subtests: pytest.Subtests, tmp_path: Path) -> None:
    refuses_each(
        subtests,
        tmp_path,
        (("train", "augment"), ["flap"], r"train\.augment.*unknown augmentation 'flap'; did you mean 'flip'\?"),
        (("train", "augment"), ["flip", "flip"], r"train\.augment.*'flip' is there twice"),
        (("train", "augment"), "flip", r"train\.augment"),
        (("train", "augment"), None, r"train\.augment"),
    )
    data, found = real(), []
    for names in ([], ["scale", "flip"], ["flip", "scale"]):
        data["train"]["augment"] = names
        found.append(resolve(load_params(write(tmp_path, data)), DATASET, MODEL, "rsrefseg", 0).plain())
    assert found[0]["train"]["augment"] == []
    assert found[1] == found[2]
    assert found[1]["train"]["augment"] == ["flip", "scale"]


def test_a_fingerprint_covers_everything_a_run_depends_on() -> None:
    params = load_params(PARAMS_FILE)
    plain = resolve(params, DATASET, MODEL, "rsrefseg", 0).plain()
    found = [
        fingerprint(plain, "weights", "data"),
        fingerprint(plain, "other weights", "data"),
        fingerprint(plain, "weights", "other data"),
        fingerprint(plain, "weightsd", "ata"),
        fingerprint(resolve(params, DATASET, MODEL, "rsrefseg", 1).plain(), "weights", "data"),
        fingerprint(merged(plain, {"train": {"lr": 0.5}}), "weights", "data"),
        fingerprint(merged(plain, {"model": {"lora": None}}), "weights", "data"),
    ]
    assert len(set(found)) == len(found)
    assert all(len(digits) == 16 and int(digits, 16) >= 0 for digits in found)


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    plain = resolve(load_params(PARAMS_FILE), DATASET, MODEL, "rsrefseg", 0).plain()
    assert fingerprint(dict(reversed(plain.items())), "w", "d") == fingerprint(plain, "w", "d")
