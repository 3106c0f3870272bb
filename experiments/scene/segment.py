"""One scene from its file to its layers: what experiments.predict does of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmark.data.files import remove
from benchmark.data.images.scene_files import Scene, open_scene
from benchmark.output.escaping import visible
from benchmark.output.terminal import plain, progress_bar, say
from experiments.errors import InputError
from experiments.scene.ground import pixel_size, reference_system
from experiments.scene.layers import Found, Layers, layers_at, write_layers
from experiments.scene.predicting import Predicts, predict_scene
from experiments.scene.state import open_state, others, state_folder
from experiments.scene.windows import Plan, make_plan

ROW_BYTES = 1 << 30  # that one row of windows may take in memory


@dataclass(frozen=True)
class Settings:
    """How a scene is predicted. window: pixels of the scene along a window's side. overlap: of these, what neighbours
    share at least. bands: as of open_scene(). pixel: metres of a pixel that the model is to see; None: the scene's
    own. probability: whether probabilities are written, too."""

    window: int
    overlap: int
    bands: tuple[int, ...] | None = None
    pixel: float | None = None
    probability: bool = False


def segment_scene(
    path: Path,
    expressions: Sequence[str],
    out: Path,
    settings: Settings,
    model: Predicts,
    weights: str,
    console: Console,
) -> list[Found]:
    """Predict a scene and write its layers, going on where the same call was stopped before.

    Args:
        path: a TIFF.
        out: a folder, or a .gpkg.
        weights: the SHA-256 of the model's; a state of others is not used.

    Raises:
        InputError: an argument that cannot be used.
        FileNotFoundError, SampleError: as open_scene().
    """
    if len(set(expressions)) < len(expressions):
        raise InputError("an expression is given twice; give each once")
    layers = layers_at(out, path, len(expressions), settings.probability)
    with open_scene(path, settings.bands) as scene:
        plan = _plan(scene, settings, len(expressions))
        identity = {
            "scene": [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in _files(scene)],
            "run": weights,
            "expressions": list(expressions),
            "bands": scene.bands,
            "windows": [plan.down.side, plan.across.side, plan.down.overlap, plan.across.overlap],
        }
        folder = state_folder(out, identity)
        with open_state(folder, identity, plan, len(expressions)) as state:
            _tell(console, scene, plan, [*_seen(scene, plan, settings), *others(folder, identity)])
            before = state.row * len(plan.across.starts) + len(state.stored() if state.row < plan.rows else [])
            if before:
                say(console, f"goes on after {before:,} windows")
            with progress_bar(console) as progress:
                task = progress.add_task("windows", total=len(plan), completed=state.row * len(plan.across.starts))
                notes = predict_scene(scene, model, expressions, state, lambda: progress.advance(task))
            say(console, "writes layers")
            found, placed = write_layers(scene, state, [visible(text) for text in expressions], layers)
        remove(folder)
    _report(console, [*notes, *_remarks(found, placed, path, layers)], found, layers)
    return found


def _files(scene: Scene) -> list[Path]:
    """The scene's file and what GDAL reads beside it."""
    return [Path(name).absolute() for name in scene.file.files]


def _plan(scene: Scene, settings: Settings, count: int) -> Plan:
    """The windows of a scene."""
    sides = (settings.window, settings.window)
    if settings.pixel is not None:
        own = pixel_size(scene.file.crs, scene.file.transform, scene.height, scene.width)
        if own is None:
            raise InputError(
                f"--pixel-size {settings.pixel:g}: {scene.path} does not say how many metres its pixels have; give "
                "--window in pixels of the scene"
            )
        sides = (round(settings.window * settings.pixel / own[0]), round(settings.window * settings.pixel / own[1]))
    if min(sides) < 1 or not 0 <= settings.overlap < settings.window:
        raise InputError(
            f"windows of {sides[0]} x {sides[1]} pixels of the scene that share {settings.overlap} of "
            f"{settings.window}: give a --window of one pixel at least and an --overlap below it"
        )
    plan = make_plan(scene.height, scene.width, sides, settings.overlap / settings.window)
    if (size := count * plan.down.side * scene.width * 4) > ROW_BYTES:
        raise InputError(
            f"one row of windows takes {size / 2**30:.1f} GiB of memory, more than {ROW_BYTES / 2**30:.0f}: give fewer "
            "expressions at once, or smaller windows"
        )
    return plan


def _tell(console: Console, scene: Scene, plan: Plan, notes: Sequence[str]) -> None:
    crs = "on no map" if scene.file.crs is None else f"in {reference_system(scene.file.crs)}"
    shown = "shown as they are" if scene.stretch is None else "stretched from {:g} to {:g}".format(*scene.stretch)
    if scene.stretch is not None and scene.stretch[0] == scene.stretch[1]:
        shown = f"nearly everywhere {scene.stretch[0]:g}: there is nothing to see"
    say(console, f"{scene.path} is read as a scene: {scene.width:,} x {scene.height:,} pixels {crs}")
    bands = scene.choice or f"bands {', '.join(map(str, scene.bands))}"
    say(console, f"{bands}, {shown}")
    shared = f"{plan.across.overlap} x {plan.down.overlap}"
    windows = "1 window" if len(plan) == 1 else f"{len(plan):,} windows that share {shared} pixels or more, each"
    say(console, f"{windows} of {plan.across.side} x {plan.down.side} pixels")
    for note in notes:
        say(console, f"note: {note}")


def _seen(scene: Scene, plan: Plan, settings: Settings) -> list[str]:
    """What a window shows where the scene is too small for the pixels that are asked for."""
    own = pixel_size(scene.file.crs, scene.file.transform, scene.height, scene.width)
    if settings.pixel is None or own is None:
        return []
    across, down = (
        axis.side * metres / settings.window for axis, metres in zip((plan.across, plan.down), own, strict=True)
    )
    if max(across, down) > 0.99 * settings.pixel:
        return []
    return [
        f"--pixel-size {settings.pixel:g}: the scene is smaller than such a window; the model sees {across:.3g} x "
        f"{down:.3g} m a pixel"
    ]


def _remarks(found: Sequence[Found], placed: bool, path: Path, layers: Layers) -> list[str]:
    remarks = [] if placed else [f"{path} lies on no known map: no GeoJSON, and no areas"]
    if not found[0].known:
        remarks.append(f"{path} has no data anywhere; nothing is predicted")
    if left := layers.left():
        remarks.append(f"{', '.join(left)} in {layers.folder} are not of this call but of an earlier one")
    return remarks


def _report(console: Console, notes: Sequence[str], found: Sequence[Found], layers: Layers) -> None:
    for note in notes:
        say(console, f"note: {note}")
    table = Table("expression", "share of the scene's data", "polygons", "square metres")
    for one in found:
        area = "–" if one.area != one.area else f"{one.area:,.0f}"
        share = one.pixels / one.known if one.known else 0.0
        table.add_row(plain(one.expression), f"{share:.2%}", f"{one.polygons:,}", area)
    console.print(table)
    say(
        console,
        f"in {layers.folder}: {', '.join(sorted(name for name in layers.names() if (layers.folder / name).is_file()))}",
    )
