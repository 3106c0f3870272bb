"""reports/systems.csv against what models/ knows."""

from __future__ import annotations

from typing import Any

from models.zoo import MODELS, SYSTEM_OF
from reports.systems import RSREFSEG, load_systems

TITLES = {"rsrefseg": "RSRefSeg", "rsrefseg2": "RSRefSeg 2", "lavt": "LAVT", "rmsin": "RMSIN"}


def sides(config: dict[str, Any]) -> list[int]:
    """Of each image encoder, in px."""
    if "image" in config:
        return [config["image"]["swin"]["image_size"]]
    return [config["clip"]["vision"]["image_size"], config["sam"]["prompt_encoder"]["image_size"]]


def test_the_table_of_systems_says_of_every_model_what_its_code_does() -> None:
    rows = {row.model: row for row in load_systems()}
    assert set(rows) == set(MODELS)
    for model, row in rows.items():
        system = SYSTEM_OF[model]
        assert row.system == TITLES[system]
        assert row.main == ("rsrefseg" if system == RSREFSEG else "full")
        assert row.input_side == " + ".join(map(str, sides(MODELS[model])))
        assert row.size == ("mini" if model.endswith("mini") else "published")
        assert row.encodes_per == ("expression" if "image" in MODELS[model] else "image")  # words enter Swin's stages
