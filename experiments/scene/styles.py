"""QGIS styles. QGIS applies NAME.qml to NAME.gpkg, NAME.geojson and NAME.tif by itself when they are opened."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

VERSION = "3.22"  # of QGIS whose form of style this is; newer ones read it
COLOURS = (  # of Okabe and Ito, which stay apart for every common kind of colour blindness
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)


def colour(place: int) -> tuple[int, int, int]:
    """The colour of an expression; place: counted from 0."""
    return COLOURS[place % len(COLOURS)]


def polygon_style(expressions: Sequence[str]) -> bytes:
    """Polygons outlined and lightly filled, a colour for each expression."""
    root = ElementTree.Element("qgis", version=VERSION, styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr="expression", symbollevels="0", enableorderby="0"
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for place, expression in enumerate(expressions):
        shown = {"symbol": str(place), "value": expression, "label": expression, "render": "true", "type": "string"}
        ElementTree.SubElement(categories, "category", shown)
        symbol = ElementTree.SubElement(symbols, "symbol", type="fill", name=str(place), alpha="1", clip_to_extent="1")
        layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0"})
        red, green, blue = colour(place)
        options = {
            "color": f"{red},{green},{blue},60",
            "style": "solid",
            "outline_color": f"{red},{green},{blue},255",
            "outline_style": "solid",
            "outline_width": "0.5",
            "outline_width_unit": "MM",
        }
        kept = ElementTree.SubElement(layer, "Option", type="Map")
        for name, value in options.items():
            ElementTree.SubElement(layer, "prop", k=name, v=value)  # read until QGIS 3.26
            ElementTree.SubElement(kept, "Option", name=name, value=value, type="QString")
    return _document(root)


def mask_style(expression: str, place: int) -> bytes:
    """What is the expression's in its colour, all else clear."""
    root = ElementTree.Element("qgis", version=VERSION, styleCategories="Symbology")
    pipe = ElementTree.SubElement(root, "pipe")
    renderer = ElementTree.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="0.7", alphaBand="-1", nodataColor=""
    )
    palette = ElementTree.SubElement(renderer, "colorPalette")
    shade = "#{:02x}{:02x}{:02x}".format(*colour(place))
    for value, alpha, label in ((0, 0, "all else"), (1, 255, expression)):
        entry = {"value": str(value), "color": shade, "alpha": str(alpha), "label": label}
        ElementTree.SubElement(palette, "paletteEntry", entry)
    ElementTree.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0", gamma="1")
    ElementTree.SubElement(pipe, "huesaturation", saturation="0", colorizeOn="0")
    ElementTree.SubElement(pipe, "rasterresampler", maxOversampling="2")
    return _document(root)


def _document(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root)
    return b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ElementTree.tostring(root) + b"\n"
