from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from experiments.training.feed import Feed


def test_waiting_is_told_from_learning_and_only_much_of_it_gets_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def batches(seconds: float) -> Iterator[int]:
        for number in range(5):
            now[0] += seconds
            yield number

    for seconds, share, advised in ((1.0, "10.0%", True), (0.1, "1.1%", False)):
        feed = Feed(batches(seconds))
        learnt = []
        for number in feed:
            now[0] += 9.0
            learnt.append(number)
        assert learnt == list(range(5))
        assert f"waited {share}" in feed.said()
        assert ("loader.workers" in feed.said()) == advised
    assert Feed([]).said() == ""
