"""The interpreter below reads the English and looks at the pixels; it shares nothing with the predicates that wrote."""

from __future__ import annotations

import re
import time
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.expressions.writer import KINDS, Expression, Region, write_expressions

CATEGORIES = ("ship", "storage tank", "airplane", "harbor", "vehicle", "water", "road")
COLOURS = ("red", "white", "blue", "dark gray")
SIDE = "(left|right|top|bottom)"
RELATION = re.compile(
    "(.+?) (?:that is |located )?"
    "((?:to the |on the )?(?:left|right) of|above|below|closest to|nearest to|next to|beside) the (.+)"
)
ORDER = re.compile(f"(second|third|fourth) (.+?) (?:counted )?from the {SIDE}")
EXTREME = re.compile(f"{SIDE}most (.+)|(.+) (?:farthest to|closest to) the {SIDE}(?: of the image)?")


def noun_set(text: str, regions: list[Region]) -> set[int]:
    """The regions that a noun such as 'area of blue water' or 'storage tank' may mean."""
    text = text.removeprefix("area of ")
    for category in CATEGORIES:
        if text == category:
            return {k for k, region in enumerate(regions) if region.category == category}
        if text.endswith(f" {category}"):
            colour = text.removesuffix(f" {category}")
            assert colour in COLOURS, text
            return {k for k, region in enumerate(regions) if (region.category, region.colour) == (category, colour)}
    raise AssertionError(f"no noun in '{text}'")


def centre(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """x, y of the mean pixel centre as shares of the image."""
    y, x = np.nonzero(mask)
    return (x.mean() + 0.5) / mask.shape[1], (y.mean() + 0.5) / mask.shape[0]


def distance(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Between the closest pixels of two masks, as a share of the longer side."""
    return float(ndimage.distance_transform_edt(~b)[a].min()) / max(a.shape)


def single(indices: set[int]) -> int:
    assert len(indices) == 1
    return next(iter(indices))


def meant(text: str, regions: list[Region]) -> set[int]:
    """The regions of which a sentence is true, read with plain boundaries and no margins."""
    x, y = {}, {}
    for k, region in enumerate(regions):
        x[k], y[k] = centre(region.mask)
    assert text.startswith("the ")
    text = text.removeprefix("the ")
    if found := RELATION.fullmatch(text):
        noun, way, anchor_text = found.groups()
        if anchor_text != "image" and not anchor_text.endswith(" of the image"):
            return related(noun_set(noun, regions), way, single(noun_set(anchor_text, regions)), regions)
    ranks = {"left": x, "top": y, "right": {k: -v for k, v in x.items()}, "bottom": {k: -v for k, v in y.items()}}
    if found := ORDER.fullmatch(text):
        place, rank = ("second", "third", "fourth").index(found[1]) + 1, ranks[found[3]]
        candidates = noun_set(found[2], regions)
        assert len(candidates) > 2, "an order of two"
        for counted in (candidates, {k for k in candidates if regions[k].target}):  # whether slivers count or not
            assert sorted(counted, key=lambda k: rank[k])[place] == sorted(candidates, key=lambda k: rank[k])[place]
        return {sorted(candidates, key=lambda k: rank[k])[place]}
    if found := EXTREME.fullmatch(text):
        side, candidates = found[1] or found[4], noun_set(found[2] or found[3], regions)
        assert len(candidates) > 1, "a superlative of one"
        return {min(candidates, key=lambda k: ranks[side][k])}
    text = re.sub(r" in the image$", "", text)
    if found := re.fullmatch(r"(largest|biggest|smallest) (.+)", text):
        candidates, sign = noun_set(found[2], regions), 1 if found[1] == "smallest" else -1
        assert len(candidates) > 1, "a superlative of one"
        return {min(candidates, key=lambda k: sign * int(regions[k].mask.sum()))}
    text = re.sub(r" of the image$", "", text)
    if found := re.fullmatch(r"(.+?) (?:located )?(?:on|at|in) the (.+?)(?: side| part)?", text):
        noun, place = found.groups()
        words, near = place.removesuffix(" corner").split(), 0.35 if place.endswith("corner") else 0.5
        tests = {"left": (x, 1), "right": (x, -1), "top": (y, 1), "upper": (y, 1), "bottom": (y, -1), "lower": (y, -1)}
        candidates = noun_set(noun, regions)
        if words in (["center"], ["middle"]):
            return {k for k in candidates if abs(x[k] - 0.5) < 1 / 6 and abs(y[k] - 0.5) < 1 / 6}
        for word in words:
            at, sign = tests[word]
            candidates = {k for k in candidates if (at[k] if sign > 0 else 1 - at[k]) < near}
        return candidates
    return noun_set(text, regions)


def related(candidates: set[int], way: str, anchor: int, regions: list[Region]) -> set[int]:
    candidates = candidates - {anchor}
    if way in ("closest to", "nearest to", "next to", "beside"):
        gaps = {k: distance(regions[k].mask, regions[anchor].mask) for k in candidates}
        if way in ("next to", "beside"):
            return {k for k in candidates if gaps[k] < 0.16}
        assert len(candidates) > 1, "a superlative of one"
        return {min(candidates, key=lambda k: gaps[k])}
    height, width = regions[anchor].mask.shape
    found = set()
    for k in candidates:
        (x, y), (to_x, to_y) = centre(regions[k].mask), centre(regions[anchor].mask)
        right, down = (x - to_x) * width, (y - to_y) * height
        direction = (
            ("right of" if right > 0 else "left of") if abs(right) > abs(down) else ("below" if down > 0 else "above")
        )
        if way.endswith(direction):
            found.add(k)
    return found


def blob(rng: np.random.Generator, height: int, width: int) -> NDArray[np.bool_]:
    """A turned ellipse, box, ring or L, or a band across the image: anywhere, also over the border."""
    y, x = np.mgrid[:height, :width] + 0.5
    x, y = x - rng.uniform(0, width), y - rng.uniform(0, height)
    turn, (a, b) = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(3), np.log(45), 2))
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    shape = rng.integers(5)
    if shape == 0:
        return (u / a) ** 2 + (v / b) ** 2 <= 1
    if shape == 1:
        return ((u / a) ** 2 + (v / b) ** 2 <= 1) & ((u / a) ** 2 + (v / b) ** 2 >= 0.5)
    if shape == 2:
        return np.abs(v) <= min(a, b) / 2
    box = (np.abs(u) <= a) & (np.abs(v) <= b)
    return box if shape == 3 else box & ~((u > 0) & (v > 0))


def scene(rng: np.random.Generator, colours: str = "all") -> list[Region]:
    height, width = (int(side) for side in rng.integers(90, 200, 2))
    taken, regions = np.zeros((height, width), bool), []
    categories = rng.choice(CATEGORIES, size=int(rng.integers(1, 5)), replace=False)
    for _ in range(int(rng.integers(1, 12))):
        mask = blob(rng, height, width) & ~taken
        if mask.sum() < 12:
            continue
        taken |= mask
        known = colours == "all" or (colours == "some" and rng.random() < 0.6)
        colour = str(rng.choice(COLOURS)) if known else None
        regions.append(Region(mask, str(rng.choice(categories)), colour, target=bool(rng.random() < 0.85)))
    return regions


def box(
    x1: int, y1: int, x2: int, y2: int, category: str = "ship", colour: str | None = None, target: bool = True
) -> Region:
    mask = np.zeros((100, 100), bool)
    mask[y1:y2, x1:x2] = True
    return Region(mask, category, colour, target)


def everything(regions: list[Region]) -> list[Expression]:
    """Nearly every sentence that the writer may choose from."""
    seeds = [np.random.default_rng(seed) for seed in range(25)]
    return sorted({sentence for rng in seeds for sentence in write_expressions(regions, rng, 200, order=True)}, key=str)


def texts(regions: list[Region]) -> set[str]:
    return {expression.text for expression in everything(regions)}


def test_every_expression_is_true_of_its_region_and_of_no_other(subtests: pytest.Subtests) -> None:
    for seed, colours in enumerate(("all", "some", "none")):
        with subtests.test(colours):
            rng, count = np.random.default_rng(seed), 0
            for _ in range(90):
                regions = scene(rng, colours)
                for expression in write_expressions(regions, rng, per_region=4, order=True):
                    assert meant(expression.text, regions) == {expression.region}, (
                        expression,
                        [(r.category, r.colour, r.bbox) for r in regions],
                    )
                    count += 1
            assert count > 300


def test_every_wording_is_covered_by_the_interpreter() -> None:
    rng = np.random.default_rng(7)
    seen: Counter[str] = Counter()
    for _ in range(12):
        regions = scene(rng)
        for expression in everything(regions):
            assert meant(expression.text, regions) == {expression.region}, expression
            pattern = expression.text
            for word in sorted((*CATEGORIES, *COLOURS), key=len, reverse=True):
                pattern = re.sub(rf"\b{word}\b", "*", pattern)
            seen[pattern.replace("* *", "*").replace("area of *", "*")] += 1
    words = " ".join(seen)
    for word in (
        "largest",
        "smallest",
        "leftmost",
        "topmost",
        "second * from the left",
        "counted from the bottom",
        "upper left corner",
        "bottom right",
        "middle",
        "beside",
        "nearest",
        "left of",
        "above",
    ):
        assert word in words, word
    assert len(seen) > 100


def test_order_is_said_of_three_at_least_only_where_asked_and_where_slivers_do_not_matter() -> None:
    def ordered(regions: list[Region]) -> set[str]:
        return {text for text in texts(regions) if re.fullmatch("the second ship from the (left|right)", text)}

    row = [box(x, 40, x + 12, 52) for x in (10, 40, 70)]
    assert ordered(row) == {"the second ship from the left", "the second ship from the right"}
    assert not any(e.kind == "order" for e in write_expressions(row, np.random.default_rng(0), 200))
    assert not ordered(row[:2])
    assert ordered([*row, box(97, 40, 100, 52, target=False)]) == {"the second ship from the left"}


def test_same_rng_writes_the_same_and_another_seed_something_else() -> None:
    regions = scene(np.random.default_rng(3))
    first, again, other = (write_expressions(regions, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_texts_of_a_scene_are_distinct_and_kinds_are_known() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        regions = scene(rng)
        written = write_expressions(regions, rng, per_region=3)
        assert len({expression.text for expression in written}) == len(written)
        assert max(Counter(expression.region for expression in written).values(), default=0) <= 3
        assert {expression.kind for expression in written} <= set(KINDS)


def test_every_kind_has_its_share() -> None:
    rng = np.random.default_rng(6)
    kinds = Counter(e.kind for _ in range(100) for e in write_expressions(scene(rng), rng, order=True))
    assert all(kinds[kind] >= 0.04 * kinds.total() for kind in KINDS), kinds


def test_two_expressions_of_a_region_are_of_different_kinds_where_they_can() -> None:
    kinds = [
        expression.kind
        for expression in write_expressions([box(5, 5, 20, 20, colour="red")], np.random.default_rng(0), 3)
    ]
    assert sorted(kinds) == ["category", "colour", "position"]


def test_nothing_is_said_twice_in_other_words() -> None:
    ships = [box(5, 40, 35, 70), box(60, 40, 70, 50)]
    for seed in range(20):
        words = [text.text for text in write_expressions(ships, np.random.default_rng(seed), 50) if text.region == 0]
        assert sum("largest" in text or "biggest" in text for text in words) == 1
        assert sum("leftmost" in text or "farthest" in text for text in words) == 1


def test_unknown_colours_write_no_colour_words() -> None:
    rng = np.random.default_rng(8)
    for _ in range(40):
        for expression in write_expressions(scene(rng, "none"), rng, per_region=5):
            assert expression.kind != "colour"
            assert not any(colour in expression.text for colour in COLOURS)


def test_an_unknown_colour_may_be_any_colour() -> None:
    ships = [box(5, 40, 25, 60, colour="red"), box(60, 40, 80, 60)]
    assert not [expression for expression in everything(ships) if expression.kind == "colour"]
    ships[1] = box(60, 40, 80, 60, colour="blue")
    assert {"the red ship", "the blue ship"} <= texts(ships)


def test_category_alone_needs_to_be_the_only_one() -> None:
    assert "the ship" in texts([box(5, 5, 20, 20), box(50, 50, 80, 80, "harbor")])
    assert "the ship" not in texts([box(5, 5, 20, 20), box(50, 50, 80, 80)])


def test_largest_needs_a_third_more_area() -> None:
    for width, clear in ((24, False), (28, True)):
        found = texts([box(10, 40, 10 + width, 60), box(60, 40, 80, 60)])
        assert ("the largest ship" in found) == clear, width
        assert ("the smallest ship" in found) == clear, width


def test_left_needs_its_margin_for_the_region_itself_and_for_the_others() -> None:
    for middle, clear in ((38, True), (42, False)):
        found = texts([box(middle - 4, 30, middle + 4, 50), box(80, 30, 90, 50)])
        assert ("the ship on the left" in found) == clear, middle
    for middle, clear in ((60, True), (52, False)):
        found = texts([box(10, 30, 20, 50), box(middle - 4, 30, middle + 4, 50)])
        assert ("the ship on the left" in found) == clear, middle


def test_a_region_across_the_image_is_on_no_side() -> None:
    found = texts([box(0, 40, 100, 60, "water")])
    assert not any("left" in text or "right" in text or "top" in text or "bottom" in text for text in found)


def test_center_is_not_said_of_a_frame() -> None:
    mask = np.ones((100, 100), bool)
    mask[15:85, 15:85] = False
    assert not any("center" in text or "middle" in text for text in texts([Region(mask, "water")]))
    assert "the ship in the center" in texts([box(40, 40, 60, 60)])


def test_left_of_needs_a_dominant_axis() -> None:
    for y, clear in ((40, True), (10, False), (0, False)):
        found = texts([box(20, y, 30, y + 20), box(60, 40, 80, 60, "harbor")])
        assert ("the ship left of the harbor" in found) == clear, y


def test_left_of_needs_separation() -> None:
    assert "the ship left of the harbor" not in texts([box(20, 40, 63, 60), box(60, 61, 99, 99, "harbor")])


def test_anchors_are_unique_by_their_own_description() -> None:
    ships = [box(5, 40, 15, 50), box(85, 40, 95, 50)]
    harbors = [box(40, 40, 50, 50, "harbor", "white"), box(40, 80, 50, 90, "harbor", "blue")]
    found = texts(ships + harbors)
    assert "the ship left of the white harbor" in found
    assert not any(text.endswith("the harbor") and text != "the harbor" for text in found)


def test_a_left_out_region_gets_no_expression_and_anchors_none_but_distracts() -> None:
    harbor, hidden = box(60, 40, 80, 60, "harbor"), box(5, 5, 12, 12, target=False)
    written = everything([box(20, 40, 30, 60), hidden, harbor])
    assert {expression.region for expression in written} == {0, 2}
    assert "the ship" not in {expression.text for expression in written}
    assert not any("the ship" in text.removeprefix("the ship") for text in texts([hidden, harbor]))


def test_twins_that_nothing_tells_apart_get_nothing() -> None:
    assert everything([box(46, 30, 52, 36), box(50, 37, 56, 43)]) == []


def test_mass_nouns_are_sized_by_their_area() -> None:
    found = texts([box(0, 0, 40, 40, "water"), box(60, 60, 70, 70, "water")])
    assert "the largest area of water" in found
    assert "the largest water" not in found


def test_positions_follow_the_image_and_not_its_pixels() -> None:
    small = [box(5, 5, 15, 15), box(60, 70, 90, 90)]
    large = [Region(np.kron(region.mask, np.ones((5, 5), bool)), region.category) for region in small]
    assert texts(small) == texts(large)


def test_geometry_is_that_of_the_pixels() -> None:
    rng = np.random.default_rng(9)
    for region in scene(rng) + scene(rng):
        y, x = np.nonzero(region.mask)
        height, width = region.mask.shape
        assert region.area == len(x)
        assert region.bbox == (x.min(), y.min(), x.max() + 1, y.max() + 1)
        assert region.centroid == pytest.approx((x.mean() + 0.5, y.mean() + 0.5))
        assert region.halves == pytest.approx(((x < width // 2).mean(), (y < height // 2).mean()))
        assert all(region.mask[int(py), int(px)] for px, py in region.extreme_points)


def test_masks_of_another_type_or_size_or_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"mask of region 'ship' is uint8 .* give an .H, W. bool array"):
        Region(np.ones((4, 4), np.uint8), "ship")
    with pytest.raises(ValueError, match="mask of region 'ship' is empty; leave the region out"):
        everything([Region(np.zeros((4, 4), bool), "ship")])
    with pytest.raises(ValueError, match=r"sizes \[\(4, 4\), \(100, 100\)\]"):
        everything([box(5, 5, 15, 15), Region(np.ones((4, 4), bool), "ship")])


def test_no_regions_no_expressions() -> None:
    assert everything([]) == []


def test_a_scene_of_twelve_takes_milliseconds() -> None:
    rng = np.random.default_rng(10)
    seconds = []
    for _ in range(20):
        regions = []
        for k in range(12):
            mask = np.zeros((256, 256), bool)
            y, x = 60 * (k // 4) + 10, 60 * (k % 4) + 5
            mask[y : y + int(rng.integers(5, 50)), x : x + int(rng.integers(5, 50))] = True
            regions.append(Region(mask, str(rng.choice(CATEGORIES)), str(rng.choice(COLOURS))))
        start = time.perf_counter()
        write_expressions(regions, rng)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1  # 0.002 on an idle core, 0.01 beside other work
