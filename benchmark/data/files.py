"""Small tables on disk: written whole or not at all, and read back with the columns they must have."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmark.data.errors import SampleError


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write each file beside its place and move them there together, or none; their folders are made."""
    parts = {path: path.with_name(f".{path.name}.part") for path in contents}
    try:
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(contents[path])
        for path, part in parts.items():
            os.replace(part, path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    write_all({path: stream.getvalue()})


def read_table(path: Path, columns: Sequence[str], remedy: str) -> pd.DataFrame:
    """Read a table of exactly these columns.

    Raises FileNotFoundError if it is not there, SampleError for another one; both end with ``remedy``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; {remedy}")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise SampleError(f"{path} cannot be read ({error}); {remedy}") from error
    if tuple(table.columns) != tuple(columns):
        raise SampleError(f"{path}: columns are {list(table.columns)}, not {list(columns)}; {remedy}")
    return table
