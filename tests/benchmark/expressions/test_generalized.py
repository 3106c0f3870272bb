"""Groups and what is absent, written and read again by plain_reading, which shares nothing with what wrote."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from benchmark.datasets.synthetic import SPEC, draw_scene
from benchmark.expressions.generalized import (
    DECEPTIVE,
    AbsentExpression,
    GroupExpression,
    write_absent,
    write_multiple,
)
from benchmark.expressions.regions import Region, pieces
from tests.benchmark.expressions.plain_reading import PLURALS, VOCABULARY, box, meant, scene, spot


def groups(regions: list[Region]) -> dict[str, tuple[int, ...]]:
    """Nearly every group that may be written."""
    seeds = [np.random.default_rng(seed) for seed in range(120)]
    return {group.text: group.regions for rng in seeds for group in write_multiple(regions, rng, 200)}


def absents(regions: list[Region], vocabulary: tuple[str, ...] = ()) -> dict[str, str]:
    """Nearly everything that may be missed, with its kind."""
    seeds = [np.random.default_rng(seed) for seed in range(150)]
    return {missed.text: missed.kind for rng in seeds for missed in write_absent(regions, vocabulary, rng, 200)}


# ------------------------------------------------------------------------------------- an independent look at scenes


def test_a_group_is_all_that_its_words_mean_and_of_targets_only(subtests: pytest.Subtests) -> None:
    for seed, colours in enumerate(("all", "some", "none")):
        with subtests.test(colours):
            rng, kinds = np.random.default_rng(seed), Counter[str]()
            for _ in range(100):
                regions = scene(rng, colours)
                for group in write_multiple(regions, rng, 8):
                    members, number = meant(group.text, regions)
                    assert members == set(group.regions), (group, [(r.category, r.colour, r.bbox) for r in regions])
                    assert number in (0, len(members)), group
                    assert len(members) >= 2
                    assert list(group.regions) == sorted(group.regions)
                    assert all(regions[k].target for k in members), group
                    kinds[group.kind] += 1
            assert kinds.total() > 100
            assert set(kinds) == {"category", "position", "relation"} | ({"colour"} if colours != "none" else set())


def test_what_is_absent_is_meant_by_no_word(subtests: pytest.Subtests) -> None:
    for seed, colours in enumerate(("all", "some", "none")):
        with subtests.test(colours):
            rng, kinds = np.random.default_rng(seed), Counter[str]()
            for _ in range(70):
                regions = scene(rng, colours)
                for missed in write_absent(regions, VOCABULARY, rng, 8):
                    assert meant(missed.text, regions) == (set(), 0), (missed, [(r.category, r.bbox) for r in regions])
                    there = any(region.category == missed.category for region in regions)
                    assert there == (missed.kind != "category"), missed
                    kinds[missed.kind] += 1
            assert kinds.total() > 280
            assert set(kinds) == {"category", "position", "relation"} | ({"colour"} if colours != "none" else set())


def test_drawn_scenes_get_both_in_nearly_every_wording() -> None:
    seen, several, deceived = set(), 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        regions = draw_scene(rng, 128).regions
        written = write_multiple(regions, rng, 3)
        several += bool(written)
        missed = write_absent(regions, SPEC.categories, rng, 3)
        deceived += any(expression.kind != "category" for expression in missed)
        seen |= {word for expression in (*written, *missed) for word in expression.text.split()}
    assert several > 26
    assert deceived > 33
    assert seen >= set("all the two three left right top bottom above below next beside corner image are is".split())


# ------------------------------------------------------------------------------------------------ several regions


def test_ships_are_all_ships_and_counted_in_words() -> None:
    found = groups([spot(10, 40), spot(20, 10), spot(85, 40), spot(60, 80, "bus")])
    for text in ("all ships", "all the ships", "the ships", "the three ships", "all ships in the image"):
        assert found[text] == (0, 1, 2)
    assert found["all the ships on the left"] == found["the two ships on the left"] == (0, 1)
    assert not any("right" in text or "bus" in text for text in found)
    assert not any("two" in text for text, members in found.items() if len(members) != 2)


def test_up_to_ten_are_counted() -> None:
    for size, word in ((2, "two"), (9, "nine"), (10, "ten")):
        assert f"the {word} ships" in groups([spot(9 * k + 5, 50) for k in range(size)])


def test_more_than_ten_are_all_and_not_counted() -> None:
    found = groups([spot(9 * (k % 6) + 5, 50 + 20 * (k // 6)) for k in range(11)])
    assert "all ships" in found
    assert {text.split()[0] for text, members in found.items() if len(members) > 10} == {"all"}


def test_a_region_that_is_no_target_spoils_every_group_that_it_is_in() -> None:
    for hidden in (0, 90):
        found = groups([spot(10, 20), spot(20, 80), spot(hidden + 5, hidden + 5, target=False)])
        assert not {"all ships", "the ships", "the two ships", "the three ships"} & set(found), hidden
        assert ("all ships on the left" in found) == (hidden > 50), hidden


def test_a_region_that_may_or_may_not_be_meant_spoils_the_group() -> None:
    assert groups([spot(10, 20), spot(20, 80), spot(60, 50)])["all ships on the left"] == (0, 1)
    unclear = groups([spot(10, 20), spot(20, 80), spot(48, 50)])
    assert "all ships" in unclear
    assert not any("left" in text for text in unclear)


def test_a_crowd_is_no_bystander_where_a_part_of_it_may_be_meant() -> None:
    ships = [spot(10, 20), spot(20, 80)]
    crowd = box(40, 40, 100, 60, target=False)  # two thirds of it are on the right, but ships of it may be on the left
    assert not any("on the left" in text for text in groups([*ships, crowd, *pieces(crowd)]))
    assert "all ships on the left" in groups([*ships, box(55, 40, 100, 60, target=False)])
    assert "the ship on the left" not in absents([crowd, *pieces(crowd)])
    assert "the ship on the left" in absents([box(55, 40, 100, 60, target=False)])


def test_an_unknown_colour_may_be_any_colour() -> None:
    reds = [spot(10, 20, colour="red"), spot(20, 80, colour="red")]
    assert groups([*reds, spot(90, 50, colour="blue")])["all red ships"] == (0, 1)
    assert "the two red ships" in groups(reds)
    assert not any("red" in text for text, members in groups([*reds, spot(30, 50)]).items() if members)


def test_a_group_beside_a_place_that_is_named_alone() -> None:
    ships = [spot(10, 45), spot(20, 55), spot(90, 50)]
    found = groups([*ships, spot(60, 50, "harbor")])
    assert found["the two ships left of the harbor"] == found["all ships that are to the left of the harbor"] == (0, 1)
    two = groups([*ships, spot(60, 50, "harbor", "red"), spot(60, 90, "harbor", "blue")])
    assert "all ships left of the red harbor" in two
    assert not any(text.endswith(("of the harbor", "above the harbor", "to the harbor")) for text in two)
    hidden = groups([*ships, spot(60, 50, "harbor", target=False)])
    assert not any("harbor" in text for text in hidden)


def test_superlatives_are_left_to_one_region() -> None:
    regions = [box(5, 5, 35, 35), box(60, 5, 90, 35), spot(50, 90), spot(20, 90, "harbor")]
    texts = " ".join([*groups(regions), *absents(regions)])
    assert not re.search("largest|biggest|smallest|most|closest|nearest|farthest", texts)


def test_mass_nouns_come_in_areas() -> None:
    found = groups([spot(10, 20, "water", "blue"), spot(20, 80, "water", "blue"), spot(90, 50, "water")])
    assert found["all areas of water"] == found["the three areas of water"] == (0, 1, 2)
    assert "the two areas of water on the left" in found
    assert not any("waters" in text for text in found)
    blue = [spot(10, 20, "water", "blue"), spot(20, 80, "water", "blue"), spot(90, 50, "water", "brown")]
    assert "all areas of blue water" in groups(blue)
    missed = absents(blue[:2])
    assert "the water on the right" in missed
    assert any(text.startswith("all areas of water ") for text in missed)


def test_kinds_and_groups_differ_where_they_can() -> None:
    regions = [spot(10, 20, colour="red"), spot(20, 80, colour="red"), spot(90, 30), spot(85, 70)]
    regions += [spot(50, 50, "harbor")]
    for seed in range(20):
        written = write_multiple(regions, np.random.default_rng(seed), 3)
        assert len({group.kind for group in written}) == len(written) == 3
        assert len({group.regions for group in written}) >= 2


def test_nothing_is_said_twice_in_other_words() -> None:
    regions = [spot(10, 20), spot(20, 80)]
    for seed in range(20):
        written = write_multiple(regions, np.random.default_rng(seed), 50)
        places = [re.sub("^.*ships", "", group.text) for group in written]
        assert sum(place in ("", " in the image") for place in places) == 1
        assert sum("left" in place for place in places) == 1


# ---------------------------------------------------------------------------------------------------------- nothing


def test_a_category_is_missed_if_no_region_has_it_target_or_not() -> None:
    found = absents([spot(10, 50), spot(90, 50, "bus", target=False)], ("ship", "bus", "harbor"))
    assert {text for text, kind in found.items() if kind == "category"} <= {
        *("the harbor", "the harbors", "all harbors", "all the harbors"),
        *(f"{lead} in the image" for lead in ("the harbor", "the harbors", "all harbors", "all the harbors")),
    }
    assert found["the harbor"] == found["all harbors"] == "category"


def test_a_place_is_empty_only_where_every_region_surely_is_elsewhere() -> None:
    assert absents([spot(85, 30), spot(70, 70)])["the ship on the left"] == "position"
    assert "the ship on the left" not in absents([spot(85, 30), spot(48, 50)])
    assert "the ship on the left" not in absents([spot(85, 30), spot(48, 50, target=False)])
    assert not any(text.endswith("on the left") for text in absents([spot(85, 30), spot(10, 50)]))


def test_a_place_is_empty_of_what_is_there_only() -> None:
    found = absents([spot(85, 30, colour="red"), spot(10, 30, "bus", "white")])
    assert "the red ship on the left" in found
    assert {kind for text, kind in found.items() if "white ship" in text} == {"colour"}


def test_a_colour_is_missed_only_where_all_colours_are_known() -> None:
    tank = spot(40, 80, "storage tank", "red")
    found = absents([spot(10, 10, colour="white"), tank])
    assert found["the red ship"] == found["the white storage tank"] == "colour"
    assert "the red ship" not in absents([spot(10, 10), tank])
    assert "the red ship" not in absents([spot(10, 10, colour="white"), spot(50, 10, target=False), tank])
    assert "the red ship" not in absents([spot(10, 10, colour="red"), tank])


def test_nothing_is_missed_beside_itself() -> None:
    found = absents([spot(10, 50, colour="red"), spot(90, 50, "harbor")])
    assert "the ship right of the harbor" in found
    for text in found:
        assert not re.search(r"ships?\b.+\bship", text), text
    assert "the ship left of the red ship" in absents([spot(10, 50, colour="red"), spot(90, 50, colour="blue")])


def test_names_of_the_same_object_are_not_missed() -> None:
    regions = [spot(90, 50, "bus"), spot(85, 20, "ship")]
    names: dict[str, tuple[str, ...]] = {"vehicle": ("bus", "car"), "bus": (), "boat": (), "ship": ("boat",), "dam": ()}
    written = [m for seed in range(40) for m in write_absent(regions, names, np.random.default_rng(seed), 100)]
    assert {missed.category for missed in written if missed.kind == "category"} == {"dam"}
    assert "the bus on the left" in {missed.text for missed in written}
    regions.append(spot(10, 50, "vehicle"))
    written = [m for seed in range(40) for m in write_absent(regions, names, np.random.default_rng(seed), 100)]
    texts = {missed.text for missed in written}
    assert "the bus on the left" not in texts
    assert "the ship on the left" in texts
    assert not [text for text in texts if re.search(" the .*(bus|vehicle)$", text)], "an anchor with two readings"


def test_the_number_does_not_give_the_absent_away() -> None:
    rng = np.random.default_rng(2)
    written = [m for _ in range(60) for m in write_absent(scene(rng), VOCABULARY, rng, 6)]
    forms = {category: many.removesuffix(" water") for category, many in PLURALS.items()}
    several = sum(f" {forms[missed.category]} " in f" {missed.text} " for missed in written)
    assert 0.3 < several / len(written) < 0.5


def test_the_deceptive_have_their_share() -> None:
    names = [f"thing {k}" for k in range(50)]
    regions = [spot(10, 20, colour="red"), spot(85, 80, "harbor", "white")]
    kinds = Counter(
        missed.kind for seed in range(300) for missed in write_absent(regions, names, np.random.default_rng(seed), 3)
    )
    assert kinds.total() == 900
    assert abs(1 - kinds["category"] / kinds.total() - DECEPTIVE) < 0.06
    assert all(kinds[kind] > 100 for kind in ("colour", "position", "relation"))


# ------------------------------------------------------------------------------------------------------ either of them


def test_the_same_state_writes_the_same_and_another_something_else() -> None:
    regions = draw_scene(np.random.default_rng(3), 128).regions

    def written(seed: int) -> list[GroupExpression | AbsentExpression]:
        rng = np.random.default_rng(seed)
        return [*write_multiple(regions, rng, 2), *write_absent(regions, VOCABULARY, rng, 4)]

    assert len(written(1)) == 6
    assert written(1) == written(1)
    assert written(1) != written(2)


def test_the_vocabulary_has_no_order() -> None:
    regions = scene(np.random.default_rng(3))
    there, back = (
        write_absent(regions, names, np.random.default_rng(0), 6) for names in (VOCABULARY, VOCABULARY[::-1])
    )
    assert there == back


def test_texts_of_a_scene_are_distinct_and_no_more_than_asked_for() -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        regions, count = scene(rng), int(rng.integers(1, 30))
        several, missed = write_multiple(regions, rng, count), write_absent(regions, VOCABULARY, rng, count)
        assert max(len(several), len(missed)) <= count
        texts = [expression.text for expression in (*several, *missed)]
        assert len(set(texts)) == len(texts)


def test_a_count_of_nought_writes_nothing_and_leaves_the_generator_alone() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert write_multiple([spot(10, 10), spot(90, 90)], rng, 0) == []
    assert write_absent([spot(10, 10)], VOCABULARY, rng, 0) == []
    assert rng.bit_generator.state == before


def test_an_empty_scene_has_no_group_and_misses_everything() -> None:
    assert groups([]) == {}
    written = write_absent([], VOCABULARY, np.random.default_rng(0), 100)
    assert sorted(missed.category for missed in written) == sorted(VOCABULARY)
    assert absents([]) == {}


def test_one_region_is_no_group_and_is_missed_where_it_is_not() -> None:
    assert groups([spot(10, 10)]) == {}
    found = absents([spot(10, 10)])
    assert "the ship on the right" in found
    assert set(found.values()) == {"position"}


def test_masks_of_different_sizes_or_of_nothing_are_refused() -> None:
    regions, rng = [spot(10, 10), Region(np.ones((4, 4), bool), "ship")], np.random.default_rng(0)
    for write in (lambda: write_multiple(regions, rng, 1), lambda: write_absent(regions, (), rng, 1)):
        with pytest.raises(ValueError, match=r"sizes \[\(4, 4\), \(100, 100\)\]"):
            write()
    with pytest.raises(ValueError, match="mask of region 'ship' is empty; leave the region out"):
        write_multiple([spot(10, 10), Region(np.zeros((100, 100), bool), "ship")], np.random.default_rng(0), 1)
