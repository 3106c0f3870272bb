"""Everything a report is made from: what `run` of params.yaml names, the groups, and the systems beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from benchmark.metrics.permutation import holm, many_permutation_p
from benchmark.metrics.ranking import MeanRank, mean_ranks
from benchmark.results.store import StoredResult
from reports.groups import Group, Method
from reports.systems import CONTROLS, REFERENCE, RSREFSEG, Speed, System


@dataclass(frozen=True)
class Selection:
    """What `run` of params.yaml names now, and the order of all variants it knows."""

    datasets: tuple[str, ...]
    models: tuple[str, ...]
    variants: tuple[str, ...]
    controls: tuple[str, ...]
    seeds: tuple[int, ...]
    known_datasets: tuple[str, ...]
    known_models: tuple[str, ...]
    known_variants: tuple[str, ...]
    model_systems: Mapping[str, str]  # by names of params.yaml; RSREFSEG where it names none
    variant_systems: Mapping[str, tuple[str, ...]]

    def variants_of(self, model: str) -> tuple[str, ...]:
        """The variants that `run` names and that are of this model's system."""
        system = self._system(model)
        return tuple(name for name in self.variants if system in self.variant_systems.get(name, (RSREFSEG,)))

    def controls_of(self, model: str) -> tuple[str, ...]:
        """The training-free baselines that `run` names and that are made of this model."""
        own = CONTROLS.get(self._system(model), ())
        return tuple(name for name in self.controls if name in own)

    def _system(self, model: str) -> str:
        """A model that neither `run` nor `models` names is of none: nothing is missing of it."""
        return self.model_systems.get(model, RSREFSEG if model in self.models else "")

    def place(self, group: tuple[str, str]) -> tuple[int, str, int, str]:
        """Sorts (dataset, model) as params.yaml lists them, what it does not know last, by alphabet."""
        dataset, model = group
        datasets, models = [*self.datasets, *self.known_datasets], [*self.models, *self.known_models]
        return (
            *(datasets.index(dataset) if dataset in datasets else len(datasets), dataset),
            *(models.index(model) if model in models else len(models), model),
        )

    def names(self, stored: StoredResult) -> bool:
        """Whether the current `run` would make this result."""
        run = stored.result.run
        method = run.variant in (self.controls if run.control else self.variants)
        return run.dataset in self.datasets and run.model in self.models and method and run.seed in self.seeds


@dataclass(frozen=True)
class Comparison:
    """The systems of one size, each by its main variant, on every dataset where two of them have results.

    known: the systems of the size, in the order of systems.csv.
    systems: of these, those that have a result on one of these datasets.
    groups: one a dataset, whose methods are the systems, by title; one that lacks a seed of another is without results.
    alone: datasets on which one system alone has results.
    speeds: model -> how fast it is, of those that were measured beside each other.
    """

    size: str
    known: tuple[System, ...]
    systems: tuple[System, ...]
    groups: tuple[Group, ...]
    alone: tuple[str, ...]
    speeds: Mapping[str, Speed]

    @property
    def suffix(self) -> str:
        """Of its tables' names: none of the size that is run first."""
        return "" if self.size == "mini" else f"_{self.size}"

    @property
    def reference(self) -> System | None:
        """The one that the others are compared with, if it is shown."""
        return next((one for one in self.systems if one.system == REFERENCE), None)

    def methods(self, system: System) -> list[Method]:
        """A system on each dataset."""
        return [next(one for one in group.methods if one.name == system.title) for group in self.groups]

    @property
    def ranked(self) -> list[System]:
        """The systems that have results on every dataset."""
        return [system for system in self.systems if all(method.results for method in self.methods(system))]

    @cached_property
    def p_values(self) -> dict[tuple[str, str], tuple[float, float]]:
        """(dataset, title) -> p of its difference from the reference in mIoU, and the same corrected over them all."""
        raw = many_permutation_p(
            ((group.dataset, method.name), (method.lines, group.full.lines))
            for group in self.groups
            for method in group.present
            if group.full is not None and method is not group.full
        )
        return dict(zip(raw, zip(raw.values(), holm(list(raw.values())), strict=True), strict=True))

    @cached_property
    def ranks(self) -> dict[str, MeanRank]:
        """Title -> mean rank in mIoU of those that are `ranked`; none of fewer than two."""
        names = [system.title for system in self.ranked]
        if len(names) < 2:
            return {}
        lines = {
            group.dataset: {method.name: method.lines for method in group.present if method.name in names}
            for group in self.groups
        }
        return mean_ranks(lines)


@dataclass(frozen=True)
class Report:
    """Everything a report is made from. collected: whether its runs are what MLflow gave back, too."""

    selection: Selection
    results: tuple[StoredResult, ...]  # in the order of the groups' methods
    groups: tuple[Group, ...]
    comparisons: tuple[Comparison, ...]
    collected: bool = False

    @property
    def absent(self) -> list[tuple[str, ...]]:
        """Runs that the current `run` names and that have no result; a control counts once, whatever its seed."""
        chosen, runs = self.selection, [stored.result.run for stored in self.results]
        trained = {(run.dataset, run.model, run.variant, str(run.seed)) for run in runs if not run.control}
        controls = {(run.dataset, run.model, run.variant) for run in runs if run.control}
        seeds = [str(seed) for seed in chosen.seeds]
        points = [(dataset, model) for dataset in chosen.datasets for model in chosen.models]
        wanted: list[tuple[str, ...]] = [
            *((*point, name, seed) for point in points for name in chosen.variants_of(point[1]) for seed in seeds),
            *((*point, name) for point in points for name in chosen.controls_of(point[1])),
        ]
        return [key for key in wanted if key not in trained | controls]
