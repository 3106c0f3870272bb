"""The Accelerator of a training, as torchrun or `accelerate launch` with a file of accelerate/ asks for it.

What is computed, a run's own settings say; how it is spread over GPUs, the launcher does. So a launcher's precision is
held against the run's and never applied: accelerate's would also reach AttnPrompter and SAM's decoder, which stay in
float32 (models/clip.py says why).
"""

from __future__ import annotations

import os

from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin

from experiments.settings import ConfigError

PRECISIONS = {"no": None, "bf16": "bfloat16"}  # accelerate's -> compute.precision; with "no" it says nothing
SUPPORTED = {  # of the environment that `accelerate launch` makes: what may be there, the default first; the remedy
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": (["1"], "set train.gradient_accumulation in params.yaml instead"),
    "FSDP_VERSION": (["2"], "set fsdp_version to 2"),
    "ACCELERATE_DEEPSPEED_ZERO_STAGE": (
        ["2", "1"],
        "set zero_stage to 2, or take fsdp2.yaml: it splits weights too",
    ),
    "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": (["none"], "set offload_optimizer_device to none"),
    "ACCELERATE_DEEPSPEED_CONFIG_FILE": (["none"], "say it in accelerate's own file"),
}


def make_accelerator(precision: str) -> Accelerator:
    """The Accelerator of a training whose encoders run in `precision` (compute.precision).

    Raises:
        ConfigError: it was started for another precision, for what is not supported, or with a setting of its own where
            a run has one.
    """
    told = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if PRECISIONS.get(told, "another") not in (None, precision):
        raise ConfigError(
            f"accelerate: started with mixed_precision {told}, but compute.precision of this run is {precision}, which "
            "is part of what a run is: change that in params.yaml, or give accelerate --mixed_precision no"
        )
    for name, (values, remedy) in SUPPORTED.items():
        if (value := os.environ.get(name, values[0])) not in values:
            raise ConfigError(f"accelerate: started with {name}={value}, which no training can use here: {remedy}")
    accelerator = Accelerator(mixed_precision="no")
    if os.environ.get("ACCELERATE_USE_FSDP") == "true" and accelerator.distributed_type == DistributedType.MULTI_CPU:
        # accelerate knows FSDP on GPUs alone; torch does the same on a CPU, where tests hold it
        state, plugin = accelerator.state, FullyShardedDataParallelPlugin()
        state.distributed_type, state.fsdp_plugin = DistributedType.FSDP, plugin
    return accelerator


def splits_weights(accelerator: Accelerator) -> bool:
    """Whether weights are split among the ranks, which must then compute together."""
    return bool(accelerator.distributed_type == DistributedType.FSDP)
