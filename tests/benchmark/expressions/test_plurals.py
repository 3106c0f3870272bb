from __future__ import annotations

import pytest

from benchmark.expressions.plurals import plural


def test_every_kind_of_noun_has_its_plural(subtests: pytest.Subtests) -> None:
    for noun, many in (
        ("ship", "ships"),
        ("storage tank", "storage tanks"),
        ("expressway service area", "expressway service areas"),
        ("baseball field", "baseball fields"),
        ("bus", "buses"),
        ("white bus", "white buses"),
        ("bridge", "bridges"),
        ("factory", "factories"),
        ("highway", "highways"),
        ("train station", "train stations"),
        ("overpass", "overpasses"),
        ("crosswalk", "crosswalks"),
        ("bench", "benches"),
        ("box", "boxes"),
        ("car wash", "car washes"),
        ("fly", "flies"),
        ("aircraft", "aircraft"),
        ("person", "people"),
        ("green vegetation", "areas of green vegetation"),
    ):
        with subtests.test(noun):
            assert plural(noun) == many
