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
from typing import Any, Self

from accelerate import Accelerator
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from experiments.cost.memory import LiveBytes, Memory
from experiments.cost.random_weights import build, forward, make_batch
from experiments.settings import TrainConfig
from experiments.training.step import TrainStep
from models.config import Part
from models.system import System
from models.systems import class_of, compute_of


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
def shapes_of(config: Part) -> Iterator[Any]:
    """The model without contents; what happens inside the block happens to shapes.

    It is not compiled: there is nothing to compile in shapes, and what torch.compile saves is not foreseen here.
    """
    if compute := compute_of(config):
        config = config.model_copy(update={"compute": compute.model_copy(update={"compile": False})})
    class_of(config)  # imported where what a module makes has contents
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield build(config)


def component_of(model: System, name: str) -> str | None:
    """The component that a module or parameter of this name lies in, if any."""
    for component, places in model.components.items():
        if any(name == place or name.startswith(f"{place}.") for place in places):
            return component
    return None


def count_parameters(model: System) -> dict[str, Count]:
    """Parameters of every component.

    Raises:
        RuntimeError: a parameter is of no component.
    """
    counts = dict.fromkeys(model.components, Count(0, 0, 0))
    for name, parameter in model.named_parameters():
        component, size = component_of(model, name), parameter.numel()
        if component is None:
            raise RuntimeError(f"{name} is of no component; add its place to {type(model).__name__}.components")
        counts[component] += Count(size, size * parameter.requires_grad, size * (".lora_" in name))
    return counts


def count_flops(model: System) -> dict[str, Flops]:
    """FLOPs of a forward of every component, its adapters included; the model of `shapes_of`."""
    model.eval()
    one, image, expression = (_flops(model, *batch) for batch in ((1, 1), (2, 1), (1, 2)))
    flops = {}
    for name in model.components:
        of_image, of_expression = image[name] - one[name], expression[name] - one[name]
        flops[name] = Flops(of_image, of_expression, one[name] - of_image - of_expression)
    return flops


def _flops(model: System, images: int, expressions: int) -> dict[str, int]:
    """FLOPs of one forward.

    Raises:
        RuntimeError: some are of no component.
    """
    batch = make_batch(model.input_side, images, expressions)
    with FlopCounterMode(display=False) as counter, _ByComponent(model, counter) as found:
        forward(model, batch)
    if sum(found.flops.values()) != counter.get_total_flops():
        lost = counter.get_total_flops() - sum(found.flops.values())
        raise RuntimeError(f"{lost} FLOPs are of no component; add their place to {type(model).__name__}.components")
    return found.flops


class _ByComponent(TorchDispatchMode):
    """Adds what a counter counts to the component whose module is running, the innermost of them.

    A module's name does not say which modules called it, so torch's own sums by module do not add up: LAVT's gate lies
    in its fusion, and the backbone calls it by itself.
    """

    def __init__(self, model: System, counter: FlopCounterMode) -> None:
        super().__init__()
        self.flops = dict.fromkeys(model.components, 0)
        self._model, self._counter, self._running = model, counter, ModuleTracker()

    def __enter__(self) -> Self:
        self._running.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._running.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = self._counter.get_total_flops()
        out = func(*args, **(kwargs or {}))
        if work := self._counter.get_total_flops() - before:
            for name in sorted(self._running.parents, key=len, reverse=True):
                if (component := component_of(self._model, name.partition(".")[2])) is not None:
                    self.flops[component] += work
                    break
        return out


def memory_of_step(model: System, settings: TrainConfig, images: int, expressions: int) -> Memory:
    """The second training step, when the optimiser has its state; the model of `shapes_of`.

    `expressions` is of all images together.
    """
    model.train()
    step = TrainStep(model, settings, 1, Accelerator(device_placement=False))
    with LiveBytes() as live:
        live.file("weights", [*model.parameters(), *model.buffers()])
        batch = make_batch(model.input_side, images, expressions)
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


def memory_of_forward(model: System, images: int, expressions: int) -> Memory:
    """A forward as for a prediction; the model of `shapes_of`. `expressions` is of all images together."""
    model.eval()
    with LiveBytes() as live:
        live.file("weights", [*model.parameters(), *model.buffers()])
        batch = make_batch(model.input_side, images, expressions)
        forward(model, batch)
    return live.peak
