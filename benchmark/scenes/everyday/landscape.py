"""A landscape at eye level: sky, surfaces that run to the horizon, a road, buildings. Surfaces are regions, as objects
are, and objects stand on them."""

from __future__ import annotations

import numpy as np

from benchmark.scenes.brush import Image32
from benchmark.scenes.sketch import Sketch, blend, choose, fill, noise

# what a surface may be called; one name a scene
SURFACES: dict[str, tuple[str, ...]] = {
    "sky": ("sky",),
    "water": ("water", "water", "lake"),
    "land": ("land", "land", "sand"),
    "vegetation": ("vegetation", "vegetation", "grass"),
    "road": ("road", "road", "street"),
    "building": ("building", "building", "tower"),
}
COLOURS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "water": ((64, 120, 170), (40, 86, 120), (80, 150, 160), (52, 96, 96), (30, 60, 90)),
    "land": ((206, 178, 132), (178, 140, 98), (222, 204, 166), (150, 122, 92)),
    "vegetation": ((84, 140, 60), (58, 104, 46), (120, 150, 70), (70, 120, 80)),
    "road": ((112, 112, 116), (88, 88, 92), (140, 136, 132)),
    "building": ((196, 180, 160), (170, 96, 76), (214, 210, 200), (140, 144, 152), (226, 196, 140), (150, 130, 116)),
}


def landscape(rng: np.random.Generator, side: int) -> Sketch:
    """Sky over one to three surfaces, with a road in most and up to four buildings."""
    names = {kind: choose(rng, names) for kind, names in SURFACES.items()}
    image = fill(np.array((120, 180, 240)) + rng.uniform(-25, 25, 3), side)
    image += np.linspace(-20, 45, side, dtype=np.float32)[:, None, None]
    blend(image, (250, 250, 250), np.clip(noise(rng, side, (2, 5, 10)) * 2 - 0.2, 0, 0.9))
    sketch = Sketch(image)
    sketch.ground(np.ones((side, side), bool), image.copy(), names["sky"])
    rows, columns = np.mgrid[:side, :side].astype(np.float32) / side
    horizon = float(rng.uniform(0.12, 0.42))
    below = rows > horizon + 0.04 * noise(rng, side, (2, 5))[0]
    order = [str(kind) for kind in rng.permutation(["water", "land", "vegetation"])]
    areas = [below]
    for _ in range(int(rng.integers(0, 3))):
        areas.append(below & _part(rng, rows, columns, horizon))
    for kind, area in zip(order, areas, strict=False):
        sketch.ground(area, _texture(rng, side, kind), names[kind])
    if rng.random() < 0.7:
        _road(rng, sketch, rows, columns, horizon, names["road"])
    for _ in range(int(rng.integers(0, 5))):
        _building(rng, sketch, horizon, names["building"])
    return sketch


def _part(rng: np.random.Generator, rows: Image32, columns: Image32, horizon: float) -> np.ndarray:
    """A part of the ground: before or behind a line, beside one, or a flat pool."""
    side = rows.shape[0]
    wave = 0.06 * noise(rng, side, (2, 6))
    kind = int(rng.integers(3))
    if kind == 0:
        return rows + 0.3 * wave[0] > rng.uniform(horizon + 0.15, 0.85)
    if kind == 1:
        slope, at = rng.uniform(-0.6, 0.6), rng.uniform(0.25, 0.75)
        beside = columns + slope * (rows - 0.5) + wave > at
        return beside if rng.integers(2) else ~beside
    x, y = rng.uniform(0.2, 0.8), rng.uniform(horizon + 0.15, 0.9)
    wide, high = rng.uniform(0.2, 0.45), rng.uniform(0.08, 0.22)
    return ((columns - x) / wide) ** 2 + ((rows - y) / high) ** 2 + 4 * wave < 1


def _texture(rng: np.random.Generator, side: int, kind: str) -> Image32:
    """The look of a surface over the whole image (side, side, 3)."""
    colours = COLOURS[kind]
    image = fill(np.array(colours[int(rng.integers(len(colours)))]) + rng.uniform(-12, 12, 3), side)
    image *= np.linspace(rng.uniform(0.85, 1.1), rng.uniform(0.85, 1.1), side, dtype=np.float32)[:, None, None]
    if kind == "water":  # ripples: noise that is stretched along the rows
        ripple = noise(rng, side, (8, 24))
        step = max(1, side // 32)
        image *= (1 + 0.07 * ripple[:, ::step].repeat(step, axis=1)[:, :side])[..., None]
        return image
    rough: dict[str, tuple[tuple[int, ...], float]] = {
        "land": ((4, 12, 40), 0.08), "vegetation": ((5, 20, 60), 0.22), "road": ((3, 40), 0.05),
        "building": ((2, 20), 0.05),
    }  # fmt: skip
    cells, depth = rough[kind]
    image *= (1 + depth * noise(rng, side, [min(count, side) for count in cells], fall=0.9))[..., None]
    return image


def _road(rng: np.random.Generator, sketch: Sketch, rows: Image32, columns: Image32, horizon: float, name: str) -> None:
    """A road that runs to the horizon, or one across the picture, with its line."""
    side = sketch.side
    paint = _texture(rng, side, "road")
    if rng.random() < 0.6:
        near, far, width = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.12, 0.5)
        depth = np.clip((rows - horizon) / (1 - horizon), 0, 1)
        offset = (columns - (far + (near - far) * depth)) / (0.01 + width * depth)
        where = (np.abs(offset) < 0.5) & (rows > horizon + 0.01)
        line = (np.abs(offset) < 0.03) & ((8 * np.sqrt(depth)) % 1 < 0.6)
    else:
        y, width, slope = rng.uniform(horizon + 0.12, 0.92), rng.uniform(0.06, 0.2), rng.uniform(-0.25, 0.25)
        offset = (rows - y - slope * (columns - 0.5)) / width
        where = (np.abs(offset) < 0.5) & (rows > horizon)
        line = (np.abs(offset) < 0.04) & ((6 * columns) % 1 < 0.6)
    paint[line] = (236, 232, 214)
    sketch.ground(where, paint, name)


def _building(rng: np.random.Generator, sketch: Sketch, horizon: float, name: str) -> None:
    """A block with rows of windows, standing on the ground near the horizon; larger when nearer."""
    side = sketch.side
    foot = horizon + float(rng.uniform(0.0, 0.25))
    size = (0.25 + 2 * (foot - horizon)) * float(rng.uniform(0.5, 1.3))
    wide, high = size * float(rng.uniform(0.3, 0.9)), size * float(rng.uniform(0.6, 1.3))
    left = float(rng.uniform(-0.1, 1.1 - wide))
    x0, x1 = round(max(left, 0) * side), round(min(left + wide, 1) * side)
    y0, y1 = round(max(foot - high, 0) * side), round(foot * side)
    if x1 - x0 < 6 or y1 - y0 < 6:
        return
    paint, where = _texture(rng, side, "building"), np.zeros((side, side), bool)
    where[y0:y1, x0:x1] = True
    across, up = np.arange(side) - x0, np.arange(side) - y0
    every = max(4, round(side * float(rng.uniform(0.03, 0.08))))
    glass = ((up % every) >= every // 2)[:, None] & ((across % every) >= every // 2)
    blend(paint, (70, 90, 120) if rng.integers(2) else (210, 226, 240), (glass & where).astype(np.float32) * 0.8)
    paint[:, x0 + (x1 - x0) * 2 // 3 : x1] *= np.float32(rng.uniform(0.65, 1.0))  # the side away from the light
    sketch.ground(where, paint, name)
