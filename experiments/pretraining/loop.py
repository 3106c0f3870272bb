"""The loop in which a small foundation model is pretrained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from experiments.foundation_settings import Recipe


def train(
    model: torch.nn.Module, recipe: Recipe, loss_of: Callable[[Sequence[int], Recipe], Tensor], title: str
) -> Iterator[tuple[int, float]]:
    """AdamW, 5 % linear warm-up, cosine to a hundredth. Yields (step, mean loss) every 50 steps.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    torch.manual_seed(recipe.seed)
    scalars = [p for p in model.parameters() if p.requires_grad and p.numel() == 1]  # CLIP's scale and bias
    others = [p for p in model.parameters() if p.requires_grad and p.numel() > 1]
    optimizer = torch.optim.AdamW(
        [
            {"params": others, "lr": recipe.lr, "weight_decay": recipe.weight_decay},
            {"params": scalars, "lr": 10 * recipe.lr, "weight_decay": 0.0},
        ]
    )
    warm = max(1, recipe.steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1.0, (step + 1) / warm) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / recipe.steps))))
        ),
    )
    model.train()
    recent: list[float] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(title, total=recipe.steps)
        for step in range(1, recipe.steps + 1):
            loss = loss_of((recipe.seed, step), recipe)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"{title}: the loss is {loss.item()} at step {step}; lower the learning rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            recent.append(loss.item())
            progress.update(task, advance=1, description=f"{title}  step {step}/{recipe.steps}  loss {recent[-1]:.3f}")
            if step % 50 == 0 or step == recipe.steps:
                yield step, sum(recent) / len(recent)
                recent.clear()
    model.eval()
