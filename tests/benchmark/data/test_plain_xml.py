"""XML from elsewhere: elements and text are read, everything that can mean more is refused before it is parsed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.data import plain_xml
from benchmark.data.plain_xml import read_plain_xml
from benchmark.data.samples import SampleError

LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><a>&b;</a>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><a>&a;</a>'

BAD = {
    "entities": (LAUGHS.encode(), "declares a document type"),
    "a file outside": (OUTSIDE.encode(), "declares a document type"),
    "entities in UTF-16": (LAUGHS.encode("utf-16"), r"is not UTF-8 \(.* at byte 0\)"),
    "entities in UTF-16 that says so": (
        f'<?xml version="1.0" encoding="utf-16"?>{LAUGHS}'.encode("utf-16"),
        "not UTF-8",
    ),
    "entities in UTF-7": (b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE a+AD4', "is no XML"),
    "an undefined entity": (b"<a>&lol;</a>", r"is no XML \(undefined entity"),
    "half of it": (b"<a><b>", r"is no XML \(no element found"),
    "nothing": (b"", r"is no XML \(no element found"),
    "other bytes": (b"\xff\xfe\x00", "is not UTF-8"),
    "zeros": (b"<a>\x00</a>", "is no XML"),
}


def test_elements_and_text_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    path.write_bytes('\ufeff<?xml version="1.0" encoding="latin-1"?><a><b k="1">Straße &amp; Platz</b></a>'.encode())
    assert read_plain_xml(path).findtext("b") == "Straße & Platz"


def test_what_can_mean_more_is_refused(tmp_path: Path, subtests: pytest.Subtests) -> None:
    path = tmp_path / "x.xml"
    for case, (content, message) in BAD.items():
        with subtests.test(case):
            path.write_bytes(content)
            with pytest.raises(SampleError, match=rf"x\.xml {message}|x\.xml .*{message}"):
                read_plain_xml(path)
    with pytest.raises(FileNotFoundError, match=r"gone\.xml does not exist; fetch"):
        read_plain_xml(tmp_path / "gone.xml")


def test_a_large_file_and_one_of_many_tags_are_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.xml"
    path.write_bytes(b"<a>" * 500 + b"</a>" * 500)
    assert len(list(read_plain_xml(path).iter())) == 500
    monkeypatch.setattr(plain_xml, "MAX_TAGS", 999)
    with pytest.raises(SampleError, match="has 1,000 tags, more than the 999 that are read"):
        read_plain_xml(path)
    monkeypatch.setattr(plain_xml, "MAX_BYTES", 3499)
    with pytest.raises(SampleError, match="has 3,500 bytes, more than the 3,499 that are read"):
        read_plain_xml(path)
