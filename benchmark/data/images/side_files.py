"""What GDAL's file beside an image, NAME.aux.xml, says of it: what a program could not write into the image itself.

As GDAL has it, a band's description or colour there counts before the image's own. What changes pixels there (a
no-data value, a palette) is refused by decoding.py, so that an image means the same without its neighbours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from benchmark.data.errors import SampleError
from benchmark.data.plain_xml import read_plain_xml


class Beside(NamedTuple):
    """roles: of bands, counted from 0, GDAL's colour interpretation. descriptions: theirs. nodata, palette: whether it
    has any."""

    roles: dict[int, str]
    descriptions: dict[int, str]
    nodata: bool = False
    palette: bool = False


NOTHING = Beside({}, {})


def read_beside(path: Path) -> Beside:
    """What the file beside an image says, if there is one. Raises SampleError for one that cannot be read."""
    about = path.with_name(f"{path.name}.aux.xml")
    if not os.path.isfile(about):  # False for a name of 300 letters
        return NOTHING
    try:
        bands = read_plain_xml(about).findall("PAMRasterBand")
    except SampleError as error:
        raise SampleError(f"image {path} has a file beside it that says more of it: {error}, or delete it") from error
    roles, descriptions = dict[int, str](), dict[int, str]()
    for band in bands:
        number = _number(band)
        if (role := _text(band, "ColorInterp").lower()) not in ("", "undefined"):
            roles[number] = role
        if description := _text(band, "Description"):
            descriptions[number] = description
    return Beside(
        roles,
        descriptions,
        nodata=any(_text(band, "NoDataValue") for band in bands),
        palette="palette" in roles.values() or any(band.find("ColorTable") is not None for band in bands),
    )


def _number(band: ElementTree.Element) -> int:
    """Its place, from 0 on; one that no image has where it says none."""
    said = band.get("band", "")
    return int(said) - 1 if said.isascii() and said.isdigit() and len(said) < 9 else -1


def _text(band: ElementTree.Element, name: str) -> str:
    return (band.findtext(name) or "").strip()
