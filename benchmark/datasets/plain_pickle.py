"""Reads a pickle of plain containers, strings and numbers, and nothing else.

A pickle is a program: opening one with the standard library runs it. Here every instruction is looked at before any is
carried out. Those that only build None, booleans, numbers, strings, bytes, lists and dictionaries are admitted; those
that import, call, or refer to anything (GLOBAL, REDUCE, BUILD, persistent ids, extensions, buffers from outside) are
refused, and so are numbers, memo positions and contents larger than the file can mean.

Tuples and sets are refused as well, which no file of annotations needs: they can be keys, and of a few hundred bytes a
key can be made whose hash takes longer than the universe is old. What is read may still be lists within lists whose
text fills any memory, or so deep that walking them fails: say what is in it with errors.brief(), and follow
it only as far as a schema goes.

RRSIS-D's refs(unc).p is such a file; no other module of this project reads pickles.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any, NoReturn

from benchmark.data.errors import SampleError

MAX_BYTES = 1 << 26  # refs(unc).p has about 10 MB
MAX_INSTRUCTIONS = 8_000_000  # four times those of refs(unc).p; an empty list takes one, and 64 bytes in memory
MAX_TEXT = 1 << 16  # characters of a string, which may be in the file once and meant a million times
MAX_DIGITS = 20  # of a number written out: converting a million digits takes minutes

PLAIN = frozenset(
    "PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT "
    "BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES "
    "BINBYTES8 EMPTY_LIST APPEND APPENDS LIST EMPTY_DICT DICT SETITEM SETITEMS PUT BINPUT LONG_BINPUT MEMOIZE GET "
    "BINGET LONG_BINGET".split()
)
HASHED = frozenset("EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_SET ADDITEMS FROZENSET".split())
NUMBERS = ("INT", "LONG", "LONG1", "LONG4")
MEMO = ("PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET")


class _Closed(pickle.Unpickler):
    """The second lock, should the first one have a hole: nothing can be found by name."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"it refers to {pid!r} outside")


def read_plain_pickle(path: Path) -> Any:
    """The object in a pickle; byte strings of Python 2 are read as UTF-8.

    Raises FileNotFoundError, or SampleError for anything but plain data, naming the file and what it asks for.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    if path.stat().st_size > MAX_BYTES:
        raise SampleError(
            f"{path} has {path.stat().st_size:,} bytes, more than the {MAX_BYTES:,} that are read; "
            "delete it and fetch it again"
        )
    content = path.read_bytes()
    try:
        _inspect(content, path)
        return _Closed(io.BytesIO(content), encoding="utf-8", errors="strict").load()
    except SampleError:
        raise
    # what the two readers raise for bytes that are no pickle, or no whole one
    except (
        *(pickle.UnpicklingError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError),
        OverflowError,  # a length beyond what a machine can count
    ) as error:
        raise SampleError(
            f"{path} is no pickle of plain data ({error or 'it ends early'}); delete it and fetch it again"
        ) from error


def _inspect(content: bytes, path: Path) -> None:
    """Raise SampleError at the first instruction that is not plain."""
    last = ""
    for number, (opcode, argument, position) in enumerate(pickletools.genops(content)):
        last = opcode.name
        if number == MAX_INSTRUCTIONS:
            raise SampleError(
                f"{path} has more than {MAX_INSTRUCTIONS:,} instructions, which no file of annotations needs; delete "
                "it and fetch it again"
            )
        if opcode.name in HASHED:
            raise SampleError(
                f"{path}: byte {position}: instruction {opcode.name} makes a tuple or a set, with which a few bytes "
                "can stop a reader for ever; a file of annotations is lists and dictionaries: delete it and fetch it "
                "again"
            )
        if opcode.name not in PLAIN:
            raise SampleError(
                f"{path}: byte {position}: instruction {opcode.name} {'' if argument is None else repr(argument)[:80]} "
                "could run a program; a file of annotations holds plain data only. Do not open it with anything else; "
                "delete it and fetch it again from its source"
            )
        if isinstance(argument, str | bytes) and len(argument) > MAX_TEXT:
            raise SampleError(
                f"{path}: byte {position}: a text of {len(argument):,} characters, more than {MAX_TEXT:,}; delete it "
                "and fetch it again"
            )
        if opcode.name in NUMBERS and isinstance(argument, int) and abs(argument) >= 10**MAX_DIGITS:
            raise SampleError(
                f"{path}: byte {position}: a number of more than {MAX_DIGITS} digits; delete it and fetch it again"
            )
        if opcode.name in MEMO and isinstance(argument, int) and not 0 <= argument <= len(content):
            raise SampleError(
                f"{path}: byte {position}: {opcode.name} {argument} would reserve memory that this file cannot need; "
                "delete it and fetch it again"
            )
    if last != "STOP":
        raise SampleError(f"{path} ends early; it is truncated: delete it and fetch it again")
