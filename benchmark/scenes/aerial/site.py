"""A place being filled with objects: they go where all the ground under them is of the wanted zone and nothing stands.

So masks are disjoint and whole, ships float and lorries keep to the road.
"""

from __future__ import annotations

import math

import numpy as np

from benchmark.scenes.aerial.ground import LAND, WATER, Ground, Strip
from benchmark.scenes.aerial.objects import KINDS
from benchmark.scenes.brush import Brush, Colour, Point, Stamp, shade
from benchmark.scenes.sketch import Scene, Sketch, choose, finish, noise, tint

MOST = 12  # objects of a scene
MUTE = 0.3  # how far the colours of objects are from the pure ones
CONTRAST = 40.0  # least distance of an object's colour from the ground around it
ROOFS = ((126, 92, 78), (140, 136, 130), (112, 112, 114), (160, 148, 128), (118, 80, 70))


class Site:
    """A ground being filled with objects under one sun; at most `limit` of them."""

    def __init__(self, rng: np.random.Generator, side: int, kind: str) -> None:
        self.rng = rng
        self.ground = Ground(rng, side, kind)
        self.sketch = Sketch(self.ground.image)  # the same pixels
        self.side, self.unit = side, self.ground.unit
        self.limit, self.count = int(rng.integers(5, MOST + 1)), 0
        sun, reach = float(rng.uniform(0, math.tau)), float(rng.uniform(0.6, 1.1))
        self.sun = (reach * math.cos(sun), reach * math.sin(sun))
        self.lean = sun + float(rng.uniform(1.2, 1.9))  # which way tall things fall in the picture
        self.axis = float(rng.uniform(0, math.tau))  # the direction most things here follow

    def fits(
        self, x: float, y: float, half: float, aspect: float, angle: float, zone: int | None, margin: float = 3.0
    ) -> bool:
        """Whether a turned rectangle and a margin are inside the image, all on the zone and clear of objects."""
        gap = margin * self.unit
        c, s = math.cos(angle), math.sin(angle)
        wide, high = half + gap, half * aspect + gap
        reach_x, reach_y = abs(wide * c) + abs(high * s), abs(wide * s) + abs(high * c)
        if min(x - reach_x, y - reach_y) < 0 or max(x + reach_x, y + reach_y) >= self.side:
            return False
        steps_x, steps_y = max(3, math.ceil(half / (2 * self.unit))), max(3, math.ceil(half * aspect / (2 * self.unit)))
        along = (np.arange(steps_x) * (2 * wide / (steps_x - 1)) - wide)[:, None]
        aside = np.arange(steps_y) * (2 * high / (steps_y - 1)) - high
        columns = (x + along * c - aside * s).astype(np.int64)
        rows = (y + along * s + aside * c).astype(np.int64)
        return not self.sketch.labels[rows, columns].any() and (
            zone is None or bool((self.ground.zones[rows, columns] == zone).all())
        )

    def put(
        self,
        category: str,
        x: float,
        y: float,
        angle: float,
        length: float,
        zone: int | None,
        aspect: float | None = None,
    ) -> bool:
        """Draw one object of that length in px if it fits there; says whether it did."""
        kind = KINDS[category]
        aspect = kind.aspect if aspect is None else aspect
        if self.count >= self.limit or not self.fits(x, y, length / 2, aspect, angle, zone):
            return False
        name, colour = self._colour(category, x, y, length / 2)
        brush = Brush(x, y, length / 2, angle, (1.0, aspect), mirror=bool(self.rng.integers(2)))
        kind.draw(brush, colour, self.rng)
        stamp = brush.stamp(light=0.05)
        if kind.height:
            self._shadow(stamp, kind.height * min(length, 60 * self.unit), 0.5)
        self.sketch.lay(stamp, category, name)
        self.count += 1
        return True

    def _shadow(self, stamp: Stamp, height: float, strength: float) -> None:
        self.sketch.shadow(stamp, height * self.sun[0], height * self.sun[1], strength)

    def _colour(self, category: str, x: float, y: float, reach: float) -> tuple[str | None, Colour]:
        kind = KINDS[category]
        if not kind.colours:
            return None, np.clip(np.array(kind.plain) + self.rng.uniform(-9, 9) + self.rng.uniform(-5, 5, 3), 4, 250)
        box = (x - reach, y - reach, x + reach, y + reach)
        for _ in range(6):
            name = choose(self.rng, kind.colours)
            colour = tint(self.rng, name, MUTE)
            if self.sketch.contrast(*box, colour) >= CONTRAST:
                break
        return name, colour

    def size(self, category: str) -> float:
        """A length in px, log-uniform in the range of the category."""
        low, high = KINDS[category].length
        return self.unit * low * math.exp(float(self.rng.uniform()) * math.log(high / low))

    def scatter(self, category: str, count: int, zone: int = LAND, angle: float | None = None) -> None:
        """Up to `count` objects at random places of the zone, smaller when it gets tight."""
        for _ in range(count):
            length, low = self.size(category), KINDS[category].length[0] * self.unit
            for attempt in range(60):
                turn = (
                    float(self.rng.uniform(0, math.tau)) if angle is None else angle + float(self.rng.normal(0, 0.05))
                )
                rim = min(0.45 * length / self.side, 0.4)
                x, y = self.somewhere(rim)
                if self.put(category, x, y, turn, length, zone):
                    break
                if attempt % 12 == 11:
                    length = max(low, 0.85 * length)

    def traffic(self, count: int) -> None:
        """Vehicles in the lanes of the roads."""
        for _ in range(count if self.ground.roads else 0):
            for _ in range(12):
                road = self.ground.roads[int(self.rng.integers(len(self.ground.roads)))]
                lane = 1 if self.rng.integers(2) else -1
                x, y = road.at(float(self.rng.uniform(-0.7, 0.7)) * self.side, 0.22 * lane * road.width)
                length = min(self.size("vehicle"), 1.1 * road.width)  # within its lane
                if self.put("vehicle", x, y, road.angle + (math.pi if lane < 0 else 0), length, None):
                    break

    def row(self, category: str, count: int, angle: float, zone: int = LAND) -> None:
        """Up to `count` equal objects side by side, as courts are."""
        length = self.size(category)
        pitch = length * KINDS[category].aspect + 7 * self.unit
        for _ in range(20):
            x, y = self.somewhere(0.1)
            line = Strip(x, y, angle + math.pi / 2, 0)
            if self.put(category, *line.at(0), angle, length, zone):
                for k in range(1, count):
                    self.put(category, *line.at(k * pitch), angle, length, zone)
                return

    def buildings(self, count: int) -> None:
        """Houses and sheds: scenery with pitched roofs."""
        for _ in range(count):
            half, aspect = float(self.rng.uniform(7, 17)) * self.unit, float(self.rng.uniform(0.45, 0.9))
            x, y = self.somewhere(0.02)
            angle = self.axis + (math.pi / 2 if self.rng.integers(2) else 0)
            if not self.fits(x, y, half, aspect, angle, LAND, margin=4):
                continue
            roof = np.array(ROOFS[int(self.rng.integers(len(ROOFS)))]) + self.rng.uniform(-10, 10, 3)
            brush = Brush(x, y, half, angle, (1.0, aspect))
            brush.rect(-1, -aspect, 1, 0, shade(roof, 1.12))
            brush.rect(-1, 0, 1, aspect, shade(roof, 0.82))
            stamp = brush.stamp()
            self._shadow(stamp, 6 * self.unit, 0.45)
            self.sketch.lay(stamp)

    def trees(self, count: int) -> None:
        """Trees in loose groups on what land is left."""
        heads = self.rng.uniform(0, self.side, (max(2, count // 12), 2))
        spots = heads[self.rng.integers(len(heads), size=count)] + self.rng.normal(0, 0.07 * self.side, (count, 2))
        radii = self.rng.uniform(1.6, 4.2, count) * self.unit
        clear = np.ones(count, dtype=bool)
        for dx, dy in ((0, 0), (1.6, 0), (-1.6, 0), (0, 1.6), (0, -1.6)):
            columns = np.clip(spots[:, 0] + dx * radii, 0, self.side - 1).astype(np.int64)
            rows = np.clip(spots[:, 1] + dy * radii, 0, self.side - 1).astype(np.int64)
            clear &= (self.sketch.labels[rows, columns] == 0) & (self.ground.zones[rows, columns] == LAND)
        kept = [(x, y, r) for (x, y), r in zip(spots[clear].tolist(), radii[clear].tolist(), strict=True)]
        crown = [(math.cos(k), math.sin(k)) for k in (math.tau * n / 9 for n in range(9))]

        def blobs(shift: float, grow: float) -> list[list[tuple[float, float]]]:
            sx, sy = self.sun[0] * shift * self.unit, self.sun[1] * shift * self.unit
            return [[(x + sx + grow * r * c, y + sy + grow * r * s) for c, s in crown] for x, y, r in kept]

        self.ground.mark(blobs(2.5, 1.0), (30, 36, 30), 0.5)
        self.ground.mark(blobs(0, 1.0), np.array([62, 82, 48]) + self.rng.uniform(-10, 10, 3), 0.95)
        self.ground.mark(blobs(-0.6, 0.5), (92, 112, 66), 0.7)

    def fleet(self, count: int) -> None:
        """Up to `count` ships on the water; some are under way, with foam behind them."""
        for _ in range(count):
            angle = float(self.rng.uniform(0, math.tau))
            length = self.size("ship")
            for attempt in range(30):
                x, y = self.somewhere(0.04)
                behind = Strip(x, y, angle, 0).at(-0.75 * length)
                sails = self.rng.integers(2) and self.fits(*behind, 0.25 * length, 0.5, angle, WATER, margin=0)
                if self.put("ship", x, y, angle, length, WATER):
                    if sails:
                        self._foam(*behind, length, angle)
                    break
                if attempt % 8 == 7:
                    length = max(KINDS["ship"].length[0] * self.unit, 0.75 * length)

    def _foam(self, x: float, y: float, length: float, angle: float) -> None:
        brush = Brush(x, y, length / 4, angle, (1.0, 0.5))
        brush.polygon([(1, -0.28), (1, 0.28), (-1, 0.48), (-0.5, 0), (-1, -0.48)], (206, 220, 224))
        stamp, share = brush.stamp(), np.float32(0.4)
        self.sketch.lay(Stamp(stamp.paint * share, stamp.alpha * share, stamp.x, stamp.y))

    def finish(self) -> Scene:
        """Haze, a slight cast, blur and sensor noise over it all."""
        image = self.ground.image
        haze = float(self.rng.uniform(0.0, 0.14))
        gain = np.float32(self.rng.uniform(0.86, 1.06)) * self.rng.uniform(0.96, 1.04, 3).astype(np.float32)
        image *= gain * np.float32(1 - haze)
        image += np.float32(haze) * np.array([176, 184, 194], dtype=np.float32)
        image *= (1 + np.float32(0.04) * noise(self.rng, self.side, (2, 3)))[..., None]
        pixels = finish(image, self.rng, grain=float(self.rng.uniform(2, 5)), blur=float(self.rng.uniform(0.2, 0.6)))
        return Scene(pixels, self.sketch.regions())

    def somewhere(self, rim: float) -> Point:
        """A place in px, at least that share of the side from every border."""
        x, y = self.rng.uniform(rim, 1 - rim, 2) * self.side
        return float(x), float(y)

    def some(self, low: int, high: int) -> int:
        """A number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def through(self, low: float, high: float, angle: float, width: float) -> Strip:
        """A strip whose middle line passes at `low` to `high` of the image side beside the centre, on either hand."""
        aside = float(self.rng.uniform(low, high)) * self.side * (1 if self.rng.integers(2) else -1)
        centre = Strip(self.side / 2, self.side / 2, angle, 0)
        return Strip(*centre.at(0, aside), angle, width * self.unit)
