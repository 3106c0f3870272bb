"""How the aerial scenes are laid out: eight kinds of place, each with the surfaces and objects that belong together.

A layout prepares the ground first and puts the objects after; first those that need much room or a certain place.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from benchmark.scenes.aerial.ground import ASPHALT, CLOSED, CONCRETE, PAINT, PAVED, WATER, Strip
from benchmark.scenes.aerial.objects import KINDS
from benchmark.scenes.aerial.site import Site
from benchmark.scenes.brush import shade
from benchmark.scenes.sketch import Scene, choose, noise


def _airport(rng: np.random.Generator, side: int) -> Site:
    site = Site(rng, side, choose(rng, ("grass", "dry")))
    ground, u = site.ground, site.unit
    runway = site.through(0.3, 0.4, site.axis, float(rng.uniform(24, 32)))
    reach = 1.5 * side
    ground.lay(runway.quad(-reach, reach, -runway.width / 2, runway.width / 2), (84, 84, 86), CLOSED)
    ground.mark([runway.quad(k * 22 * u, (k * 22 + 12) * u, -0.8 * u, 0.8 * u) for k in range(-18, 18)], PAINT, 0.8)
    toward = (
        1
        if (side / 2 - runway.x) * -math.sin(runway.angle) + (side / 2 - runway.y) * math.cos(runway.angle) > 0
        else -1
    )
    apron = ground.lot(*runway.at(0, toward * 0.5 * side), 0.8 * side, 0.52 * side, site.axis, CONCRETE)
    ground.lay(apron.quad(-5 * u, 5 * u, -0.6 * side, 0.6 * side), (150, 148, 144), None, 0.8)
    ground.mark(
        [apron.quad(-0.4 * side, 0.4 * side, k * 0.13 * side, k * 0.13 * side + u) for k in (-1, 0, 1)],
        (196, 176, 96),
        0.7,
    )
    if rng.integers(2):
        park = site.axis + (math.pi / 2 if rng.integers(2) else -math.pi / 2)
        site.row("airplane", site.some(2, 4), park, PAVED)
    site.scatter("airplane", site.some(2, 5), PAVED)
    site.scatter("vehicle", site.some(0, 2), PAVED, site.axis)
    site.scatter("storage tank", site.some(0, 3))
    site.buildings(6)
    site.trees(60)
    return site


def _port(rng: np.random.Generator, side: int) -> Site:
    site = Site(rng, side, choose(rng, ("town", "dry", "grass")))
    ground, u = site.ground, site.unit
    shore = site.through(0.0, 0.14, site.axis, 0)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    depth = (rows - shore.y) * np.float32(math.cos(shore.angle)) - (columns - shore.x) * np.float32(
        math.sin(shore.angle)
    )
    ground.flood(depth + np.float32(5 * u) * noise(rng, side, (3, 9)))
    ground.road(Strip(*shore.at(0, -float(rng.uniform(34, 52)) * u), site.axis, float(rng.uniform(13, 18)) * u))
    for _ in range(site.some(1, 2)):
        length = site.size("harbor")
        for _ in range(8):
            x, y = shore.at(float(rng.uniform(-0.4, 0.4)) * side, 0.22 * length)
            if site.put("harbor", x, y, site.axis + math.pi, length, None):
                break
    site.fleet(site.some(2, 6))
    site.traffic(site.some(0, 2))
    site.scatter("storage tank", site.some(0, 4))
    site.scatter("chimney", site.some(0, 1), angle=site.lean)
    site.buildings(14)
    site.trees(50)
    return site


def _sports(rng: np.random.Generator, side: int) -> Site:
    site = Site(rng, side, choose(rng, ("grass", "town", "dry")))
    ground, u = site.ground, site.unit
    if rng.integers(2):
        ground.lot(*site.somewhere(0.25), 84 * u, 46 * u, site.axis, (112, 112, 112), stalls=True)
    ground.road(site.through(0.36, 0.46, site.axis, float(rng.uniform(13, 18))))
    mains = rng.permutation(["ground track field", "stadium", "baseball field", "baseball field"]).tolist()
    site.scatter(mains[0], 1, angle=site.axis)
    site.row("tennis court", site.some(0, 3), site.axis)
    site.row("basketball court", site.some(0, 2), site.axis + math.pi / 2)
    site.scatter(mains[1], 1)
    site.scatter(choose(rng, ("tennis court", "basketball court", "baseball field")), site.some(1, 2))
    site.scatter("vehicle", site.some(0, 2), PAVED, site.axis + math.pi / 2)
    site.traffic(site.some(0, 2))
    site.buildings(10)
    site.trees(110)
    return site


def _industry(rng: np.random.Generator, side: int) -> Site:
    site = Site(rng, side, choose(rng, ("dry", "town")))
    ground, u = site.ground, site.unit
    ground.lot(*site.somewhere(0.2), 90 * u, 60 * u, site.axis, shade(CONCRETE, 0.85))
    ground.road(site.through(0.0, 0.3, site.axis, float(rng.uniform(13, 18))))
    site.scatter("chimney", site.some(1, 3), angle=site.lean)
    if rng.integers(2):
        site.row("storage tank", site.some(2, 3), site.axis)
    site.scatter("storage tank", site.some(2, 4))
    site.scatter("vehicle", site.some(0, 2), PAVED, site.axis)
    site.traffic(site.some(0, 2))
    site.scatter("basketball court", site.some(0, 1))
    site.buildings(18)
    site.trees(40)
    return site


def _river(rng: np.random.Generator, side: int) -> Site:
    site = Site(rng, side, choose(rng, ("grass", "dry", "town")))
    ground, u = site.ground, site.unit
    river = site.through(0.0, 0.18, site.axis, float(rng.uniform(44, 92)))
    if rng.integers(2):
        ground.fields(Strip(side / 2, side / 2, site.axis + 0.3, 0))
    ground.flood(ground.depth(river, 6 * u))
    wet = ground.zones == WATER
    places = [float(rng.uniform(-0.4, -0.14)), float(rng.uniform(0.14, 0.4))]
    dam = bool(rng.integers(2))
    roads = [
        Strip(
            *river.at(place * side),
            site.axis + math.pi / 2 + float(rng.normal(0, 0.18)),
            float(rng.uniform(12, 17)) * u,
        )
        for place in places[: 1 if rng.uniform() < 0.3 else 2]
    ]
    spans = []
    for number, road in enumerate(roads):
        start, stop = _run(wet, road)
        x, y = road.at((start + stop) / 2)
        category = "dam" if dam and number == 0 else "bridge"
        length = stop - start + (16 if category == "dam" else 12) * u
        aspect = KINDS["dam"].aspect if category == "dam" else (road.width + 6 * u) / length
        if stop - start >= 20 * u and site.fits(x, y, length / 2, aspect, road.angle, None):
            spans.append((category, x, y, road.angle, length, None, aspect))
            if category == "bridge":  # never a road on the water without one
                ground.road(road)
    for span in spans:
        site.put(*span)
    site.fleet(site.some(1, 4))
    site.traffic(site.some(0, 2))
    site.scatter(choose(rng, ("baseball field", "golf field", "windmill", "tennis court", "ground track field")), 1)
    site.scatter(choose(rng, ("storage tank", "windmill", "basketball court")), site.some(0, 2))
    site.buildings(10)
    site.trees(90)
    return site


def _run(wet: np.ndarray, strip: Strip) -> tuple[float, float]:
    """From where to where along the strip there is water, as seen from its own point outward."""
    side = len(wet)
    ends = []
    for way in (-1, 1):
        along = 0.0
        while along < side:
            x, y = strip.at(way * (along + 1))
            if not (0 <= x < side and 0 <= y < side and wet[int(y), int(x)]):
                break
            along += 1
        ends.append(way * along)
    return ends[0], ends[1]


def _country(rng: np.random.Generator, side: int) -> Site:
    site = Site(rng, side, "grass")
    ground = site.ground
    ground.fields(Strip(side / 2, side / 2, site.axis, 0))
    ground.road(site.through(0.05, 0.4, site.axis, float(rng.uniform(12, 15))))
    site.scatter("golf field", site.some(0, 1))
    site.scatter("windmill", site.some(2, 4))
    site.traffic(site.some(0, 2))
    site.scatter("storage tank", site.some(0, 3))
    site.scatter("baseball field", site.some(0, 1))
    site.buildings(5)
    site.trees(80)
    return site


def _highway(rng: np.random.Generator, side: int) -> Site:
    site = Site(rng, side, choose(rng, ("grass", "dry", "town")))
    ground, u = site.ground, site.unit
    below = site.through(0.0, 0.18, site.axis, float(rng.uniform(18, 24)))
    above = site.through(0.05, 0.25, site.axis + float(rng.uniform(1.1, 2.0)), float(rng.uniform(16, 22)))
    toll = bool(rng.uniform() < 0.7)
    cross = below.meets(above)
    gate = cross + (1 if cross < 0 else -1) * float(rng.uniform(80, 120)) * u
    if toll:  # a plaza widens the road before it is painted
        plaza = 30 * u
        ground.lay(
            [
                below.at(gate - 70 * u),
                below.at(gate - 26 * u, -plaza),
                below.at(gate + 26 * u, -plaza),
                below.at(gate + 70 * u),
                below.at(gate + 26 * u, plaza),
                below.at(gate - 26 * u, plaza),
            ],
            (132, 130, 126),
            PAVED,
        )
    ground.road(below)
    ground.road(above)
    x, y = above.at(above.meets(below))
    length = site.size("overpass")
    site.put("overpass", x, y, above.angle, length, None, aspect=(above.width + 5 * u) / length)
    if toll:
        site.put("expressway toll station", *below.at(gate), below.angle, float(rng.uniform(30, 40)) * u, None)
    site.traffic(site.some(1, 3))
    site.scatter(
        choose(rng, ("basketball court", "tennis court", "baseball field", "ground track field")), site.some(0, 2)
    )
    site.scatter(choose(rng, ("storage tank", "chimney", "windmill")), site.some(0, 2), angle=site.lean)
    site.buildings(9)
    site.trees(90)
    return site


def _railway(rng: np.random.Generator, side: int) -> Site:
    site = Site(rng, side, choose(rng, ("town", "dry")))
    ground, u = site.ground, site.unit
    rails = site.through(0.0, 0.2, site.axis, float(rng.uniform(24, 32)))
    ground.rails(rails)
    ground.road(Strip(*rails.at(0, 80 * u), site.axis, float(rng.uniform(13, 17)) * u), ASPHALT)
    site.put("train station", *rails.at(float(rng.uniform(-40, 40)) * u), site.axis, site.size("train station"), None)
    site.scatter(choose(rng, ("stadium", "ground track field", "baseball field")), site.some(0, 1))
    site.row("basketball court", site.some(0, 2), site.axis)
    site.row("tennis court", site.some(0, 2), site.axis)
    site.traffic(site.some(0, 2))
    site.scatter("storage tank", site.some(0, 2))
    site.scatter("chimney", site.some(0, 1), angle=site.lean)
    site.buildings(18)
    site.trees(60)
    return site


# How a place is laid out, and how often it is drawn.
LAYOUTS: dict[str, tuple[Callable[[np.random.Generator, int], Site], float]] = {
    "airport": (_airport, 0.12),
    "port": (_port, 0.14),
    "sports": (_sports, 0.18),
    "industry": (_industry, 0.08),
    "river": (_river, 0.17),
    "country": (_country, 0.09),
    "highway": (_highway, 0.12),
    "railway": (_railway, 0.10),
}


def draw_place(rng: np.random.Generator, side: int) -> Scene:
    """A scene of one of the layouts, with as many objects as found room."""
    layouts, shares = zip(*LAYOUTS.values(), strict=True)
    layout = layouts[int(np.searchsorted(np.cumsum(shares), rng.uniform() * sum(shares), side="right"))]
    return layout(rng, side).finish()
