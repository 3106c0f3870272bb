"""From sources in params.yaml to weights/<model>/. Recipes are in pretraining/test_pretrain.py, the hub itself in
download/test_hub.py."""

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
from experiments.download import weights as sources
from experiments.download.hub import HubError
from models.checkpoint import load_tensors
from models.lavt.config import LavtConfig
from models.lavt.lavt import LAVT
from models.pixels import prepare_images
from models.rsrefseg2.config import Sam2Config
from models.weights.files import foundation_files, swin_bert_files
from models.weights.foundation import load_clip, load_sam
from models.weights.sam2 import load_sam2
from models.zoo import MODELS
from tests.checkpoints import (
    change_json,
    write_bert_checkpoint,
    write_clip_checkpoint,
    write_official_sam,
    write_sam2_checkpoint,
    write_sam_checkpoint,
    write_swin_checkpoint,
)
from tests.language_aware import CIM, PLAIN, lavt_config
from tests.models.rsrefseg2.tiny import SAM2
from tests.tiny import FAMILIES, random_image, tiny_config

ROOT = Path(__file__).parents[2]
REAL: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = {"hub": "owner/name", "revision": COMMIT}
TEXTS = ["red ship", "the large green harbor near road"]


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


def failed(capsys: pytest.CaptureFixture[str], only: str | None = None, model: str = "rsrefseg-b") -> str:
    """What the command says when it fails, its line breaks undone."""
    with pytest.raises(SystemExit, match="1"):
        foundation.main(model, only=only)
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


def test_a_source_without_a_commit_is_taken_at_the_newest_which_is_said_and_kept(
    project: Project, published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def fetch(repository: str, revision: str, names: list[str], place: str) -> dict[str, Path]:
        asked.append(revision)
        return {name: published / "siglip" / name for name in names}

    monkeypatch.setattr(sources, "fetch", fetch)
    monkeypatch.setattr(sources, "newest_commit", lambda *_: COMMIT)
    weights = project(clip={"hub": "owner/siglip"}, sam={"folder": str(published / "sam")})
    foundation.main("rsrefseg-b", only="clip")
    place = "foundation.rsrefseg-b.source.clip"
    said = f"owner/siglip is at {COMMIT}; to keep it there, write into params.yaml, {place}: revision: {COMMIT}"
    assert said in capsys.readouterr().out
    assert asked == [COMMIT]
    assert json.loads((weights / "foundation.json").read_text())["sources"]["clip"]["revision"] == COMMIT


# ---------------------------------------------------------------------------------------------------- the other systems


Settings = Callable[..., Path]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A folder whose params.yaml has these plans, and in which these models are tiny ones -> its weights."""

    def make(plans: dict[str, Any], **tiny: Any) -> Path:
        data = copy.deepcopy(REAL)
        data["foundation"] |= plans
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
        for name, size in tiny.items():
            monkeypatch.setitem(MODELS, name.replace("_", "-"), size)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "2000")
        return tmp_path / "weights"

    return make


def test_swin_and_bert_of_transformers_folders_build_a_lavt(settings: Settings, tmp_path: Path) -> None:
    theirs = write_swin_checkpoint(tmp_path / "swin"), write_bert_checkpoint(tmp_path / "bert")
    source = {name: {"folder": str(tmp_path / name)} for name in ("swin", "bert")}
    weights = settings({"lavt": {"source": source}}, lavt=PLAIN)
    foundation.main("lavt", only="swin")
    foundation.main("lavt", only="bert")
    model = LAVT.from_foundation(lavt_config(), weights / "lavt")
    report = json.loads((weights / "lavt" / "foundation.json").read_text())
    for part, ours, published in zip(("swin", "bert"), (model.backbone.swin, model.text.bert), theirs, strict=True):
        said = published.state_dict()
        assert all(torch.equal(value, said[name]) for name, value in ours.state_dict().items()), part
        assert report["parameters"][part] == sum(parameter.numel() for parameter in ours.parameters())
    assert report["sha256"] == {name: sha256(file) for name, file in swin_bert_files(weights / "lavt").items()}


def test_sam_2_is_read_where_the_model_has_it_and_has_no_official_file(
    settings: Settings, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = write_sam2_checkpoint(tmp_path / "sam2")
    clip = {"folder": str(published / "siglip")}
    size = {**MODELS["rsrefseg2"], "clip": tiny_config().clip.model_dump(mode="json"), "sam": SAM2}
    weights = settings(
        {"rsrefseg2": {"source": {"clip": clip, "sam": {"folder": str(tmp_path / "sam2")}}}}, rsrefseg2=size
    )
    foundation.main("rsrefseg2", only="sam")
    state = load_sam2(Sam2Config.model_validate(SAM2), weights / "rsrefseg2").distinct_state()
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in state.items())
    settings({"rsrefseg2": {"source": {"clip": clip, "sam": {"official": str(published / "sam_tiny.pth")}}}})
    assert "sam_tiny.pth: an official file is SAM's, and sam is SAM 2 here" in failed(capsys, "sam", "rsrefseg2")


def test_a_model_like_another_names_the_other_s_files(settings: Settings, tmp_path: Path) -> None:
    write_swin_checkpoint(tmp_path / "swin"), write_bert_checkpoint(tmp_path / "bert")
    source = {name: {"folder": str(tmp_path / name)} for name in ("swin", "bert")}
    dropout = {"bert": {**PLAIN["text"]["bert"], "hidden_dropout_prob": 0.3}, "trained_layers": 1}
    rmsin = {**PLAIN, "cim": CIM, "text": {**PLAIN["text"], **dropout}}  # which the weights know nothing of
    weights = settings({"lavt": {"source": source}, "rmsin": {"like": "lavt"}}, lavt=PLAIN, rmsin=rmsin)
    foundation.main("lavt")
    foundation.main("rmsin")
    theirs = json.loads((weights / "lavt" / "foundation.json").read_text())
    assert json.loads((weights / "rmsin" / "foundation.json").read_text()) == {
        "like": "lavt",
        "parameters": theirs["parameters"],
        "sha256": theirs["sha256"],
    }
    assert [file.name for file in (weights / "rmsin").iterdir()] == ["foundation.json"]


def test_a_model_like_another_needs_its_files_as_they_are_told_and_its_sizes(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_swin_checkpoint(tmp_path / "swin"), write_bert_checkpoint(tmp_path / "bert")
    source = {name: {"folder": str(tmp_path / name)} for name in ("swin", "bert")}
    plans = {"lavt": {"source": source}, "rmsin": {"like": "lavt"}}
    wider = copy.deepcopy({**PLAIN, "cim": CIM})
    wider["image"]["swin"]["embed_dim"] = 16
    weights = settings(plans, lavt=PLAIN, rmsin=wider)
    said = failed(capsys, model="rmsin")
    assert "rmsin cannot be like lavt: from lavt to rmsin, image.swin.embed_dim was 8 and is 16" in said
    settings(plans, rmsin={**PLAIN, "cim": CIM})
    said = failed(capsys, model="rmsin")
    assert "weights/lavt/foundation.json: not found. Make it: python -m experiments.foundation" in said
    assert "--only swin: rmsin is like lavt, and has no part of its own" in failed(capsys, "swin", "rmsin")
    foundation.main("lavt")
    swin = weights / "lavt" / "swin.safetensors"
    swin.write_bytes(swin.read_bytes() + b" ")
    assert f"lavt/swin.safetensors: its SHA-256 is {sha256(swin)}, and " in failed(capsys, model="rmsin")
    assert not (weights / "rmsin").exists()


# ---------------------------------------------------------------------------------------------------------- pretrained


def test_a_pretrained_swin_and_bert_build_a_lavt_and_the_same_recipe_gives_the_same_bytes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {"steps": 2, "batch_scenes": 2, "scenes": 2, "lr": 0.001, "weight_decay": 0.0, "seed": 0}
    recipe = {"swin": short, "bert": short, "held_out_scenes": 2}
    weights = settings({"lavt-mini": {"pretrain": recipe}})
    monkeypatch.setattr("experiments.pretraining.probes.FITTED", 3)
    (weights / "mini").mkdir(parents=True)
    words = shutil.copy(ROOT / "weights" / "mini" / "tokenizer.json", weights / "mini")
    seen = []
    for _ in range(2):
        foundation.main("lavt-mini")
        seen.append({file.name: file.read_bytes() for file in (weights / "lavt-mini").iterdir()})
    assert seen[0] == seen[1]
    assert seen[0]["tokenizer.json"] == Path(words).read_bytes()
    model = LAVT.from_foundation(LavtConfig.model_validate(MODELS["lavt-mini"]), weights / "lavt-mini")
    report = json.loads(seen[0]["foundation.json"])
    assert report["sha256"] == {name: sha256(file) for name, file in swin_bert_files(weights / "lavt-mini").items()}
    assert report["parameters"]["swin"] == sum(parameter.numel() for parameter in model.backbone.swin.parameters())
    assert set(report["recipe"]) == {"swin", "bert", "held_out_scenes"}
    assert load_tensors(weights / "lavt-mini" / "swin.safetensors", "").popitem()[1].dtype == torch.float16
