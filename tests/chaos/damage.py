"""Damage, by chance: bytes flipped, cut, copied and made huge; fields of JSON lost, doubled and made something else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Damage = Callable[[np.random.Generator, bytes, bytes], bytes]  # chance, a file, another file -> what becomes of it

NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
WORDS = (
    *(
        b"\0" * 64,
        b"[" * 3000,
        b"{" * 3000,
        b'{"a":' * 3000,
        b"&a [*a, *a]",
        b"<!DOCTYPE x>",
        b"<a>" * 3000,
        b"\n" * 50,
    ),
    *(
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1",
        b"9" * 40,
        b"9" * 5000,
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"null",
        b"!!python/x",
    ),
    *(b"cos\nsystem\n(S'true'\ntR.", b"../../../etc/passwd", b'"', b"\\", b"'", b": ", b"- "),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 1e308, float("nan"), float("inf"), -0.5),
    *("", " ", "\0", "a" * 5000, "../x", "/etc/passwd", "\ud800", "<b>", [], {}, [[]], [None], [1e12] * 6, {"id": 1}),
    *(
        {"size": [1, 1], "counts": "0" * 99},
        {"size": [10**6, 10**6], "counts": [10**12]},
        {"size": [-1, 2], "counts": []},
    ),
)


def damaged(rng: np.random.Generator, content: bytes, other: bytes, structured: bool) -> bytes:
    """A file that was damaged in one to four places. structured: whether it is JSON, of which fields change, too."""
    kinds: Sequence[Damage] = (_flip, _cut, _splice, _number, _word, _zero, _drop, _repeat)
    if structured and rng.random() < 0.7:
        content = _fields(rng, content)
        kinds = () if rng.random() < 0.8 else kinds
    for _ in range(int(rng.integers(1, 5)) if kinds else 0):
        content = kinds[int(rng.integers(len(kinds)))](rng, content, other)
    return content


def _place(rng: np.random.Generator, content: bytes) -> int:
    """Anywhere, but heads more often: that is where sizes stand."""
    end = len(content) if rng.random() < 0.5 else min(len(content), 256)
    return int(rng.integers(end + 1))


def _flip(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    found = bytearray(content)
    for _ in range(int(rng.integers(1, 9)) if found else 0):
        found[min(_place(rng, content), len(found) - 1)] ^= 1 << int(rng.integers(8))
    return bytes(found)


def _cut(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    return content[: _place(rng, content)]


def _splice(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    start, length = _place(rng, other), int(rng.integers(1, 200))
    at = _place(rng, content)
    return content[:at] + other[start : start + length] + content[at + (length if rng.random() < 0.5 else 0) :]


def _number(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    size = int(rng.choice([1, 2, 4, 8]))
    value = NUMBERS[int(rng.integers(len(NUMBERS)))] % (1 << 8 * size)
    at = _place(rng, content)
    return content[:at] + value.to_bytes(size, "big" if rng.random() < 0.5 else "little") + content[at + size :]


def _word(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    at = _place(rng, content)
    return content[:at] + WORDS[int(rng.integers(len(WORDS)))] + content[at:]


def _zero(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    at, length = _place(rng, content), int(rng.integers(1, 64))
    return content[:at] + b"\0" * length + content[at + length :]


def _drop(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    at = _place(rng, content)
    return content[:at] + content[at + int(rng.integers(1, 64)) :]


def _repeat(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    at = _place(rng, content)
    return content[:at] + content[at : at + 100] * int(rng.integers(2, 40)) + content[at:]


def _fields(rng: np.random.Generator, content: bytes) -> bytes:
    """JSON, or lines of it, with one to three fields lost, doubled, changed places or made something else."""
    lines = content.splitlines()
    try:
        whole = [json.loads(content)]
    except ValueError:
        whole = [json.loads(line) for line in lines]
    for _ in range(int(rng.integers(1, 4))):
        places = list(_containers(whole))
        container = places[int(rng.integers(len(places)))]
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        if not keys:
            continue
        key, kind = keys[int(rng.integers(len(keys)))], int(rng.integers(6))
        if kind == 0 and container is not whole:
            del container[key]
        elif kind == 1 and isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        elif kind == 2:
            other = keys[int(rng.integers(len(keys)))]
            container[key], container[other] = container[other], container[key]
        else:
            container[key] = copy.deepcopy(VALUES[int(rng.integers(len(VALUES)))])
    return "\n".join(json.dumps(one) for one in whole).encode()


def _containers(value: Any) -> Any:
    if isinstance(value, list | dict):
        yield value
        for part in value.values() if isinstance(value, dict) else value:
            yield from _containers(part)
