"""Reads a small XML file of elements and text, and nothing else.

XML can define entities: a few hundred bytes that stand for gigabytes, or for another file. Both need a document type
declaration, and a file with one is refused before it is parsed. The text is decoded here, as UTF-8, so that no other
encoding can hide one.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from benchmark.data.errors import SampleError

MAX_BYTES = 1 << 24  # a patch of Aerial-D with 100 objects has 0.3 MB
MAX_TAGS = 400_000  # each takes some 200 bytes of memory, and three in a file


def read_plain_xml(path: Path) -> ElementTree.Element:
    """The root element. Raises FileNotFoundError, or SampleError for anything but plain elements, naming the file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; fetch the dataset again")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise SampleError(f"{path} has {size:,} bytes, more than the {MAX_BYTES:,} that are read; fetch it again")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SampleError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); fetch it again") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise SampleError(
            f"{path} declares a document type, which can stand for any amount of memory or for other files; no "
            "file that is read here needs one: do not open it with anything else, and fetch it again from its source"
        )
    if (tags := text.count("<")) > MAX_TAGS:
        raise SampleError(f"{path} has {tags:,} tags, more than the {MAX_TAGS:,} that are read; fetch it again")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise SampleError(f"{path} is no XML ({error}); it is truncated or another file: fetch it again") from error
