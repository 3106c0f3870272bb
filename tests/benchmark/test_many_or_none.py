from __future__ import annotations

import numpy as np
import pytest

from benchmark.datasets.synthetic import draw_scene
from benchmark.datasets.synthetic_objects import KINDS
from benchmark.expressions import Region
from benchmark.many_or_none import plural, write_absent, write_multiple

SIDE = 100
VOCABULARY = tuple(KINDS)


def block(
    x: int, y: int, category: str = "ship", colour: str | None = None, target: bool = True, size: int = 8
) -> Region:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[y : y + size, x : x + size] = True
    return Region(mask, category, colour, target)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def every_group(regions: list[Region]) -> dict[str, tuple[int, ...]]:
    """What many draws write for a scene."""
    return {e.text: e.regions for seed in range(60) for e in write_multiple(regions, rng(seed), 50)}


def every_absent(regions: list[Region], vocabulary: tuple[str, ...] = ()) -> dict[str, str]:
    return {e.text: e.kind for seed in range(60) for e in write_absent(regions, vocabulary, rng(seed), 50)}


# ---------------------------------------------------------------------------------------------------- several


def test_a_group_is_exactly_what_its_words_mean() -> None:
    groups = every_group([block(5, 40), block(15, 10), block(80, 40), block(60, 80, "tank")])
    assert groups["all ships"] == groups["the three ships"] == (0, 1, 2)
    assert groups["all the ships on the left"] == groups["the two ships on the left"] == (0, 1)
    assert not any("right" in text for text in groups if "ships" in text and "tank" not in text)


def test_a_group_has_two_members_at_least() -> None:
    assert write_multiple([block(5, 5), block(60, 60, "tank")], rng(), 9) == []
    assert write_multiple([], rng(), 9) == []
    assert write_multiple([block(5, 5), block(60, 60)], rng(), 0) == []


def test_a_crumb_or_a_crowd_that_the_words_may_mean_spoils_the_group() -> None:
    scene = [block(5, 40), block(15, 10), block(80, 40, target=False)]
    groups = every_group(scene)
    assert not {"all ships", "the two ships", "the three ships"} & set(groups)
    assert groups["the two ships on the left"] == (0, 1)


def test_a_region_that_may_or_may_not_be_meant_spoils_the_group() -> None:
    assert "all ships on the left" in every_group([block(5, 40), block(15, 10), block(80, 40)])
    assert not any("left" in text for text in every_group([block(5, 40), block(15, 10), block(43, 40)]))


def test_colours_make_groups_of_their_own() -> None:
    groups = every_group([block(5, 5, colour="red"), block(80, 5, colour="red"), block(40, 80, colour="white")])
    assert groups["all red ships"] == (0, 1)
    assert groups["all ships"] == (0, 1, 2)
    unknown = every_group([block(5, 5, colour="red"), block(80, 5, colour="red"), block(40, 80)])
    assert all("red" not in text for text, members in unknown.items() if 2 in members)


def test_groups_beside_something_name_what_is_alone_of_its_kind() -> None:
    groups = every_group([block(5, 40), block(20, 45), block(50, 42, "harbor"), block(85, 42)])
    beside = {text: members for text, members in groups.items() if "harbor" in text}
    assert beside["all ships left of the harbor"] == (0, 1)
    assert any(text.endswith("that are to the left of the harbor") for text in beside)


def test_more_than_ten_are_not_counted() -> None:
    scene = [block(8 * k % 96, 12 * (k // 12) + 10, size=5) for k in range(12)]
    assert {text.split(" ")[0] for text in every_group(scene)} == {"all"}


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("ship", "ships"),
        ("storage tank", "storage tanks"),
        ("white bus", "white buses"),
        ("overpass", "overpasses"),
        ("factory", "factories"),
        ("highway", "highways"),
        ("bench", "benches"),
        ("water", "areas of water"),
        ("aircraft", "aircraft"),
    ],
)
def test_plurals(noun: str, many: str) -> None:
    assert plural(noun) == many


# ---------------------------------------------------------------------------------------------------- none


def test_a_category_that_is_not_there_is_missed_and_one_that_is_there_is_not() -> None:
    absent = every_absent([block(5, 5, "ship")], ("ship", "harbor"))
    assert absent["the harbor"] == "category"
    assert "the ship" not in absent


def test_a_crumb_is_there_as_well() -> None:
    assert not any("harbor" in text for text in every_absent([block(5, 5, "harbor", target=False)], ("harbor",))
                   if text.endswith("harbor"))  # fmt: skip


def test_what_is_there_is_missed_only_where_it_surely_is_not() -> None:
    absent = every_absent([block(80, 45)])
    assert absent["the ship on the left"] == "position"
    assert not any("right" in text and "left" not in text for text in absent if "corner" not in text)
    middle = every_absent([block(42, 45)])  # nobody can say whether that is on the left
    assert not any(text.endswith(("on the left", "on the left side of the image")) for text in middle)


def test_a_colour_is_missed_only_where_all_colours_are_known() -> None:
    red_tank = block(40, 80, "tank", "red")
    assert every_absent([block(5, 5, colour="white"), red_tank])["the red ship"] == "colour"
    assert "the red ship" not in every_absent([block(5, 5, colour=None), red_tank])
    assert "the red ship" not in every_absent([block(5, 5, colour="red"), red_tank])


def test_an_empty_scene_misses_everything() -> None:
    assert set(every_absent([], ("ship",))) <= {"the ship", "the ship in the image"}
    assert write_absent([], ("ship",), rng(), 0) == []


# --------------------------------------------------------------------------- an independent look at drawn scenes


def meant(text: str, regions: list[Region]) -> set[int]:
    """The regions that a sentence without relation means, judged by plain halves and without any margin."""
    found = set()
    for index, region in enumerate(regions):
        nouns = {region.category, plural(region.category)}
        if not any(f" {noun} " in f" {text} " for noun in nouns):
            continue
        colours = {other.colour for other in regions if other.colour} & set(text.split())
        if colours and region.colour not in colours:
            continue
        ys, xs = np.nonzero(region.mask)
        x, y = (xs.mean() + 0.5) / region.mask.shape[1], (ys.mean() + 0.5) / region.mask.shape[0]
        words = {("upper" if w == "top" else "lower" if w == "bottom" else w) for w in text.split()}
        half = 0.42 if "corner" in words else 0.5
        wrong = ("left" in words and x > half) or ("right" in words and 1 - x > half)
        wrong |= ("upper" in words and y > half) or ("lower" in words and 1 - y > half)
        wrong |= bool({"center", "middle"} & words) and max(abs(x - 0.5), abs(y - 0.5)) > 0.25
        if not wrong:
            found.add(index)
    return found


def test_on_drawn_scenes_groups_are_what_an_independent_reading_finds_and_the_absent_are_nowhere() -> None:
    groups = absent = 0
    for seed in range(40):
        regions = list(draw_scene(rng(seed), 128).regions)
        for group in write_multiple(regions, rng(seed), 6):
            if group.kind != "relation":
                assert meant(group.text, regions) == set(group.regions), group.text
                groups += 1
        for expression in write_absent(regions, VOCABULARY, rng(seed), 6):
            if expression.kind != "relation":
                assert meant(expression.text, regions) == set(), expression.text
                absent += 1
    assert groups > 60
    assert absent > 100


def test_the_same_state_gives_the_same_texts_and_texts_are_distinct() -> None:
    for seed in range(10):
        regions = list(draw_scene(rng(seed), 128).regions)
        groups = [write_multiple(regions, rng(seed), 5) for _ in range(2)]
        absent = [write_absent(regions, VOCABULARY, rng(seed), 5) for _ in range(2)]
        assert groups[0] == groups[1]
        assert absent[0] == absent[1]
        texts = [e.text for e in (*groups[0], *absent[0])]
        assert len(set(texts)) == len(texts)
        assert len(groups[0]) <= 5
        assert len(absent[0]) <= 5
