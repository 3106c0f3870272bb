"""What the page shows of one image and its sentences: masks, what lit up, and how sure the model is."""

from __future__ import annotations

import base64
import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jinja2 import Environment, FileSystemLoader
from PIL import Image

from benchmark.data.images import Picture
from benchmark.output.escaping import html_text
from benchmark.results.pictures import ImageArray, MaskArray, overlay
from experiments.published import Bin
from models.system import System
from models.tokens import TruncationWarning

SHOWN = 640  # pixels on the longer side, at most, of a picture on the page
UNSURE = (0.3, 0.7)  # a probability in between decides little
TITLES = {"local": "local activation", "global": "global activation", "dense": "dense prompt"}
MAGMA = np.array(  # matplotlib's, at nine places: dark is 0, bright is 1
    [
        *((0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122)),
        *((229, 80, 100), (251, 135, 97), (254, 194, 135), (252, 253, 191)),
    ]
)

FloatMap = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """One sentence's mask, HxW at the image's own size, and what says how sure the model is; each share in [0, 1].

    highest: the highest probability of any pixel. inside: the mean probability of the mask's pixels. unsure: of the
    pixels whose probability is above the lower end of UNSURE, the share below its upper end. right: of test pixels
    that were as sure as the mask's, the share that was the object's. None where there is no such pixel or measurement.
    pictures: by title, HxWx3 in [0, 255], SHOWN pixels at most.
    """

    sentence: str
    mask: MaskArray
    highest: float
    inside: float | None
    unsure: float | None
    right: float | None
    pictures: dict[str, ImageArray]


def segment(
    network: System, picture: Picture, sentences: Sequence[str], bins: Sequence[Bin]
) -> tuple[list[Answer], list[str]]:
    """The answers, and the notes on sentences that were cut. All sentences share the encoding of the image.

    Args:
        network: in evaluation mode.
        picture: of any size; where it has no data every probability is 0.
        sentences: at least one.
        bins: what was measured of this model's probabilities; may be empty.

    Raises:
        ExpressionError: a sentence that is blank or holds nothing CLIP reads.
    """
    tensor = torch.from_numpy(picture.pixels).permute(2, 0, 1).contiguous()
    asked = [tensor], list(sentences), [0] * len(sentences)
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", TruncationWarning)
        logits = [where_known(values, picture) for values in network.predict_logits(*asked)]
        lit = network.activations(*asked)
    small = shrink(picture.pixels)
    found = []
    for sentence, values, maps in zip(sentences, logits, lit, strict=True):
        with np.errstate(over="ignore"):  # of no data: exp(inf)
            mask, probability = values > 0, (1 / (1 + np.exp(-values))).astype(np.float32)
        shown = np.asarray(Image.fromarray(mask).resize(small.shape[1::-1], Image.Resampling.NEAREST))
        pictures = {"mask": overlay(small, shown, shown), "probability": heat(small, probability)}
        pictures |= {title: heat(small, maps[name]) for name, title in TITLES.items() if name in maps}
        maybe = probability > UNSURE[0]
        found.append(
            Answer(
                sentence=sentence,
                mask=mask,
                highest=float(probability.max()),
                inside=float(probability[mask].mean()) if mask.any() else None,
                unsure=float((probability[maybe] < UNSURE[1]).mean()) if maybe.any() else None,
                right=measured_share(probability[mask], bins),
                pictures=pictures,
            )
        )
    return found, [str(note.message) for note in noted]


def where_known(logits: FloatMap, picture: Picture) -> FloatMap:
    """Logits that are lowest where the image has no data."""
    return logits if picture.known is None else np.where(picture.known, logits, np.float32(-np.inf))


def measured_share(probability: FloatMap, bins: Sequence[Bin]) -> float | None:
    """Of test pixels with these probabilities, the share that was the object's; None without pixels or measurement."""
    known = [one for one in bins if one.share is not None]
    edges = np.array([one.low for one in known])
    if not known or not probability.size:
        return None
    counts = np.bincount((np.searchsorted(edges, probability, side="left") - 1).clip(0), minlength=len(known))
    return float(counts @ np.array([one.share for one in known], dtype=np.float64) / counts.sum())


def shrink(image: ImageArray) -> ImageArray:
    """An image as the page shows it: HxWx3, SHOWN pixels on the longer side or its own size."""
    height, width = image.shape[:2]
    scale = min(1, SHOWN / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX, reducing_gap=2))


def heat(image: ImageArray, values: FloatMap) -> ImageArray:
    """A map of any size with values in [0, 1], in colours over the image in grey: HxWx3, the image's size."""
    height, width = image.shape[:2]
    fitted = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    place = np.asarray(fitted).clip(0, 1) * (len(MAGMA) - 1)
    low = np.minimum(place.astype(np.int64), len(MAGMA) - 2)
    part = (place - low)[..., None]
    colours = MAGMA[low] * (1 - part) + MAGMA[low + 1] * part
    return (0.75 * colours + 0.25 * image.mean(axis=2, keepdims=True)).astype(np.uint8)


def picture_uri(image: ImageArray) -> str:
    """A picture as a data URI."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def percent(value: float) -> str:
    """A share in print; what is not quite all or nothing never reads as all or nothing."""
    if 0 < value < 0.001:
        return "less than 0.1 %"
    return f"{math.floor(value * 1000) / 10:.1f} %"


def render(answers: Sequence[Answer], notes: Sequence[str], dataset: str) -> str:
    """The answers as HTML; every text in it is escaped."""
    return _render("answers.html", answers=answers, notes=notes, dataset=dataset, unsure=UNSURE)


def render_fault(message: str) -> str:
    """A message about what was asked."""
    return _render("answers.html", answers=(), notes=(), fault=message)


def _render(name: str, **values: object) -> str:
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, finalize=html_text, trim_blocks=True)
    environment.filters |= {"uri": picture_uri, "percent": percent}
    return environment.get_template(name).render(**values)
