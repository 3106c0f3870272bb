"""What the `foundation` section of params.yaml may say."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.config import load_params, model_config
from experiments.foundation_settings import SourceConfig, WeightsSource
from experiments.settings import ConfigError, Params
from models.weights.transformers_folder import WEIGHTS
from models.zoo import MODELS

ROOT = Path(__file__).parents[2]
REAL: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"hub": "owner/name", "revision": COMMIT}


def said_of(plan: Any, model: str = "rsrefseg-b") -> str:
    """How params.yaml with this plan is refused."""
    data = copy.deepcopy(REAL)
    data["foundation"][model] = plan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.config.read_params", lambda _: data)
        with pytest.raises(ConfigError) as refused:
            load_params(Path("params.yaml"))
    return str(refused.value)


def test_a_source_that_cannot_be_used_is_said_plainly(subtests: pytest.Subtests) -> None:
    sources_and_words: list[tuple[Any, str]] = [
        ({}, "clip: give one of hub, folder"),
        ({**HUB, "folder": "x"}, "clip: give one of hub, folder, not hub and folder"),
        ({**HUB, "revision": "main"}, "clip.revision = 'main': not a commit; write its 40 hexadecimal digits"),
        ({**HUB, "hub": "https://huggingface.co/owner/name"}, "not a repository; write owner/name"),
        ({**HUB, "sha256": "ABC"}, "clip.sha256 = 'ABC': not a SHA-256; write its 64 hexadecimal digits"),
        ({**HUB, "weights": "flax.msgpack"}, "clip.weights = 'flax.msgpack': Input should be 'model.safetensors'"),
        ({**HUB, "revison": COMMIT}, "clip.revison: unknown key; did you mean 'revision'?"),
        ({"folder": "x", "revision": COMMIT}, "clip: revision can only be said of hub, not of folder"),
        ({"folder": "x", "weights": "pytorch_model.bin"}, "clip: weights can only be said of hub, not of folder"),
        ({"official": "sam_vit_b_01ec64.pth"}, "clip.official: unknown key"),
        ("google/siglip", "clip = 'google/siglip': Input should be a valid dictionary"),
        (None, "clip: missing; add it"),
    ]
    for clip, words in sources_and_words:
        with subtests.test(msg=words):
            said = said_of({"source": {"clip": clip, "sam": HUB}})
            assert said.startswith("params.yaml: foundation.rsrefseg-b.source.clip")
            assert words in said
            assert "\n" not in said, "one fault, one line"


def test_sam_may_be_official_and_nothing_beside_it() -> None:
    plan = SourceConfig.model_validate({"clip": {"folder": "x"}, "sam": {"official": "sam.pth"}})
    assert plan.sam.official == Path("sam.pth")
    for sam, words in (
        ({}, "source.sam: give one of hub, folder, official"),
        ({"folder": "x", "official": "y"}, "not folder and official"),
    ):
        assert words in said_of({"source": {"clip": HUB, "sam": sam}})


def test_a_plan_is_two_recipes_or_two_sources(subtests: pytest.Subtests) -> None:
    two, recipes = {"clip": HUB, "sam": HUB}, REAL["foundation"]["mini"]["pretrain"]
    either = (
        "foundation.rsrefseg-b: give one of pretrain (recipes), source (published weights) and like (another model)"
    )
    below = "foundation.rsrefseg-b: clip and sam belong one level down, under pretrain (recipes) or source (published"
    rows: list[tuple[Any, str]] = [
        ({}, either),
        ({"source": two, "pretrain": recipes}, either),
        ({"source": two, "like": "mini"}, either),
        ({"source": {"sam": HUB}}, "foundation.rsrefseg-b.source.clip: missing; add it"),
        ({"source": {**two, "held_out_scenes": 3}}, "foundation.rsrefseg-b.source.held_out_scenes: unknown key"),
        ({"sorce": two}, "foundation.rsrefseg-b.sorce: unknown key; did you mean 'source'?"),
        (3, "foundation.rsrefseg-b = 3: Input should be a valid dictionary"),
        ({"source": {**two, "swin": HUB}}, "foundation.rsrefseg-b.source.swin: rsrefseg has none, but clip and sam"),
        ({"pretrain": {**recipes, "clip": HUB}}, "foundation.rsrefseg-b.pretrain.clip.hub: unknown key"),
        (two, below),  # as they were written before
        (recipes, below),
        ({"source": two, "sam": HUB}, "foundation.rsrefseg-b: sam belongs one level down, under pretrain"),
    ]
    for plan, words in rows:
        with subtests.test(msg=str(plan)):
            assert words in said_of(plan)


def test_a_plan_says_something_of_every_part_of_its_system_and_of_no_other(subtests: pytest.Subtests) -> None:
    recipes = REAL["foundation"]["lavt-mini"]["pretrain"]
    rows: list[tuple[str, Any, str]] = [
        ("lavt", {"source": {"swin": HUB}}, "foundation.lavt.source.bert: missing; add it"),
        ("lavt", {"source": {"swin": HUB, "bert": HUB, "sam": HUB}}, ".source.sam: lavt has none, but swin and bert"),
        ("rmsin-mini", {"pretrain": {**recipes, "bert": None}}, "foundation.rmsin-mini.pretrain.bert: missing; add it"),
        ("rsrefseg2", {"source": {"clip": HUB}}, "foundation.rsrefseg2.source.sam: missing; add it"),
        ("sam3", {"pretrain": recipes}, "foundation.sam3.pretrain: sam3 is taken as it was published; give its source"),
        ("sam3", {"source": {"clipseg": HUB}}, "foundation.sam3.source.clipseg: sam3 has none, but sam3"),
        ("lavt", {"swin": HUB}, "foundation.lavt: swin belongs one level down, under pretrain (recipes) or source"),
    ]
    for model, plan, words in rows:
        with subtests.test(msg=words):
            assert words in said_of(plan, model)


def test_a_model_is_like_another_that_has_its_parts(subtests: pytest.Subtests) -> None:
    for other, words in (
        ("lavt-min", "not another model of this section; name one"),
        ("rmsin", "not another model of this section; name one"),
        (3, "not another model of this section; name one"),
        ("rsrefseg2-mini", "which is itself like 'mini'; write mini"),
        ("mini", "it has no swin and no bert, which rmsin needs"),
    ):
        with subtests.test(msg=words):
            assert f"foundation.rmsin.like = {other!r}: {words}" in said_of({"like": other}, "rmsin")


def test_faults_of_a_recipe_are_those_of_a_recipe() -> None:
    plan = copy.deepcopy(REAL["foundation"]["mini"])
    del plan["pretrain"]["held_out_scenes"], plan["pretrain"]["clip"]["lr"]
    said = said_of(plan, "mini")
    assert "foundation.mini.pretrain.held_out_scenes: missing; add it" in said
    assert "foundation.mini.pretrain.clip.lr: missing; add it" in said
    assert "hub" not in said


def test_the_real_file_says_where_every_model_comes_from() -> None:
    params = load_params(ROOT / "params.yaml")
    assert set(params.foundation) == set(MODELS)
    origins = {
        name: "pretrain" if plan.pretrain else "source" if plan.source else plan.like
        for name, plan in params.foundation.items()
    }
    pretrained = {"mini": "pretrain", "lavt-mini": "pretrain"}
    like = {"rmsin-mini": "lavt-mini", "rsrefseg2-mini": "mini", "rmsin": "lavt"}
    assert origins == dict.fromkeys(MODELS, "source") | pretrained | like
    sources = [source for plan in params.foundation.values() if plan.source for source in plan.source.of_parts.values()]
    unpinned = {source.hub for source in sources if source.revision is None}
    told_by_nobody = {"microsoft/swin-base-patch4-window12-384-in22k", "CIDAS/clipseg-rd64-refined", "facebook/sam3"}
    assert unpinned == told_by_nobody


def test_a_foundation_of_no_known_model_is_refused(tmp_path: Path) -> None:
    data = copy.deepcopy(REAL)
    data["foundation"]["rsrefseg-x"] = data["foundation"]["rsrefseg-b"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"foundation: unknown name 'rsrefseg-x'; did you mean 'rsrefseg-"):
        load_params(tmp_path / "params.yaml")


def test_a_model_s_overlay_decides_what_its_weights_must_fit() -> None:
    data = copy.deepcopy(REAL)
    data["models"]["rsrefseg-b-clip"] = {"clip": {"text": {"hidden_act": "gelu"}}}
    params = Params.model_validate(data)
    assert model_config(params, "rsrefseg-b-clip").clip.text["hidden_act"] == "gelu"
    assert "hidden_act" not in MODELS["rsrefseg-b-clip"]["clip"]["text"]
    with pytest.raises(ConfigError, match=r"unknown model 'rsrefseg-c'; did you mean"):
        model_config(params, "rsrefseg-c")


def test_weights_have_one_of_the_names_that_transformers_looks_for() -> None:
    assert WeightsSource.model_validate(HUB).weights == WEIGHTS[0]
    for name in WEIGHTS:
        assert WeightsSource.model_validate({**HUB, "weights": name}).weights == name
