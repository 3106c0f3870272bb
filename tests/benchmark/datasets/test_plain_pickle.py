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

from benchmark.data.samples import SampleError
from benchmark.datasets import plain_pickle
from benchmark.datasets.plain_pickle import read_plain_pickle
from benchmark.datasets.refer import read_refs

REFS = [
    {
        "image_id": 2934,
        "split": "train",
        "sentences": [{"tokens": ["a", "dam"], "raw": "a dam", "sent_id": 2934, "sent": "a däm"}],
        "file_name": "02934.jpg",
        "sent_ids": [2934, 2**40, -1],
        "other": [None, True, False, 1.5, b"", float("inf")],
    }
] * 50


class Runs:
    """What a malicious file does: opening it with the standard library runs a command."""

    def __init__(self, how: Any, *arguments: Any) -> None:
        self.call = (how, arguments)

    def __reduce__(self) -> Any:
        return self.call


def test_plain_data_is_read_as_the_standard_library_would(tmp_path: Path, subtests: pytest.Subtests) -> None:
    path = tmp_path / "refs.p"
    for protocol in (2, 3, 4, 5):
        with subtests.test(f"protocol {protocol}"):
            # of bytes, protocol 2 makes a call
            plain = [{key: ref[key] for key in ref if key != "other"} for ref in REFS] if protocol == 2 else REFS
            path.write_bytes(pickle.dumps(plain, protocol=protocol))
            assert read_plain_pickle(path) == plain


def test_text_pickles_and_strings_of_python_2_are_read(tmp_path: Path) -> None:
    path = tmp_path / "refs.p"
    path.write_bytes(b"(lp0\n(dp1\nS'sent'\np2\nS'a ship'\np3\nsS'id'\nI7\nsa.")
    assert read_plain_pickle(path) == [{"sent": "a ship", "id": 7}]
    path.write_bytes(b"\x80\x02U\x04d\xc3\xa4mq\x00.")
    assert read_plain_pickle(path) == "däm"


def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path: Path, subtests: pytest.Subtests) -> None:
    mark, path = tmp_path / "mark", tmp_path / "refs(unc).p"
    shell = (os.system, f"touch {mark}")
    calls: list[tuple[int, tuple[Any, ...]]] = [(protocol, shell) for protocol in range(6)]
    calls += [(4, (subprocess.call, ["touch", str(mark)])), (4, (partial, *shell))]
    calls += [(4, (eval, f"open({str(mark)!r}, 'w')")), (4, (exec, f"open({str(mark)!r}, 'w')"))]
    pattern = r"refs\(unc\)\.p: byte \d+: instruction (GLOBAL|STACK_GLOBAL).*could run a program"
    for protocol, call in calls:
        with subtests.test(f"{call[0]}, protocol {protocol}"):
            path.write_bytes(pickle.dumps([*REFS[:1], Runs(*call)], protocol=protocol))
            with pytest.raises(SampleError, match=pattern):
                read_plain_pickle(path)
            assert not mark.exists()


def test_the_malicious_pickle_of_these_tests_would_really_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(Runs(os.system, f"touch {mark}")))
    assert mark.exists()


def doubled(first: bytes, before: bytes, after: bytes) -> bytes:
    """Protocol 4: 40 times twice the one before, in a few bytes each."""
    return b"\x80\x04" + first + b"".join(before + b"h%ch%c" % (k, k) + after for k in range(40))


LISTS = doubled(b"]\x94", b"(", b"l\x94") + b"."  # 2 ** 40 of them
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
    "a frame longer than can be counted": b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b".",
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
    "a tuple": pickle.dumps([(1, 2)]),
    "a tuple of Python 2": b"\x80\x02(K\x01t.",
    "a set": pickle.dumps({1, 2}),
    "a key whose hash takes for ever": doubled(b"K\x01\x85\x94", b"", b"\x86\x94") + b"0}h\x28K\x01s.",
    "a huge text": pickle.dumps("a" * 70_000),
}


def test_everything_else_is_a_clear_error(tmp_path: Path, subtests: pytest.Subtests) -> None:
    path = tmp_path / "refs.p"
    for case, content in HOSTILE.items():
        path.write_bytes(content)
        with subtests.test(case), pytest.raises(SampleError, match=r"refs\.p.*(fetch it again|anew)"):
            read_plain_pickle(path)


def test_more_instructions_than_annotations_need_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 64 * plain_pickle.MAX_INSTRUCTIONS < 1 << 30  # bytes: what as many empty lists take
    monkeypatch.setattr(plain_pickle, "MAX_INSTRUCTIONS", 1_000)  # millions take seconds
    path = tmp_path / "refs.p"
    path.write_bytes(b"\x80\x04](" + b"]" * 990 + b"e.")
    assert len(read_plain_pickle(path)) == 990
    path.write_bytes(b"\x80\x04](" + b"]" * 1_000 + b"e.")
    with pytest.raises(SampleError, match=r"refs\.p has more than 1,000 instructions.*fetch it again"):
        read_plain_pickle(path)


def test_what_cannot_be_written_out_is_said_in_a_few_letters(tmp_path: Path, subtests: pytest.Subtests) -> None:
    path = tmp_path / "refs(unc).p"
    message = r"refs\(unc\)\.p: 0 is \[.*\.\.\..*: Input should be a valid dictionary"
    for case, content in {
        "lists within lists, each twice": LISTS,
        "100,001 lists deep": b"\x80\x04" + b"]" * 100_001 + b"a" * 100_000 + b".",
        "a list of itself": b"\x80\x04]\x94h\x00a.",
    }.items():
        path.write_bytes(content)
        with subtests.test(case):
            with pytest.raises(SampleError, match=message) as caught:
                read_refs(path)
            assert len(str(caught.value)) < 250 + len(str(path))


def test_one_list_that_is_meant_a_million_times_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "refs(unc).p"
    sentence = b"}\x94X\x04\0\0\0sentX\x01\0\0\0as"
    sentences = b"]\x94(" + sentence + b"h\x03" * 999 + b"e"
    ref = b"}\x94X\x09\0\0\0sentences" + sentences + b"s"
    path.write_bytes(b"\x80\x04]\x94(" + ref + b"h\x01" * 999 + b"e.")
    with pytest.raises(SampleError, match=r"has 1,001,000 refs and sentences, more than 500,000"):
        read_refs(path)


def test_mutated_pickles_never_get_further_than_a_clear_error(tmp_path: Path) -> None:
    rng, whole, path = np.random.default_rng(0), pickle.dumps(REFS[:2], protocol=2), tmp_path / "refs.p"
    refused = 0
    for _ in range(250):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), size=3):
            content[place] = rng.integers(0, 256)
        path.write_bytes(bytes(content))
        try:
            read_plain_pickle(path)
        except SampleError:
            refused += 1
    assert refused > 100


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"refs\.p does not exist"):
        read_plain_pickle(tmp_path / "refs.p")
