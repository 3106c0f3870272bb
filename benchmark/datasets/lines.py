"""The JSON lines in which RSRefSeg 2 and DiCoR distribute RefSegRS, RRSIS-D and RISBench: one sample a line.

    {"split": "test", "image_id": "test_1_0.png", "sent": "The ship ...", "file_name": "test_1_0.png",
     "segmentation": {"size": [512, 512], "counts": "..."}}

RRSIS-D's lines have a list of such codes, whose union is the mask, and besides "category_id", "category_name",
"ann_id", "bbox" (x1, y1, x2, y2) and "area" (which is not the mask's). A sample is named as in the dataset's own files:
by its ann_id, else by its image_id without a suffix; a second line of a name is `<name>#2`.

The lines are only as good as what they were made from. RSRefSeg 2's tool for RefSegRS and RISBench
(tools_RSRefSeg2/data_tools) gives grey mask files to pycocotools' encode() as they are, which begins a new run at every
change of value: a mask with a softened border then has runs of object and background that take turns at every step of
the border. Where the mask files are at hand, they are the better source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from benchmark.data.errors import SampleError, brief
from benchmark.data.plain_json import load_json
from benchmark.data.samples import SPLITS
from benchmark.datasets.instances import Number, Rle, codes_mask
from benchmark.datasets.spec import Spec, Split
from benchmark.datasets.triplets import MAX_NAME, PLAIN_NAME, Entry, PublishedConfig

MAX_LINE = 1 << 22  # bytes; a mask of 800 x 800 pixels in 29 pieces has 400
MAX_LINES = 500_000  # RISBench has 52,472

Name = Annotated[str, StringConstraints(pattern=f"^{PLAIN_NAME.pattern}$", max_length=MAX_NAME)]


class LinesConfig(PublishedConfig):
    """lines: the files of JSON lines, from the root, with {split} for train, val and test if there is one for each;
    None: the dataset's own files are read. images_in: the folder of images, from the root. See PublishedConfig."""

    images_in: ClassVar[str]
    lines: str | None = None

    def needed(self, spec: Spec) -> Spec:
        """Of a dataset that is read from JSON lines the images alone."""
        if self.lines is None:
            return spec
        holding = [file for file in spec.files if self.images_in in file.lands()]
        held = self.images_in.rsplit("/", 1)[-1]
        files = tuple(file.model_copy(update={"holds": (held,)}) for file in holding)
        return spec.model_copy(update={"files": files})


class Line(BaseModel):
    """One sample."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    split: Split
    image_id: int | str
    sent: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    file_name: Name
    segmentation: Rle | Annotated[list[Rle], Field(min_length=1)]
    category_id: int | None = None
    category_name: str | None = None
    ann_id: int | None = None
    bbox: tuple[Number, Number, Number, Number] | None = None


def read_lines(config: LinesConfig, spec: Spec) -> Iterator[tuple[str, Line]]:
    """Every line with where it stands, file by file; blank lines are left out.

    Raises FileNotFoundError, or SampleError naming file, line and what is wrong with it.
    """
    assert config.lines is not None
    count = 0
    for split in SPLITS if "{split}" in config.lines else (None,):
        path = config.images_root / config.lines.replace("{split}", split or "")
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist; lay it there, set datasets.{spec.name}.lines to where it is, or leave "
                "that out to read the dataset's own files"
            )
        for where, text in _texts(path):
            line = _line(text, where)
            if split is not None and line.split != split:
                raise SampleError(f"{where} is of split {line.split}, the file of {split}; correct the line")
            count += 1
            if count > MAX_LINES:
                raise SampleError(f"{where}: more than {MAX_LINES:,} lines; delete the file and fetch it again")
            yield where, line


def line_entries(config: LinesConfig, spec: Spec, category: Callable[[Line, str], str | None]) -> list[Entry]:
    """A sample for each line. category: of a line that stands at ``where``, which its errors name."""
    seen: Counter[str] = Counter()
    found = []
    for where, line in read_lines(config, spec):
        name = sample_name(line)
        seen[name] += 1
        codes = [line.segmentation] if isinstance(line.segmentation, Rle) else line.segmentation
        found.append(
            Entry(
                sample_id=name if seen[name] == 1 else f"{name}#{seen[name]}",
                image=f"{config.images_in}/{line.file_name}",
                split=line.split,
                expression=line.sent,
                category=category(line, where),
                mask=partial(codes_mask, codes, where),
            )
        )
    return found


def sample_name(line: Line) -> str:
    """What a line's sample is called in the dataset's own files."""
    if line.ann_id is not None:
        return str(line.ann_id)
    return str(line.image_id).removesuffix(Path(line.file_name).suffix)


def _texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """The lines of a file that are not blank, with where they stand."""
    with path.open("rb") as file:
        number = 0
        while text := file.readline(MAX_LINE + 1):
            number += 1
            where = f"{path}: line {number}"
            if len(text) > MAX_LINE:
                raise SampleError(f"{where} has more than {MAX_LINE:,} bytes; delete the file and fetch it again")
            if text.strip():
                yield where, text.removeprefix(b"\xef\xbb\xbf") if number == 1 else text


def _line(text: bytes, where: str) -> Line:
    try:
        return Line.model_validate(load_json(text))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in fault["loc"][:3])
        raise SampleError(
            f"{where}: {place or 'all of it'} is {brief(fault['input'])}: {fault['msg']}; correct the line, or fetch "
            "the file again"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SampleError(f"{where} is not JSON ({error}); correct the line, or fetch the file again") from error
