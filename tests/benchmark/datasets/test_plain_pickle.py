from __future__ import annotations

import os
import pickle
import struct
import subprocess
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.datasets.plain_pickle import read_plain_pickle
from benchmark.samples import SampleError

REFS = [
    {
        "image_id": 2934,
        "split": "train",
        "sentences": [{"tokens": ["a", "dam"], "raw": "a dam", "sent_id": 2934, "sent": "a däm"}],
        "file_name": "02934.jpg",
        "sent_ids": [2934, 2**40, -1],
        "other": (None, True, False, 1.5, b"", float("inf")),
    }
] * 50


class Runs:
    """What a malicious file does: opening it with the standard library runs a command."""

    def __init__(self, how: Any, *arguments: Any) -> None:
        self.call = (how, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_is_read_as_the_standard_library_would(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "refs.p"
    plain = [{key: value for key, value in ref.items() if key != "other"} for ref in REFS] if protocol == 2 else REFS
    path.write_bytes(pickle.dumps(plain, protocol=protocol))
    assert read_plain_pickle(path) == plain


def test_text_pickles_and_strings_of_python_2_are_read(tmp_path: Path) -> None:
    path = tmp_path / "refs.p"
    path.write_bytes(b"(lp0\n(dp1\nS'sent'\np2\nS'a ship'\np3\nsS'id'\nI7\nsa.")
    assert read_plain_pickle(path) == [{"sent": "a ship", "id": 7}]
    path.write_bytes(b"\x80\x02U\x04d\xc3\xa4mq\x00.")
    assert read_plain_pickle(path) == "däm"


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {mark}"),
        (subprocess.call, ["touch", "{mark}"]),
        (eval, "open({mark!r}, 'w')"),
        (exec, "open({mark!r}, 'w')"),
        (partial, os.system, "touch {mark}"),
    ],
    ids=["os.system", "subprocess", "eval", "exec", "partial"],
)
def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path: Path, call: tuple[Any, ...], protocol: int) -> None:
    mark = tmp_path / "mark"

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(part) for part in value]
        return (
            value.replace("{mark!r}", repr(str(mark))).replace("{mark}", str(mark)) if isinstance(value, str) else value
        )

    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps([*REFS[:1], Runs(*map(filled, call))], protocol=protocol))
    pattern = r"refs\(unc\)\.p: byte \d+: instruction (GLOBAL|STACK_GLOBAL).*could run a program"
    with pytest.raises(SampleError, match=pattern):
        read_plain_pickle(path)
    assert not mark.exists()


def test_the_malicious_pickle_of_these_tests_would_really_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(Runs(os.system, f"touch {mark}")))  # noqa: S301 that is the point
    assert mark.exists()


HOSTILE = {
    "an object": pickle.dumps(Path("x")),
    "a numpy scalar": pickle.dumps(np.float64(1)),
    "an ordered dictionary": pickle.dumps(OrderedDict(a=1)),
    "a persistent id": b"(S'a'\nP1\n.",
    "a binary persistent id": b"\x80\x04K\x01Q.",
    "an extension": b"\x80\x02\x82\x01.",
    "an instance": b"(S'ls'\nios\nsystem\n.",
    "an object by mark": b"(cos\nsystem\nS'ls'\no.",
    "a call without a name": b"\x80\x04]]R.",
    "a state": b"\x80\x04]]b.",
    "a buffer from outside": b"\x80\x05\x97.",
    "a huge memo": b"\x80\x02]r\xff\xff\xff\x7f.",
    "a huge memo in text": b"]p999999999\n.",
    "a huge frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b".",
    "a huge string": b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b".",
    "a huge number": b"I" + b"9" * 5_000 + b"\n.",
    "a long number": b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",
    "marks only": b"(" * 10_000 + b".",
    "nothing": b"",
    "no pickle": b"PK\x03\x04 this is a zip archive",
    "a page of HTML": b"<!DOCTYPE html><title>Quota exceeded</title>",
    "half of a pickle": pickle.dumps(REFS)[:200],
    "broken UTF-8": b"\x80\x02U\x02\xff\xfe.",
    "an empty stack": b"\x80\x02.",
    "a key that is a list": b"\x80\x02}]K\x01s.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_everything_else_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "refs.p"
    path.write_bytes(content)
    with pytest.raises(SampleError, match=r"refs\.p.*(fetch it again|anew)"):
        read_plain_pickle(path)


def test_mutated_pickles_never_get_further_than_a_clear_error(tmp_path: Path) -> None:
    rng, whole, path = np.random.default_rng(0), pickle.dumps(REFS[:2], protocol=2), tmp_path / "refs.p"
    refused = 0
    for _ in range(500):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), size=3):
            content[place] = rng.integers(0, 256)
        path.write_bytes(bytes(content))
        try:
            read_plain_pickle(path)
        except SampleError:
            refused += 1
    assert refused > 200


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"refs\.p does not exist"):
        read_plain_pickle(tmp_path / "refs.p")
