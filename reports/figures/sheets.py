"""Sheets of pictures: what was asked, what is true, and what each variant made of it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmark.output.escaping import visible
from benchmark.results.cases import MAPS, decode_map, load_cases
from benchmark.results.pictures import LEGEND, Example, overlay, read_examples, to_example
from benchmark.results.store import ResultError
from reports.figures.style import FULL_WIDTH, name_of
from reports.groups import Group
from reports.report import Report

COLUMNS = 7  # tiles in a line of a sheet
LEAST = 5  # fewer are no larger
HEAT = "magma"  # of activations: dark is 0, bright is 1
DRAWN = "synthetic"  # the dataset of drawn scenes
README_RULE = "gain"
RULES = {
    "gain": "best gain",
    "loss": "worst loss",
    "median": "median",
    "random": "random",
}
MAP_TITLES = {"local": "local activation", "global": "global activation", "dense": "dense prompt"}

FloatMap = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """A picture, HxWx3 in [0, 255], or a map, HxW in [0, 1], and the line under it."""

    caption: str
    picture: npt.NDArray[np.uint8] | FloatMap


def readme_example(report: Report) -> tuple[Group, Example] | None:
    """The sample of the README's picture, and its group; None without cases.

    It is where the full model gains most over the other variants: on the dataset, of those that are not drawn if there
    are any, where its mask there is best. Models other than the first group's come last.
    """
    found = []
    for group in report.groups:
        cases = cases_of(group)
        if cases is not None:
            chosen = cases[(cases["variant"] == group.main) & (cases["rule"] == README_RULE)]
            found += [(group, to_example(row)) for row in chosen.head(1).to_dict("records")]
    first = report.groups[0].model
    return max(found, key=lambda one: (one[0].model == first, one[0].dataset != DRAWN, one[1].iou), default=None)


def readme_picture(report: Report) -> Figure | None:
    """The README's sample: image, truth and prediction under its expression; None without cases."""
    found = readme_example(report)
    if found is None:
        return None
    group, example = found
    tiles = [Tile("image", example.image), Tile("truth", overlay(example.image, example.truth, example.truth))]
    tiles.append(Tile(f"{group.main} {example.iou:.2f}", overlay(example.image, example.truth, example.prediction)))
    return _sheet([(example.expression, tiles)], least=len(tiles))


def examples_sheet(group: Group) -> Figure | None:
    """The dataset's examples, which were chosen before any model ran, and what was made of them.

    By each variant that `run` names, at its first seed, and by external submissions.

    None without any.
    """
    methods = [method for method in group.present if method in group.headlined or method.outside is not None]
    if not methods:
        return None
    shown = [read_examples(group.examples, method.results[0].predictions) for method in methods]
    titles = [name_of(method) for method in methods]
    return _sheet([(same[0].expression, _predicted(titles, same)) for same in zip(*shown, strict=True)])


def cases_sheet(group: Group) -> Figure | None:
    """Samples chosen by a rule from the results (benchmark/results/cases.py), and each variant at its first seed.

    None where no cases were kept.

    Raises:
        ResultError: they are of other runs than the group's results.
    """
    cases = cases_of(group)
    if cases is None:
        return None
    rows = []
    titles = {method.name: name_of(method) for method in group.trained}
    for _, same in cases.groupby("sample_id", sort=False):
        examples = [to_example(row) for row in same.to_dict("records")]
        rows.append((_title(same.iloc[0]), _predicted([titles[variant] for variant in same["variant"]], examples)))
    return _sheet(rows)


def activations_sheet(group: Group) -> Figure | None:
    """The same cases, and what lights up in the prompter of the full model (or of the first variant there is).

    None where no cases were kept, or of a model without a prompter. Raises ResultError as `cases_sheet`.
    """
    cases = cases_of(group)
    if cases is None or cases[list(MAPS)].isna().all(axis=None):
        return None
    variants = cases["variant"].unique().tolist()
    chosen = group.main if group.main in variants else variants[0]
    rows = []
    for row in cases[cases["variant"] == chosen].to_dict("records"):
        example = to_example(row)
        maps = [_map_tile(name, decode_map(row[name])) for name in MAPS if row[name] is not None]
        picture = overlay(example.image, example.truth, example.prediction)
        tiles = [Tile("image", example.image), *maps, Tile(f"{chosen} {example.iou:.2f}", picture)]
        rows.append((_title(pd.Series(row)), tiles))
    return _sheet(rows, heat=True)


def cases_of(group: Group) -> pd.DataFrame | None:
    """The group's cases, of the variants that have results; None without any."""
    if not group.cases.is_file():
        return None
    known = {method.name: {one.result.run.fingerprint for one in method.results} for method in group.trained}
    cases = load_cases(group.cases)
    cases = cases[cases["variant"].isin([variant for variant, fingerprints in known.items() if fingerprints])]
    for variant, fingerprint in dict.fromkeys(zip(cases["variant"], cases["fingerprint"], strict=True)):
        if fingerprint not in known[variant]:
            raise ResultError(
                f"{group.cases}: its pictures of {variant!r} are of another run than the results; make them again: "
                f"dvc repro -f -s cases@{group.dataset}-{group.model}"
            )
    return None if cases.empty else cases


def _title(case: pd.Series) -> str:
    return f"{RULES[case['rule']]}: {case['expression']}"


def _map_tile(name: str, values: FloatMap) -> Tile:
    return Tile(f"{MAP_TITLES[name]}, max {values.max():.2f}", values)


def _predicted(titles: Sequence[str], examples: Sequence[Example]) -> list[Tile]:
    """Image, truth, and what each method predicted, with its IoU."""
    first = examples[0]
    tiles = [Tile("image", first.image), Tile("truth", overlay(first.image, first.truth, first.truth))]
    for title, one in zip(titles, examples, strict=True):
        tiles.append(Tile(f"{title} {one.iou:.2f}", overlay(one.image, one.truth, one.prediction)))
    return tiles


def _sheet(rows: Sequence[tuple[str, Sequence[Tile]]], *, heat: bool = False, least: int = LEAST) -> Figure:
    """A titled line of tiles for each row; more tiles than COLUMNS go on in another line. heat: with its scale."""
    tiles = max(len(some) for _, some in rows)
    columns = min(COLUMNS, tiles)
    side, title, caption, foot = FULL_WIDTH / max(columns, least), 0.2, 0.15, 0.25  # inches
    block = title + math.ceil(tiles / columns) * (side + caption)
    height = len(rows) * block + foot
    figure = plt.figure(figsize=(FULL_WIDTH, height))
    for row, (heading, some) in enumerate(rows):
        _text(figure, 0.03, row * block + title / 2, textwrap.shorten(heading, 110), height, fontsize=7.5)
        for place, tile in enumerate(some):
            x, y = place % columns * side, row * block + title + place // columns * (side + caption)
            box = (x + 0.02 * side) / FULL_WIDTH, 1 - (y + 0.98 * side) / height, 0.96 * side, 0.96 * side
            axis = figure.add_axes((*box[:2], box[2] / FULL_WIDTH, box[3] / height))
            _show(axis, tile, some[0])
            _text(figure, x + side / 2, y + side + caption / 3, tile.caption, height, fontsize=5.5, ha="center")
    figure.legend(
        handles=[Patch(color=f"#{bytes(color).hex()}", label=name) for name, color in LEGEND.items()],
        loc="lower left" if heat else "lower center", ncols=len(LEGEND), frameon=False, borderaxespad=0.1,
    )  # fmt: skip
    if heat:
        scale = figure.add_axes((0.7, 0.1 / height, 0.2, 0.07 / height))
        bar = figure.colorbar(ScalarMappable(cmap=HEAT), cax=scale, orientation="horizontal", ticks=[])
        bar.outline.set_visible(False)
        for x, text in ((0.68, "0"), (0.92, "1")):
            figure.text(x, 0.13 / height, text, va="center", ha="center", fontsize=6)
    return figure


def _show(axis: Axes, tile: Tile, image: Tile) -> None:
    """A tile; a map is stretched over the frame of its image, its cells left visible."""
    axis.set_axis_off()
    if tile.picture.ndim == 3:
        axis.imshow(tile.picture)
        return
    height, width = image.picture.shape[:2]
    axis.imshow(tile.picture, cmap=HEAT, vmin=0, vmax=1, interpolation="nearest", extent=(0, width, height, 0))


def _text(figure: Figure, x: float, y: float, text: str, height: float, **style: Any) -> None:
    """Text at (x, y) inches from the upper left corner."""
    figure.text(x / FULL_WIDTH, 1 - y / height, visible(text), va="center", **style)
