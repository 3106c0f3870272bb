"""Whether images come fast enough for what learns from them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
LONG = 0.03  # of a training's time; more is worth a thread


class Feed(Generic[T]):
    """Batches as they come, and what was waited for them.

    On a GPU, which goes on with the step before, this is the most that it can have waited.

    Attributes:
        waited: seconds.
        seconds: from when the first was asked for until there was none left.
    """

    def __init__(self, batches: Iterable[T]) -> None:
        self._batches = batches
        self.waited = self.seconds = 0.0

    def __iter__(self) -> Iterator[T]:
        batches, started = iter(self._batches), time.perf_counter()
        while True:
            asked = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                self.seconds = time.perf_counter() - started
                return
            self.waited += time.perf_counter() - asked
            yield batch

    def said(self) -> str:
        """For the line of an epoch: the share of its time, and what helps."""
        if not self.waited:
            return ""
        share = self.waited / self.seconds
        return f", waited {share:.1%} of its steps' time for images" + (
            " (more loader.workers may help)" if share > LONG else ""
        )
