"""docs/speed.md: what experiments.bench measured, in tables and a figure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.data.errors import ends_with
from benchmark.data.files import write_all
from benchmark.output.escaping import markdown
from benchmark.output.terminal import say, terminal
from reports.figures.speed import draw
from reports.figures.style import save
from reports.tables.rendering import MISSING

PAIRS = {  # column -> whether it is a number; experiments/commands/bench.py writes them
    **{"module": False, "path": False, "case": False},
    **{"reference": True, "ours": True, "ratio": True, "share": True},
    **{"limit": False, "goal": True, "peak_mb": True, "note": False},
    **{"machine": False, "versions": False, "commit": False, "date": False, "busy": False},
}
GROWTHS = {
    **{"module": False, "path": False, "over": False, "size": True, "seconds": True, "peak_mb": True, "note": False},
    **{"machine": False, "versions": False, "commit": False, "date": False, "busy": False},
}
WHERE = ["date", "machine", "versions", "commit", "busy"]
FEWEST = 3  # sizes that have a slope
HEAD = """# Speed

Made by `make bench`, which measures each thing that users wait for in turns with the plain way of doing it, in one
process, so that a machine that slows down slows both. **Ratio**: how many times as long the plain way takes, the median
over the turns. **Share**: of what limits it, measured in the same run: the rate of a matrix product, of a decoder, of
the disk. **Memory**: the most that the measuring process held by then, of both ways, libraries (0.9 GB) included.

The plain way (`benchmark/speed/reference.py`) is written from the equations: eager attention, an image encoded for each
of its expressions, nothing cached, adapters beside their weights, texts padded to the longest of a batch, metrics from
counts of pixels, images decoded by Pillow one after another (ours: by two threads). Loss, optimiser and torch's threads
are the same.
"""
STUDY = """## The default study

`make repro` from a ready environment, measured by hand on two quiet cores (AMD EPYC), in one sitting, 2026-11-30:

| | seconds |
|---|---|
| commit 3d2acb9 of 2026-11-25: stages one after the other, two threads a training, 36 results in the report | 764 |
| commit a5c0038: two runs of one thread at a time, 102 results in the report | 414 |
| commit 27955ed: figures of several datasets side by side, baselines as committed (a few tests ran beside it) | 381 |

0.50 of the time; 0.35 was wanted. What was left at a5c0038: 310 s of five trainings and evaluations, two at a time,
whose steps are matrix products, attention and convolutions of a network that trains in full (`no_lora` alone has frozen
encoders, and takes half); 20 s for drawing the scenes, 22 s for collecting 102 results, 36 s for their report. A
smaller `mini` would be faster and make every committed result void.

## Goals in seconds

| | asked for | measured |
|---|---|---|
| a report of 16,000 images, 5 variants, 3 seeds | 2 min | above: reached |
| 100,000 samples evaluated and reported, memory | 2 GB, flat | above: reached but for 1.2 KB a sample |
| `collect`, 200 results | 30 s | above: missed; MLflow's commits, and pictures that it is given |
| `collect`, nothing new | 3 s | above: missed |
| `--help` of any command | 0.5 s | above: reached |
"""
TAIL = """## What was not measured

{gpu}A network file system. Several processes or runs at once ([scale](scale.md)). At the paper's sizes, weights other
than random ones, on which speed does not depend. Times are of the machine named above; ratios carry over to others
better, not exactly.

How to add a measurement: [CONTRIBUTING](../CONTRIBUTING.md#add-a-measurement-of-speed).
"""
NO_GPU = """A GPU: there was none, so nothing here says anything of one. What was asked for on an H100 stays open:
`rsrefseg-b` trains at 3 times and predicts at twice the rate of the released code's way, its encoder reaches 45 % of
the matrix rate, and a step waits less than 3 % of its time for images ([what runs there](model.md#on-a-gpu)).
"""
SYSTEMS = "systems"  # the module whose reference is RSRefSeg
BESIDE = "In turns with RSRefSeg's `mini`, which stands where the plain way does above: below 1 a system is slower.\n"
SLOPE = "Slope: of the cost's logarithm over the size's, by least squares; 1 is proportional, 2 quadratic."


class SpeedError(ValueError):
    """A table that is not one of measurements; the message names file and remedy."""


def read(file: Path, columns: dict[str, bool]) -> pd.DataFrame:
    """A table of experiments.bench; of a number that is not there NaN.

    Raises:
        SpeedError: it is not there, has other columns, or holds a word for a number.
    """
    remedy = "run `python -m experiments.bench`"
    if not file.is_file():
        raise SpeedError(f"{file} does not exist; {remedy}")
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        for name, number in columns.items():
            if number:
                table[name] = table[name].replace("", "nan").astype(float)
    except (KeyError, ValueError) as error:
        raise SpeedError(f"{file} is not what was measured ({error}); {remedy}") from error
    if list(table.columns) != list(columns):
        raise SpeedError(f"{file} has columns {list(table.columns)}, not {list(columns)}; {remedy}")
    return table


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """Of log cost over log size: k where the cost grows as size^k. None for few sizes, or what has no logarithm."""
    x, y = np.asarray(sizes, float), np.asarray(costs, float)
    if len(np.unique(x)) < FEWEST or not (np.isfinite(y) & (y > 0) & (x > 0)).all():
        return None
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def page(pairs: pd.DataFrame, growths: pd.DataFrame, figure: str) -> str:
    """docs/speed.md. figure: its address from there."""
    parts, systems = [HEAD], pairs["module"] == SYSTEMS
    if len(pairs):
        parts += ["## Against the plain way\n", f"![Ratios and goals; growth of costs]({figure})\n"]
        parts += [_pairs(pairs[~systems])]
    if systems.any():
        parts += ["## Systems beside each other\n", BESIDE, _pairs(pairs[systems], "RSRefSeg", "system")]
    if len(growths):
        parts += ["## How costs grow\n", _growths(growths)]
    lines = pd.concat([pairs, growths])[["module", *WHERE]].drop_duplicates()
    where = [[", ".join(each["module"]), *map(str, place)] for place, each in lines.groupby(WHERE, sort=False)]
    parts += ["## Where\n", _table(("measurements", *WHERE), where)]
    gpu = lines["machine"].str.contains("no GPU").all()
    return "\n".join([*parts, STUDY, TAIL.format(gpu=NO_GPU if gpu else "")])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A pipe table of other people's texts, most of them words: aligned to the left."""
    cells = [header, *([markdown(text or MISSING) for text in row] for row in rows)]
    first, *lines = (f"| {' | '.join(row)} |" for row in cells)
    return "\n".join([first, "|---" * len(header) + "|", *lines, ""])


def _pairs(pairs: pd.DataFrame, reference: str = "plain", other: str = "ours") -> str:
    header = ("path", "case", reference, other, "ratio", "goal", "reached", "share", "of", "memory", "note")
    return _table(header, [_pair(row) for row in pairs.to_dict("records")])


def _pair(row: dict[Any, Any]) -> list[str]:
    goal, reached = row["goal"], MISSING
    if goal == goal:
        reached = "yes" if row["ratio"] >= goal else "no"
    numbers = [_seconds(row["reference"]), _seconds(row["ours"]), _times(row["ratio"]), _times(goal), reached]
    share, memory = _some(row["share"], lambda value: f"{value:.0%}"), _memory(row["peak_mb"])
    return [row["path"], row["case"], *numbers, share, row["limit"], memory, row["note"]]


def _growths(growths: pd.DataFrame) -> str:
    rows = []
    for (path, over), lines in growths.groupby(["path", "over"], sort=False):
        slopes = [slope(lines["size"].tolist(), lines[name].tolist()) for name in ("seconds", "peak_mb")]
        first, last = lines.iloc[0], lines.iloc[-1]
        seconds = f"{_seconds(first['seconds'])} to {_seconds(last['seconds'])}"
        memory = f"{_memory(first['peak_mb'])} to {_memory(last['peak_mb'])}"
        said = [MISSING if value is None else f"{value:.2f}" for value in slopes]
        sizes = f"{first['size']:,g} to {last['size']:,g}"
        memory = MISSING if lines["peak_mb"].isna().any() else memory
        rows.append([str(path), str(over), sizes, seconds, said[0], memory, said[1], str(first["note"])])
    header = ("path", "over", "sizes", "time", "slope of time", "memory", "slope of memory", "note")
    return f"{_table(header, rows)}\n{SLOPE}\n"


def _some(value: float, text: Callable[[float], str]) -> str:
    return MISSING if value != value else text(value)


def _times(value: float) -> str:
    return _some(value, lambda ratio: f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}")


def _seconds(value: float) -> str:
    """Three digits, in the unit that suits them."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:,.3g} {unit}" if value / size < 1000 else f"{value / size:,.0f} {unit}"
    return _some(value, lambda seconds: f"{seconds / 1e-6:.3g} µs")


def _memory(mb: float) -> str:
    return _some(mb, lambda value: f"{value:,.0f} MiB" if value >= 10 else f"{value:.1f} MiB")


def build(generated: Path, document: Path) -> None:
    """Write the page, and the figure beside the tables, all or nothing.

    Raises:
        SpeedError: as read(), or nothing was measured.
    """
    pairs, growths = read(generated / "speed.csv", PAIRS), read(generated / "speed_growth.csv", GROWTHS)
    if not len(pairs) and not len(growths):
        raise SpeedError(f"{generated / 'speed.csv'} holds no measurement; run `python -m experiments.bench`")
    contents = {}
    with tempfile.TemporaryDirectory() as folder:
        drawn = save(draw(pairs[pairs["module"] != SYSTEMS], growths, slope), Path(folder) / "speed")
        for suffix in (".png", ".pdf"):
            contents[generated / f"speed{suffix}"] = drawn.with_suffix(suffix).read_bytes()
    address = Path(*[".."] * len(document.parent.parts), generated, "speed.png").as_posix()
    write_all({**contents, document: page(pairs, growths, address).encode()})


def main(generated: Path, document: Path) -> None:
    """Build the page and its figure."""
    with ends_with(SpeedError):
        build(generated, document)
    say(terminal(soft_wrap=True), f"written: {document}, {generated / 'speed.png'}")
