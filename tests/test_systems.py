"""reports/systems.csv against what models/ and params.yaml know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.systems import SYSTEMS
from models.zoo import MODELS, SYSTEM_OF
from reports.load import load_selection
from reports.systems import CONTROLS, load_systems

TITLES = {"rsrefseg": "RSRefSeg", "rsrefseg2": "RSRefSeg 2", "lavt": "LAVT", "rmsin": "RMSIN"}


def sides(config: dict[str, Any]) -> list[int]:
    """Of each image encoder, in px."""
    if "image" in config:
        return [config["image"]["swin"]["image_size"]]
    return [config["clip"]["vision"]["image_size"], config["sam"]["prompt_encoder"]["image_size"]]


def test_the_table_of_systems_says_of_every_model_what_its_code_does() -> None:
    rows = {row.model: row for row in load_systems()}
    assert set(rows) == {model for model, system in SYSTEM_OF.items() if system in TITLES}
    assert set(SYSTEMS) - set(TITLES) == {"clipseg", "sam3"}, "which are never trained: baselines, not systems"
    for model, row in rows.items():
        assert row.system == TITLES[SYSTEM_OF[model]]
        assert row.input_side == " + ".join(map(str, sides(MODELS[model])))
        assert row.size == ("mini" if model.endswith("mini") else "published")
        assert row.encodes_per == ("expression" if "image" in MODELS[model] else "image")  # words enter Swin's stages


def test_reports_know_which_variants_and_baselines_are_of_which_system() -> None:
    known = load_selection(Path(__file__).parents[1] / "params.yaml")
    for row in load_systems():
        assert known.model_systems[row.model] == SYSTEM_OF[row.model]
        assert SYSTEM_OF[row.model] in known.variant_systems[row.main]
    assert {name: entry.controls for name, entry in SYSTEMS.items() if entry.controls} == CONTROLS
