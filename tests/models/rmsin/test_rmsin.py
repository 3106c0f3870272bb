from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from models.lavt.gate import Gate
from models.rmsin.arc import ARC
from models.rmsin.cim import CIM, CSA
from models.rmsin.config import RmsinConfig
from models.rmsin.iim import IIM, VisualBranch
from models.rmsin.sizes import SIZES
from tests.language_aware import (
    CIM as SMALL_CIM,
)
from tests.language_aware import close, lavt_config, logits_of, on_meta, parameters_of, ready, rmsin_config, trained_of


def test_the_parameters_are_the_published_model_s_to_the_unit() -> None:
    """SYSTEMS' counts hold what lies behind the last stage, which never gets a gradient and is not built here."""
    dead = 2 * parameters_of(Gate(1024)) + parameters_of(VisualBranch())
    model = on_meta(RmsinConfig.model_validate(SIZES["rmsin"]))
    assert dead == 4_194_342
    assert parameters_of(model) == 235_842_821
    assert parameters_of(model) + dead == 240_037_163
    assert trained_of(model) + dead == 202_024_235
    assert parameters_of(model.between) == 9_492_246
    mini = parameters_of(on_meta(RmsinConfig.model_validate(SIZES["rmsin-mini"])))
    assert mini + 2 * parameters_of(Gate(128)) + parameters_of(VisualBranch()) == 1_927_871


def test_arc_adds_its_routing_to_a_level() -> None:
    with torch.device("meta"):
        assert parameters_of(ARC(512)) == 512 * 512 * 9 + 6_657


@pytest.mark.parametrize(
    ("change", "without"),
    [({"iim": False}, IIM), ({"cim": None}, CIM), ({"arc": False}, ARC)],
    ids=["iim", "cim", "arc"],
)
def test_what_is_off_is_not_built_and_changes_the_mask(change: dict[str, Any], without: type, tmp_path: Path) -> None:
    model = ready(rmsin_config(**change), tmp_path)
    assert not any(isinstance(module, without) for module in model.modules())
    assert (logits_of(model) - logits_of(ready(rmsin_config(), tmp_path))).abs().max() > 1e-3


def test_with_all_three_off_it_is_lavt(tmp_path: Path) -> None:
    model, lavt = ready(rmsin_config(iim=False, cim=None, arc=False), tmp_path), ready(lavt_config(), tmp_path)
    lavt.load_state_dict(model.state_dict())
    close(logits_of(model), logits_of(lavt))


def test_the_corrected_attention_has_the_same_weights_and_other_masks(tmp_path: Path) -> None:
    released = ready(rmsin_config(), tmp_path)
    corrected = ready(rmsin_config(cim={**SMALL_CIM, "csa": "corrected"}), tmp_path)
    corrected.load_state_dict(released.state_dict())
    assert sum(isinstance(module, CSA) for module in released.modules()) == 2
    assert (logits_of(released) - logits_of(corrected)).abs().max() > 1e-6
