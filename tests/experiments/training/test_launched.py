"""What `accelerate launch` makes of our files, and what of its settings a training refuses."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

import experiments.training
from experiments.settings import ConfigError
from experiments.starters import spread
from experiments.training.launched import make_accelerator

FOLDER = Path(experiments.training.__file__).with_name("accelerate")
FILES = {  # -> machines, processes, and what starts them
    "one_gpu": (1, 1, set()),
    "eight_gpus_ddp": (1, 8, {"multi_gpu"}),
    "two_nodes_of_eight": (2, 16, {"multi_gpu"}),
    "fsdp2": (1, 8, {"use_fsdp"}),
    "deepspeed_zero2": (1, 8, {"use_deepspeed"}),
}


def test_accelerate_takes_each_file_for_what_it_says_and_knows_every_key(subtests: pytest.Subtests) -> None:
    assert {file.stem for file in FOLDER.iterdir()} == FILES.keys()
    for name, (machines, processes, starts) in FILES.items():
        file = FOLDER / f"{name}.yaml"
        with subtests.test(msg=name):
            assert "It pays" in file.read_text(encoding="utf-8").split("compute_environment")[0]
            assert load_config_from_file(str(file)).mixed_precision == "bf16"
            parser = launch_command_parser()
            options = vars(parser.parse_args(["-m", "experiments.train"]))
            own = yaml.safe_load(file.read_text(encoding="utf-8"))
            for key in (*own.get("fsdp_config", {}), *own.get("deepspeed_config", {})):
                assert key in options, f"{key}: accelerate takes it and passes it on to nobody"
            given = parser.parse_args(["--config_file", str(file), "-m", "experiments.train"])
            args = _validate_launch_command(given)[0]
            assert (args.num_machines, args.num_processes, args.mixed_precision) == (machines, processes, "bf16")
            assert {way for way in ("multi_gpu", "use_fsdp", "use_deepspeed") if getattr(args, way)} == starts
            if "use_fsdp" in starts:
                assert str(args.fsdp_version) == "2"


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "another precision": ({"ACCELERATE_MIXED_PRECISION": "bf16"}, r"mixed_precision bf16, .* this run is float32"),
    "one that no run has": ({"ACCELERATE_MIXED_PRECISION": "fp16"}, r"mixed_precision fp16"),
    "parts that leave no trace": ({"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, r"set train\.gradient_accumulation"),
    "FSDP 1": ({"FSDP_VERSION": "1"}, r"set fsdp_version to 2"),
    "ZeRO 3": ({"ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}, r"ZERO_STAGE=3, .* take fsdp2\.yaml"),
}


@pytest.mark.parametrize(("environment", "said"), REFUSED.values(), ids=REFUSED)
def test_what_would_change_a_run_without_a_trace_is_refused(
    environment: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=said):
        make_accelerator("float32")


def test_a_file_that_says_the_runs_own_precision_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert make_accelerator("bfloat16").mixed_precision == "no"  # the encoders see to it themselves


def test_a_stage_of_dvc_is_started_by_torchrun_or_accelerate_and_not_by_both(monkeypatch: pytest.MonkeyPatch) -> None:
    class BecameError(Exception):
        pass

    def become(program: str, command: list[str]) -> NoReturn:
        left = {"TORCHRUN", "ACCELERATE"} & os.environ.keys()  # which would start it again and again
        raise BecameError(program, command, left)

    main: Any = ModuleType("__main__")
    main.__spec__ = SimpleNamespace(name="experiments.train")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(sys, "argv", ["train.py", "--seed", "1"])
    monkeypatch.setattr(os, "execv", become)
    monkeypatch.delenv("RANK", raising=False)
    spread()
    for name, module in (("TORCHRUN", "torch.distributed.run"), ("ACCELERATE", "accelerate.commands.launch")):
        monkeypatch.setenv(name, "--some 'thing else'")
        with pytest.raises(BecameError) as caught:
            spread()
        command = [sys.executable, "-m", module, "--some", "thing else", "-m", "experiments.train", "--seed", "1"]
        assert caught.value.args == (sys.executable, command, set())
    for name in ("TORCHRUN", "ACCELERATE"):
        monkeypatch.setenv(name, "--some thing")
    with pytest.raises(SystemExit, match="TORCHRUN and ACCELERATE are both set: unset one"):
        spread()
    monkeypatch.setenv("TORCHRUN", "--some thing")
    monkeypatch.setenv("RANK", "0")
    spread()
