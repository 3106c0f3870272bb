"""A foundation that is like another model's: whose files, and that both models read them alike.

The files are not copied: foundation.json names them by their SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.data.files import write_all
from experiments.config import differences
from experiments.errors import InputError
from experiments.foundations import REPORT, open_foundation, read_report
from models.config import Part
from models.weights.swin_bert_folder import UNREAD_OF_BERT, UNREAD_OF_SWIN

# A part -> where its settings are in the system's configuration, and which of them its weights know nothing of.
SETTINGS: dict[str, tuple[str, set[str]]] = {
    "clip": ("clip", {"through_side"}),
    "sam": ("sam", set()),
    "swin": ("image", {f"swin.{name}" for name in UNREAD_OF_SWIN}),
    "bert": ("text", {"length", "trained_layers", *(f"bert.{name}" for name in UNREAD_OF_BERT)}),
}


def write_like(
    model: str, config: Part, files: Mapping[str, Path], other: str, other_config: Part, weights: Path
) -> dict[str, Any]:
    """Write foundation.json of a model whose foundation is another's.

    Args:
        model, other: names in params.yaml.
        config, other_config: of their systems; the other's has the parts of this one's.
        files: of the model's system, by name; nothing is written at their places.
        weights: what holds both models' folders.

    Returns:
        What foundation.json holds.

    Raises:
        FileNotFoundError: the other's files are not there.
        CheckpointError: one of them is not what the other's foundation.json says.
        InputError: the two configure a part otherwise.
    """
    if faults := [fault for name in files if name in SETTINGS for fault in _differences(name, config, other_config)]:
        raise InputError(f"params.yaml: {model} cannot be like {other}: from {other} to {model}, {'; '.join(faults)}")
    folder, hashes = open_foundation(other, other_config, weights)
    counts = read_report(folder)["parameters"]
    report = {
        "like": other,
        "parameters": {name: counts[name] for name in files if name in SETTINGS},
        "sha256": {name: hashes[name] for name in files},
    }
    text = json.dumps(report, indent=2, sort_keys=True) + "\n"
    write_all({weights / model / REPORT: text.encode()})
    return report


def _differences(part: str, config: Part, other_config: Part) -> list[str]:
    """In what the two configure a part otherwise, of what its weights depend on."""
    section, unread = SETTINGS[part]
    ours, theirs = (getattr(one, section).model_dump(mode="json") for one in (config, other_config))
    return [f"{section}.{said}" for said in differences(theirs, ours) if said.split(" ", 1)[0] not in unread]
