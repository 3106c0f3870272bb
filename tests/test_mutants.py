"""Planting the faults takes a quarter of an hour; that each still has its place is quickly seen."""

from __future__ import annotations

from tests.mutants import FAULTS, ROOT


def test_every_fault_has_one_place_and_tests_that_are_there() -> None:
    for fault in FAULTS:
        assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) == 1, fault
        assert fault.new != fault.old, fault
        for name in fault.tests.split():
            assert (ROOT / "tests" / name.split("::")[0]).exists(), fault
