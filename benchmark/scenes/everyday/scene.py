"""Everyday scenes, the source domain of the mini foundation models: upright things seen from the side, in full colours.

Unlike the aerial scenes in palette, viewpoint and categories; alike in colour words, sizes and positions, so that a
model that learnt here has met words of the target domain but not its look. Drawn on the fly, never stored.
"""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.scenes.brush import Brush, Image32, Stamp
from benchmark.scenes.everyday.landscape import SURFACES, landscape
from benchmark.scenes.everyday.shapes import SHAPES
from benchmark.scenes.sketch import Scene, Sketch, blend, choose, fill, finish, noise, tint

SMALLEST, LARGEST = 0.05, 0.45  # longer side of an object, as a share of the image side
OBJECTS = (3, 10)
ROOM = 0.48  # share of the image that objects' boxes may take together
CONTRAST = 95.0  # least distance of an object's colour from what is behind it
LANDSCAPES = 0.35  # share of scenes
ALSO = 0.5  # share of scenes in which what has two names is called by the second

# everything that a region may be called
_ALSO = [shape.also for shape in SHAPES.values() if shape.also is not None]
CATEGORIES = tuple(dict.fromkeys([*SHAPES, *_ALSO, *(name for names in SURFACES.values() for name in names)]))


def draw_scene(rng: np.random.Generator, side: int = 128, plain: bool = False) -> Scene:
    """One scene of side x side pixels: 3 to 10 objects, in a third of them fewer and a landscape; disjoint masks.

    A plain one is as a child would draw it: no landscape, nothing without a name, even paint, and no camera.
    """
    while True:
        land = not plain and rng.random() < LANDSCAPES
        sketch = landscape(rng, side) if land else Sketch(_background(rng, side))
        if not plain:
            _litter(rng, sketch)
        _place(rng, sketch, int(rng.integers(OBJECTS[0] - 2 * land, OBJECTS[1] + 1 - 4 * land)), plain)
        regions = sketch.regions()
        if len(regions) >= OBJECTS[0]:
            grain = float(rng.uniform(1, 6))
            return Scene(finish(sketch.image, rng, grain) if plain else _photograph(rng, sketch.image), regions)


def _litter(rng: np.random.Generator, sketch: Sketch) -> None:
    """Things without a name: specks, bars and blobs in muted colours."""
    for _ in range(int(rng.integers(0, 7))):
        size = sketch.side * float(rng.uniform(0.01, 0.06))
        x, y = rng.uniform(size, sketch.side - size, 2).tolist()
        brush = Brush(x, y, size, float(rng.uniform(0, math.pi)))
        colour = rng.uniform(30, 230) + rng.uniform(-25, 25, 3)
        if rng.integers(2):
            brush.ellipse(0, 0, 1, float(rng.uniform(0.3, 1)), np.clip(colour, 0, 255))
        else:
            brush.rect(-1, -float(rng.uniform(0.1, 0.8)), 1, float(rng.uniform(0.1, 0.8)), np.clip(colour, 0, 255))
        sketch.lay(brush.stamp())


def _place(rng: np.random.Generator, sketch: Sketch, wanted: int, plain: bool) -> None:
    """Lay up to `wanted` objects, large ones first, several of one category more often than chance would."""
    side = sketch.side
    spread = math.log(LARGEST / SMALLEST)
    sizes = sorted((SMALLEST * math.exp(float(rng.uniform()) * spread) * side for _ in range(wanted)), reverse=True)
    few = [choose(rng, list(SHAPES)) for _ in range(int(rng.integers(2, max(3, wanted))))]
    called = {category: SHAPES[category].also if rng.random() < ALSO else None for category in sorted(set(few))}
    sun, dark = rng.uniform(-0.12, 0.12, 2).tolist(), float(rng.uniform(0.1, 0.45))
    colours: list[str] = []
    room = ROOM * side * side
    for size in sizes:
        category = choose(rng, few)
        shape = SHAPES[category]
        width, height = (size * e / max(shape.extent) for e in shape.extent)
        if width * height > room:
            continue
        angle = float(rng.normal(0, 0.1))
        half_w, half_h = width / 2 + 0.1 * height / 2 + 1, height / 2 + 0.1 * width / 2 + 1
        for _ in range(20):
            x = float(rng.uniform(half_w, side - half_w))
            y = float(rng.uniform(half_h, side - half_h))
            box = (x - half_w, y - half_h, x + half_w, y + half_h)
            if not sketch.free(*box):
                continue
            repeat = colours and rng.uniform() < 0.25 and colours[-1] in shape.colours
            name = colours[-1] if repeat else choose(rng, shape.colours)
            colour = tint(rng, name)
            if sketch.contrast(*box, colour) < CONTRAST:
                continue
            brush = Brush(x, y, size / 2 / max(shape.extent), angle, shape.extent, mirror=bool(rng.integers(2)))
            shape.draw(brush, colour, rng)
            stamp = brush.stamp(light=0.12)
            if not plain:
                stamp = _worn(rng, stamp)
            sketch.shadow(stamp, sun[0] * size, sun[1] * size, dark)
            sketch.lay(stamp, called[category] or category, name)
            colours.append(name)
            room -= width * height
            break


def _worn(rng: np.random.Generator, stamp: Stamp) -> Stamp:
    """A stamp whose paint is uneven, as that of real things."""
    height, width = stamp.alpha.shape
    rough = noise(rng, max(height, width), (2, 8), fall=0.8)[:height, :width]
    return Stamp(stamp.paint * (1 + np.float32(rng.uniform(0, 0.16)) * rough)[..., None], stamp.alpha, stamp.x, stamp.y)


def _photograph(rng: np.random.Generator, image: Image32) -> NDArray[np.uint8]:
    """What a camera makes of it: shade, exposure, a colour cast, blur, noise, and in half of them JPEG."""
    side = image.shape[0]
    shade = np.clip(noise(rng, side, (2, 4)) * 2, 0, 1) * np.float32(rng.uniform(0, 0.35))
    image = image * (1 - shade)[..., None] * np.float32(rng.uniform(0.75, 1.2))
    image = image * rng.uniform(0.94, 1.06, 3).astype(np.float32) + np.float32(rng.uniform(-10, 20))
    shot = finish(image, rng, grain=float(rng.uniform(1, 8)), blur=float(rng.uniform(0, 1)))
    if rng.integers(2):
        return shot
    packed = io.BytesIO()
    Image.fromarray(shot).save(packed, "jpeg", quality=int(rng.integers(50, 96)))
    return np.array(Image.open(packed))


WALLS = (
    (250, 214, 120),
    (150, 206, 236),
    (244, 170, 160),
    (168, 222, 168),
    (214, 184, 240),
    (255, 236, 200),
    (92, 150, 190),
    (214, 92, 88),
)
FLOORS = ((190, 122, 66), (150, 84, 50), (222, 180, 130), (96, 120, 178), (178, 66, 70), (80, 140, 110))
CLOTHS = ((226, 70, 80), (70, 130, 220), (90, 180, 110), (250, 200, 70), (180, 110, 210), (250, 150, 90))


def _background(rng: np.random.Generator, side: int) -> Image32:
    kind = int(rng.integers(4))
    if kind == 0:
        image = _room(rng, side)
    elif kind == 1:
        image = _outdoors(rng, side)
    elif kind == 2:
        image = _tablecloth(rng, side)
    else:
        image = _planks(rng, side)
    image += noise(rng, side, (3, 12))[..., None] * np.float32(9)
    return image


def _pick(rng: np.random.Generator, colours: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    return np.array(colours[int(rng.integers(len(colours)))], dtype=np.float64) + rng.uniform(-14, 14, 3)


def _room(rng: np.random.Generator, side: int) -> Image32:
    """A wall, plain or striped, a skirting board and a floor."""
    wall, floor = _pick(rng, WALLS), _pick(rng, FLOORS)
    image = fill(wall, side)
    if rng.integers(2):
        stripe = max(2, round(side * float(rng.uniform(0.03, 0.1))))
        image[:, (np.arange(side) // stripe) % 2 == 0] *= np.float32(0.92)
    line = round(side * float(rng.uniform(0.5, 0.8)))
    image[line:] = floor
    image[line:] *= np.linspace(0.85, 1.1, side - line, dtype=np.float32)[:, None, None]
    image[line : line + max(1, side // 50)] = (248, 244, 236)
    return image


def _outdoors(rng: np.random.Generator, side: int) -> Image32:
    """A sky with clouds over rolling grass."""
    image = fill((120, 190, 250), side)
    image += np.linspace(-30, 40, side, dtype=np.float32)[:, None, None] * np.array([1, 0.6, 0.1], dtype=np.float32)
    blend(image, (255, 255, 255), np.clip(noise(rng, side, (3, 6, 12)) * 2 - 0.3, 0, 0.9))
    rows = np.arange(side, dtype=np.float32)[:, None]
    for level, colour in (
        (float(rng.uniform(0.4, 0.6)), (120, 200, 90)),
        (float(rng.uniform(0.6, 0.8)), (96, 184, 70)),
    ):
        ridge = side * (level + 0.12 * noise(rng, side, (2, 4))[0])
        blend(image, np.array(colour) + rng.uniform(-12, 12, 3), np.clip(rows - ridge, 0, 1))
    return image


def _tablecloth(rng: np.random.Generator, side: int) -> Image32:
    """A cloth with checks, stripes or dots."""
    cloth, other = _pick(rng, CLOTHS), _pick(rng, ((255, 250, 240), *WALLS))
    image = fill(cloth, side)
    step = max(4, round(side * float(rng.uniform(0.06, 0.16))))
    across = np.arange(side)
    bands = ((across // step) % 2).astype(np.float32)
    kind = int(rng.integers(3))
    if kind == 0:
        blend(image, other, (bands[:, None] + bands) * np.float32(0.3))
    elif kind == 1:
        blend(image, other, np.broadcast_to(bands * np.float32(0.55), (side, side)))
    else:
        offset = ((across % step) - step / 2).astype(np.float32)
        far = offset[:, None] ** 2 + offset**2
        blend(image, other, np.clip((step / 4) ** 2 - far, 0, 1) * np.float32(0.7))
    return image


def _planks(rng: np.random.Generator, side: int) -> Image32:
    """A wooden table top."""
    image = fill(_pick(rng, FLOORS[:3]), side)
    plank = max(4, round(side * float(rng.uniform(0.1, 0.25))))
    rows = np.arange(side)
    tone = rng.uniform(0.86, 1.12, side // plank + 1).astype(np.float32)
    image *= tone[rows // plank][:, None, None]
    grain = noise(rng, side, (6, 24))
    image *= (1 + 0.06 * grain[rows][:, rows // 8])[..., None]
    image[rows % plank == 0] *= np.float32(0.6)
    return image
