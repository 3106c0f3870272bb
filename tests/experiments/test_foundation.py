"""From the `foundation` section of params.yaml to weights/<model>/: what it may say, and what comes of sources. Recipes
are in pretraining/test_pretrain.py, the hub itself in download/test_hub.py."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModel, SamModel

from benchmark.data.files import sha256
from experiments import foundation
from experiments.config import load_params, model_config
from experiments.download import weights as sources
from experiments.download.hub import HubError
from experiments.foundation_settings import SourceConfig, WeightsSource
from experiments.settings import ConfigError, Params, parse
from models.checkpoint import load_tensors
from models.pixels import prepare_images
from models.weights.foundation import foundation_files, load_clip, load_sam
from models.weights.transformers_folder import WEIGHTS
from models.zoo import MODELS
from tests.checkpoints import change_json, write_clip_checkpoint, write_official_sam, write_sam_checkpoint
from tests.tiny import FAMILIES, random_image, tiny_config

ROOT = Path(__file__).parents[2]
REAL: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXTS = ["red ship", "the large green harbor near road"]


# ------------------------------------------------------------------------------------------------- what may be written


def said_of(plan: Any, model: str = "rsrefseg-b") -> str:
    """How params.yaml with this plan is refused."""
    data = copy.deepcopy(REAL)
    data["foundation"][model] = plan
    with pytest.raises(ConfigError) as refused:
        parse(Params, data, "params.yaml")
    return str(refused.value)


HUB = {"hub": "owner/name", "revision": COMMIT}


def test_a_source_that_cannot_be_used_is_said_plainly(subtests: pytest.Subtests) -> None:
    sources_and_words: list[tuple[Any, str]] = [
        ({}, "clip: give one of hub, folder"),
        ({**HUB, "folder": "x"}, "clip: give one of hub, folder, not hub and folder"),
        ({"hub": "owner/name"}, "clip: give the revision of owner/name: the commit, 40 hexadecimal digits"),
        ({**HUB, "revision": "main"}, "clip.revision = 'main': not a commit; write its 40 hexadecimal digits"),
        ({**HUB, "hub": "https://huggingface.co/owner/name"}, "not a repository; write owner/name"),
        ({**HUB, "sha256": "ABC"}, "clip.sha256 = 'ABC': not a SHA-256; write its 64 hexadecimal digits"),
        ({**HUB, "weights": "flax.msgpack"}, "clip.weights = 'flax.msgpack': Input should be 'model.safetensors'"),
        ({**HUB, "revison": COMMIT}, "clip.revison: unknown key; did you mean 'revision'?"),
        ({"folder": "x", "revision": COMMIT}, "clip: revision can only be said of hub, not of folder"),
        ({"folder": "x", "weights": "pytorch_model.bin"}, "clip: weights can only be said of hub, not of folder"),
        ({"official": "sam_vit_b_01ec64.pth"}, "clip.official: unknown key"),
        ("google/siglip", "clip = 'google/siglip': Input should be a valid dictionary"),
        (None, "clip = None: Input should be a valid dictionary"),
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
    either = "foundation.rsrefseg-b: give either pretrain (recipes) or source (published weights)"
    below = "foundation.rsrefseg-b: clip and sam belong one level down, under pretrain (recipes) or source (published"
    rows: list[tuple[Any, str]] = [
        ({}, either),
        ({"source": two, "pretrain": recipes}, either),
        ({"source": {"sam": HUB}}, "foundation.rsrefseg-b.source.clip: missing; add it"),
        ({"source": {**two, "held_out_scenes": 3}}, "foundation.rsrefseg-b.source.held_out_scenes: unknown key"),
        ({"sorce": two}, "foundation.rsrefseg-b.sorce: unknown key; did you mean 'source'?"),
        (3, "foundation.rsrefseg-b = 3: Input should be a valid dictionary"),
        ({"pretrain": {**recipes, "clip": HUB}}, "foundation.rsrefseg-b.pretrain.clip.hub: unknown key"),
        (two, below),  # as they were written before
        (recipes, below),
        ({"source": two, "sam": HUB}, below),
    ]
    for plan, words in rows:
        with subtests.test(msg=str(plan)):
            assert words in said_of(plan)


def test_faults_of_a_recipe_are_those_of_a_recipe() -> None:
    plan = copy.deepcopy(REAL["foundation"]["mini"])
    del plan["pretrain"]["held_out_scenes"], plan["pretrain"]["clip"]["lr"]
    said = said_of(plan, "mini")
    assert "foundation.mini.pretrain.held_out_scenes: missing; add it" in said
    assert "foundation.mini.pretrain.clip.lr: missing; add it" in said
    assert "hub" not in said


def test_the_real_file_says_where_every_model_comes_from() -> None:
    params = load_params(ROOT / "params.yaml")
    assert set(params.foundation) == set(params.models) == set(MODELS)
    assert params.foundation["mini"].pretrain is not None
    for name, plan in params.foundation.items():
        if name != "mini":
            assert plan.source is not None, name
            assert plan.source.clip.revision, name
            assert plan.source.sam.revision, name


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


# ------------------------------------------------------------------------------------------------------- whole command


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of each family, of SAM, and an official SAM; read only."""
    root = tmp_path_factory.mktemp("published")
    for family in FAMILIES:
        write_clip_checkpoint(root / family, family)
    write_sam_checkpoint(root / "sam")
    write_official_sam(root / "sam_tiny.pth")
    return root


Project = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder whose params.yaml gives rsrefseg-b these sources, and whose rsrefseg-b is the tiny model."""

    def make(family: str = "siglip", *, clip: dict[str, Any], sam: dict[str, Any]) -> Path:
        data = copy.deepcopy(REAL)
        data["foundation"]["rsrefseg-b"] = {"source": {"clip": clip, "sam": sam}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
        monkeypatch.setitem(MODELS, "rsrefseg-b", tiny_config(family=family).model_dump(mode="json", by_alias=True))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "2000")  # no message is broken
        return tmp_path / "weights" / "rsrefseg-b"

    return make


def failed(capsys: pytest.CaptureFixture[str], only: str | None = None) -> str:
    """What the command says when it fails, its line breaks undone."""
    with pytest.raises(SystemExit, match="1"):
        foundation.main("rsrefseg-b", only=only)
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_each_family_gives_the_features_of_transformers_own_model(
    project: Project, published: Path, family: str
) -> None:
    weights = project(family, clip={"folder": str(published / family)}, sam={"folder": str(published / "sam")})
    foundation.main("rsrefseg-b")
    config = tiny_config(family=family)
    clip, images = load_clip(config.clip, weights).eval(), [random_image(40, 30, 0), random_image(32, 32, 1)]
    theirs = AutoModel.from_pretrained(published / family).eval()
    ids = clip.tokens([*TEXTS, "the"])[0]
    pixels = prepare_images(images, config.clip.image_side, clip.pixel_mean, clip.pixel_std)
    with torch.no_grad():
        features = clip(images, TEXTS)
        vision = theirs.vision_model(pixels).last_hidden_state
        sentence = theirs.get_text_features(ids).pooler_output
        if family == "clip":
            vision = theirs.visual_projection(theirs.vision_model.post_layernorm(vision[:, 1:]))
    torch.testing.assert_close(features.visual_BCHW.flatten(2).transpose(1, 2), vision)
    torch.testing.assert_close(features.sentence_NC, sentence[:2])
    assert features.scale == theirs.logit_scale.exp()
    assert family == "clip" or features.bias == theirs.logit_bias


def test_a_folder_of_sam_gives_the_embedding_and_masks_of_transformers_own_model(
    project: Project, published: Path
) -> None:
    weights = project(clip={"folder": str(published / "siglip")}, sam={"folder": str(published / "sam")})
    foundation.main("rsrefseg-b")
    sam, theirs = load_sam(tiny_config().sam, weights).eval(), SamModel.from_pretrained(published / "sam").eval()
    image, point = random_image(64, 64, 0), torch.tensor([[[20.0, 30.0]]])
    pixels = prepare_images([image], 64, sam.pixel_mean, sam.pixel_std)
    with torch.no_grad():
        encoded = sam.encode([image])
        logits, quality = sam.decode(encoded, sam.embed_points(point, torch.ones(1, 1)), sam.no_mask())
        output = theirs(
            pixel_values=pixels, input_points=point[None], input_labels=torch.ones(1, 1, 1), multimask_output=False
        )
        torch.testing.assert_close(encoded, theirs.get_image_embeddings(pixels))
    torch.testing.assert_close(logits, output.pred_masks[:, 0, 0])
    torch.testing.assert_close(quality, output.iou_scores[:, 0, 0])


def test_an_official_sam_is_converted(project: Project, published: Path) -> None:
    weights = project(clip={"folder": str(published / "siglip")}, sam={"official": str(published / "sam_tiny.pth")})
    foundation.main("rsrefseg-b")
    official = torch.load(published / "sam_tiny.pth")
    state = load_sam(tiny_config().sam, weights).distinct_state()
    name = "prompt_encoder.no_mask_embed.weight"
    assert torch.equal(state[name], official[name])
    assert json.loads((weights / "foundation.json").read_text())["sources"]["sam"]["official"].endswith("sam_tiny.pth")


def test_what_was_brought_is_written_down_and_the_same_sources_give_the_same_bytes(
    project: Project, published: Path
) -> None:
    weights = project(clip={"folder": str(published / "clip")}, sam={"folder": str(published / "sam")}, family="clip")
    seen = []
    for _ in range(2):
        foundation.main("rsrefseg-b")
        seen.append({file.name: file.read_bytes() for file in weights.iterdir()})
    assert seen[0] == seen[1]
    report = json.loads((weights / "foundation.json").read_text(encoding="utf-8"))
    clip, sam = load_clip(tiny_config(family="clip").clip, weights), load_sam(tiny_config().sam, weights)
    assert report == {
        "parameters": {
            "clip": sum(p.numel() for p in clip.parameters()),
            "sam": sum(p.numel() for p in sam.parameters()),
        },
        "sha256": {name: sha256(file) for name, file in foundation_files(weights).items()},
        "sources": {
            name: {
                "folder": str(published / name),
                "weights": "model.safetensors",
                "sha256": sha256(published / name / "model.safetensors"),
            }
            for name in ("clip", "sam")
        },
    }
    assert {file.name for file in weights.iterdir()} == {
        *(file.name for file in foundation_files(weights).values()), "foundation.json"
    }  # fmt: skip
    assert {file.name for file in weights.parent.iterdir()} == {"rsrefseg-b"}


def test_a_path_is_written_down_as_it_was_given(
    project: Project, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(published))
    weights = project(clip={"folder": "~/siglip"}, sam={"folder": "~/sam"})
    foundation.main("rsrefseg-b")
    assert json.loads((weights / "foundation.json").read_text())["sources"]["clip"]["folder"] == "~/siglip"


def test_one_part_alone_leaves_the_other_as_it_was(project: Project, published: Path) -> None:
    weights = project(clip={"folder": str(published / "siglip")}, sam={"folder": str(published / "sam")})
    foundation.main("rsrefseg-b", only="clip")
    assert {file.name for file in weights.iterdir()} == {"clip.safetensors", "tokenizer.json", "foundation.json"}
    first = json.loads((weights / "foundation.json").read_text())
    assert set(first["sha256"]) == {"clip", "tokenizer"}
    foundation.main("rsrefseg-b", only="sam")
    both = json.loads((weights / "foundation.json").read_text())
    assert both["sources"]["clip"] == first["sources"]["clip"]
    assert set(both["sha256"]) == {"clip", "tokenizer", "sam"}
    assert both["sha256"]["clip"] == first["sha256"]["clip"]


def test_sources_have_no_quality_to_measure(
    project: Project, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(clip={"folder": str(published / "siglip")}, sam={"folder": str(published / "sam")})
    assert "unknown part 'measure'; known: clip, sam" in failed(capsys, only="measure")


# -------------------------------------------------------------------------------------------------- whole or not at all


def test_when_the_second_source_fails_nothing_is_changed(
    project: Project, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(published / "sam", tmp_path / "other")
    change_json(other / "config.json", vision_config={"window_size": 2})
    weights = project(clip={"folder": str(published / "siglip")}, sam={"folder": str(other)})
    before: dict[str, str] = {}
    for _ in range(2):  # where nothing was, and where something was
        assert "vision_config.window_size is 2 and sam.vision.window_size is 4" in failed(capsys)
        assert {file.name: file.read_text() for file in weights.glob("*")} == before
        assert set(weights.parent.glob("*")) | set(weights.parent.glob(".*")) <= {weights}
        before = {"clip.safetensors": "as it was"}
        weights.mkdir(parents=True, exist_ok=True)
        (weights / "clip.safetensors").write_text("as it was")
    change_json(other / "config.json", vision_config={"window_size": 4})
    foundation.main("rsrefseg-b")
    assert set(load_tensors(weights / "sam.safetensors", "")) == set(
        load_sam(tiny_config().sam, weights).distinct_state()
    )


def test_other_weights_than_params_yaml_s_are_refused(
    project: Project, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = sha256(published / "siglip" / "model.safetensors")
    clip = {"folder": str(published / "siglip"), "sha256": found}
    weights = project(clip={**clip, "sha256": "0" * 64}, sam={"folder": str(published / "sam")})
    said = failed(capsys)
    for part in ("model.safetensors", found, "0" * 64, "foundation.rsrefseg-b.source.clip.sha256 of params.yaml"):
        assert part in said
    assert not weights.exists()
    project(clip=clip, sam={"folder": str(published / "sam")})
    foundation.main("rsrefseg-b")


def test_an_official_file_of_a_published_name_must_be_the_published_one(
    project: Project, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(shutil.copy(published / "sam_tiny.pth", tmp_path / "sam_vit_b_01ec64.pth"))
    sam: dict[str, Any] = {"official": str(file)}
    weights = project(clip={"folder": str(published / "siglip")}, sam=sam)
    said = failed(capsys)
    for part in (file.name, sha256(file), "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"):
        assert part in said
    assert not weights.exists()
    project(clip={"folder": str(published / "siglip")}, sam={**sam, "sha256": sha256(file)})
    foundation.main("rsrefseg-b")  # who writes the hash down means this file


def test_a_path_that_is_not_there_is_named_with_its_place(
    project: Project, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("folder", "official"):
        project(clip={"folder": str(published / "siglip")}, sam={kind: "no/such"})
        said = "no/such: foundation.rsrefseg-b.source.sam of params.yaml names it, and it is not there"
        assert said in failed(capsys), kind


# -------------------------------------------------------------------------------------------------------------- the hub


def test_of_a_repository_nothing_is_read_but_what_was_fetched_and_checked(
    project: Project, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(repository: str, revision: str, names: list[str], place: str) -> dict[str, Path]:
        asked.append((repository, revision, names, place))
        cache = tmp_path / "cache" / repository.replace("/", "--")
        if not cache.exists():
            shutil.copytree(published / repository.split("/")[1], cache)
            if "siglip" in repository:  # what the cache may also hold
                (cache / "adapter_config.json").write_text("{}")
                torch.save(load_tensors(cache / "model.safetensors", ""), cache / "pytorch_model.bin")
                (cache / "model.safetensors").write_text("of another program")
        return {name: cache / name for name in names}

    monkeypatch.setattr(sources, "fetch", fetch)
    hub = {"hub": "owner/siglip", "revision": COMMIT, "weights": "pytorch_model.bin"}
    weights = project(clip=hub, sam={"hub": "owner/sam", "revision": COMMIT})
    foundation.main("rsrefseg-b")
    settings = ["config.json", "preprocessor_config.json"]
    clip_files = [*settings, "tokenizer_config.json", "tokenizer.json", "pytorch_model.bin"]
    assert asked == [
        ("owner/siglip", COMMIT, clip_files, "foundation.rsrefseg-b.source.clip"),
        ("owner/sam", COMMIT, [*settings, "model.safetensors"], "foundation.rsrefseg-b.source.sam"),
    ]
    report = json.loads((weights / "foundation.json").read_text())
    assert report["sources"]["sam"] == {
        "hub": "owner/sam",
        "revision": COMMIT,
        "weights": "model.safetensors",
        "sha256": sha256(published / "sam" / "model.safetensors"),
    }
    assert load_clip(tiny_config().clip, weights)


def test_weights_of_a_repository_in_several_files_are_all_fetched(
    project: Project, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_clip_checkpoint(tmp_path / "parts", "siglip", max_shard_size="40KB")
    monkeypatch.setattr(sources, "fetch", lambda *asked: {name: folder / name for name in asked[2]})
    hub = {"hub": "owner/parts", "revision": COMMIT, "weights": "model.safetensors.index.json"}
    weights = project(clip=hub, sam={"folder": str(published / "sam")})
    foundation.main("rsrefseg-b")
    stored, theirs = load_tensors(weights / "clip.safetensors", ""), AutoModel.from_pretrained(folder).state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in stored.items())


def test_when_the_hub_fails_the_message_is_the_hub_s(
    project: Project, published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fetch(*_: Any) -> dict[str, Path]:
        raise HubError("owner/name cannot be reached")

    monkeypatch.setattr(sources, "fetch", fetch)
    weights = project(clip={"folder": str(published / "siglip")}, sam=HUB)
    assert "error: owner/name cannot be reached" in failed(capsys)
    assert not weights.exists()


def test_weights_have_one_of_the_names_that_transformers_looks_for() -> None:
    assert WeightsSource.model_validate(HUB).weights == WEIGHTS[0]
    for name in WEIGHTS:
        assert WeightsSource.model_validate({**HUB, "weights": name}).weights == name
