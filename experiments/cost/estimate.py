"""What a configuration costs, from shapes alone: parameters, FLOPs and memory, in seconds and without weights.

FLOPs are of matrix products, convolutions and attention, a multiply-add counted as 2; all else is a per mille of them.
A call costs   images x Flops.image + expressions x Flops.expression + Flops.call.
The tables of this task count alike: DiCoR's Table IV has 1611 GFLOPs for RSRefSeg, and rsrefseg-b has 1725 here, which
are 862 G multiply-adds. (It has 984 M parameters there, and here with SigLIP's pooling head, which nothing reads.)

Memory is found by running the real forward, backward and optimiser step on torch's fake tensors, which have shapes and
lifetimes but no contents (experiments/cost/memory.py): so checkpointing, parts under no_grad and autocast count as they
run. Kernels' own scratch memory and the process itself (Python and libraries) come on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from accelerate import Accelerator
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from experiments.cost.memory import LiveBytes, Memory
from experiments.cost.random_weights import build, forward, make_batch
from experiments.settings import TrainConfig
from experiments.training.step import TrainStep
from models.config import ModelConfig
from models.rsrefseg import RSRefSeg

COMPONENTS = {  # -> where its modules and parameters lie in RSRefSeg
    "CLIP vision": ("clip.model.vision_model", "clip.model.visual_projection"),
    "CLIP text": ("clip.model.text_model", "clip.model.text_projection"),
    "CLIP scale and bias": ("clip.model.logit_scale", "clip.model.logit_bias"),
    "AttnPrompter": ("prompter",),
    "SAM image encoder": ("sam.model.vision_encoder",),
    "SAM prompt encoder": ("sam.model.prompt_encoder", "sam.model.shared_image_embedding"),
    "SAM mask decoder": ("sam.model.mask_decoder",),
}


@dataclass(frozen=True)
class Count:
    """Parameters: all, those that train, and those of adapters (which are among both)."""

    total: int
    trained: int
    adapters: int

    def __add__(self, other: Count) -> Count:
        return Count(self.total + other.total, self.trained + other.trained, self.adapters + other.adapters)


@dataclass(frozen=True)
class Flops:
    """FLOPs for each image, for each expression, and once in every call whatever it is about."""

    image: int
    expression: int
    call: int

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.image + other.image, self.expression + other.expression, self.call + other.call)


@contextmanager
def shapes_of(config: ModelConfig) -> Iterator[RSRefSeg]:
    """The model without contents; what happens inside the block happens to shapes.

    It is not compiled: there is nothing to compile in shapes, and what torch.compile saves is not foreseen here.
    """
    compute = config.compute.model_copy(update={"compile": False})
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield build(config.model_copy(update={"compute": compute}))


def component_of(name: str) -> str | None:
    """The component that a module or parameter of this name lies in, if any."""
    for component, places in COMPONENTS.items():
        if any(name == place or name.startswith(f"{place}.") for place in places):
            return component
    return None


def count_parameters(model: RSRefSeg) -> dict[str, Count]:
    """Parameters of every component.

    Raises:
        RuntimeError: a parameter is of no component.
    """
    counts = dict.fromkeys(COMPONENTS, Count(0, 0, 0))
    for name, parameter in model.named_parameters():
        component, size = component_of(name), parameter.numel()
        if component is None:
            raise RuntimeError(f"{name} is of no component; add its place to experiments.cost.estimate.COMPONENTS")
        counts[component] += Count(size, size * parameter.requires_grad, size * (".lora_" in name))
    return counts


def count_flops(model: RSRefSeg) -> dict[str, Flops]:
    """FLOPs of a forward of every component, its adapters included; the model of `shapes_of`."""
    model.eval()
    one, image, expression = (_flops(model, *batch) for batch in ((1, 1), (2, 1), (1, 2)))
    flops = {}
    for name in COMPONENTS:
        of_image, of_expression = image[name] - one[name], expression[name] - one[name]
        flops[name] = Flops(of_image, of_expression, one[name] - of_image - of_expression)
    return flops


def _flops(model: RSRefSeg, images: int, expressions: int) -> dict[str, int]:
    """FLOPs of one forward.

    Raises:
        RuntimeError: some are of no component.
    """
    batch = make_batch(model.config.sam.image_side, images, expressions)
    with FlopCounterMode(display=False) as counter:
        forward(model, batch)
    found = {name.partition(".")[2]: sum(kinds.values()) for name, kinds in counter.get_flop_counts().items()}
    totals = dict.fromkeys(COMPONENTS, 0)
    for name, flops in found.items():
        component = component_of(name)
        callers = {name[:end] for end, letter in enumerate(name) if letter == "."} & found.keys()
        if component is not None and not callers:  # what a module calls is counted with it
            totals[component] += flops
    if sum(totals.values()) != counter.get_total_flops():
        lost = counter.get_total_flops() - sum(totals.values())
        raise RuntimeError(f"{lost} FLOPs are of no component; add their place to experiments.cost.estimate.COMPONENTS")
    return totals


def memory_of_step(model: RSRefSeg, settings: TrainConfig, images: int, expressions: int) -> Memory:
    """The second training step, when the optimiser has its state; the model of `shapes_of`.

    `expressions` is of all images together.
    """
    model.train()
    step = TrainStep(model, settings, 1, Accelerator(device_placement=False))
    with LiveBytes() as live:
        live.file("weights", [*model.parameters(), *model.buffers()])
        batch = make_batch(model.config.sam.image_side, images, expressions)
        hooks = [
            parameter.register_post_accumulate_grad_hook(lambda tensor: live.file("gradients", [tensor.grad]))
            for parameter in step.trained
        ]
        step.update(step.loss(batch))
        live.file("optimizer", tree_leaves(list(step.optimizer.state.values())))
        live.peak = live.now()
        step.update(step.loss(batch))
    for hook in hooks:
        hook.remove()
    return live.peak


def memory_of_forward(model: RSRefSeg, images: int, expressions: int) -> Memory:
    """A forward as for a prediction; the model of `shapes_of`. `expressions` is of all images together."""
    model.eval()
    with LiveBytes() as live:
        live.file("weights", [*model.parameters(), *model.buffers()])
        batch = make_batch(model.config.sam.image_side, images, expressions)
        forward(model, batch)
    return live.peak
