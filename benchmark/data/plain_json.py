"""JSON as people give it: a key that is there twice is a fault, where the last would count in silence."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


def load_json(content: bytes | str) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError, RecursionError: no JSON; a key is there twice in one object.
    """
    return json.loads(content, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r} is there twice in one object; give each once")
    return found
