"""Anyone's scenes on a map, of any size and depth, with polygons: cut into patches; polygons become samples.

    <root>/<scenes>         GeoTIFFs, as benchmark/data/images/scene_files.py reads them, a window at a time
    <root>/<polygons>       GeoPackage, Shapefile, GeoJSON or what else GDAL reads; one column names the category

Polygons are brought into each scene's coordinates (geo_polygons.py). The same ground is never in two splits: they are
dealt out by scenes or by square blocks of ground, and a patch that reaches into another split's is left out
(geo_blocks.py). Which polygons of a patch become samples: patches.py. Where each patch came from is written into the
dataset's origins.csv (assemble.py). Needs the extras `[geo]`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from benchmark.data.samples import SPLITS, Manifest, SampleError
from benchmark.datasets.assemble import write_scenes
from benchmark.datasets.patches import InstancePatchConfig

NEEDED = ("rasterio", "geopandas", "pyogrio", "shapely")
INDEXED = (".gpkg", ".shp", ".fgb")  # say at their head what is in them; other files are read to their end for it
LOOKED_INTO = (200, 32 << 20)  # files, and bytes of those that are read to their end: a second at most
INSTALL = "pip install 'rsrefseg-bench[geo]' (in this repository: pip install -e '.[geo]' -c constraints.txt)"


def _inside(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        if not pattern.strip() or Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise ValueError(f"{pattern!r} is no path or pattern from the root on, such as 'scenes/*.tif'")
    return patterns


Patterns = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    AfterValidator(_inside),
]  # of files under the root; one may be written without a list


class GeoSplit(BaseModel):
    """How the ground is dealt out. by: scene takes train, val, test: the scenes of each, by name or pattern. by: block
    takes block: the side of square blocks of ground, metres, and shares: of the patches, for train, val, test."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["scene", "block"]
    train: Patterns = ()
    val: Patterns = ()
    test: Patterns = ()
    block: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    shares: tuple[float, float, float] = (0.7, 0.1, 0.2)

    @model_validator(mode="after")
    def _check(self) -> GeoSplit:
        named = [split for split in SPLITS if self.scenes_of(split)]
        if self.by == "scene" and (len(named) < len(SPLITS) or self.block is not None):
            raise ValueError("by: scene takes train, val and test, the scenes of each, and no block")
        if self.by == "block" and (named or self.block is None):
            raise ValueError(
                "by: block takes block, the side of a block in metres, and no scenes of train, val or test"
            )
        if min(self.shares) <= 0 or abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares {self.shares} are to be above 0 and 1 together")
        return self

    def scenes_of(self, split: str) -> tuple[str, ...]:
        """The names or patterns of a split's scenes."""
        found: tuple[str, ...] = getattr(self, split)
        return found


class GeoConfig(InstancePatchConfig):
    """Where scenes and polygons are, and how the ground is split.

    scenes, polygons: files under the root, names or patterns. layer: of the files of polygons, where they have several.
    category: the column that names what a polygon is. bands: which are red, green and blue, or the one that is grey,
    counted from 1; None: as the file says, else the first three.
    """

    WHOLE: ClassVar[bool] = False

    patch: int = Field(default=256, ge=32)  # pixels of the scene
    scenes: Patterns = ("*.tif", "*.tiff")
    polygons: Patterns
    layer: str | None = None
    category: str
    bands: tuple[int, ...] | None = None
    split: GeoSplit

    @model_validator(mode="after")
    def _check_bands(self) -> GeoConfig:
        if self.bands is not None and (len(self.bands) not in (1, 3) or min(self.bands) < 1):
            raise ValueError(f"bands {list(self.bands)} are to be three, red, green and blue, or one, counted from 1")
        return self

    def files(self, patterns: tuple[str, ...]) -> list[Path]:
        """The files under the root that patterns name, in order. Raises FileNotFoundError for one that names none."""
        root, found = Path(self.root), set[Path]()
        for pattern in patterns:
            here = {path for path in root.glob(pattern) if path.is_file() and not path.name.startswith(".")}
            if not here and patterns != GeoConfig.model_fields["scenes"].default:
                raise FileNotFoundError(f"{root / pattern} is no file; correct the name or the pattern")
            found |= here
        if not found:
            raise FileNotFoundError(f"{root} has no files {', '.join(patterns)}; lay them there, or set scenes")
        return sorted(found)

    def unmet(self, dataset: str) -> list[str]:
        """What fetching would find missing, of polygons also the layer, the reference system and the column: of as many
        files as can be looked into at once (LOOKED_INTO)."""
        said = [f"kind: geo needs {', '.join(lacking)}: {INSTALL}"] if (lacking := _lacking()) else []
        for key, patterns in (("scenes", self.scenes), ("polygons", self.polygons)):
            try:
                self.files(patterns)
            except FileNotFoundError as error:
                said.append(f"{key}: {error}")
        if not said:
            from benchmark.datasets.geo_layers import find_layer  # pyogrio, which may not be installed

            for path in _quickly_read(self.files(self.polygons)):
                try:
                    find_layer(path, self.layer, self.category, dataset)
                except SampleError as error:
                    said.append(f"polygons: {error}")
        return said


def _quickly_read(files: list[Path]) -> list[Path]:
    """The files of a list that can be looked into at once."""
    count, left = LOOKED_INTO
    found = []
    for path in files[:count]:
        size = 0 if path.suffix.lower() in INDEXED else path.stat().st_size
        if size <= left:
            found.append(path)
            left -= size
    return found


def _lacking() -> list[str]:
    return [name for name in NEEDED if find_spec(name) is None]


def build(folder: Path, config: GeoConfig) -> Manifest:
    """Write the dataset at ``folder``, all or nothing; the folder's name is the dataset's.

    The same config and files give the same bytes. Raises FileNotFoundError or SampleError, naming file, value and
    remedy.
    """
    if lacking := _lacking():
        raise SampleError(
            f"datasets.{folder.name}: kind: geo needs {', '.join(lacking)}, not installed here: {INSTALL}"
        )
    from benchmark.datasets.geo_patches import lay_patches  # rasterio and others, which may not be installed

    laid = lay_patches(config, folder.name)
    return write_scenes(folder, laid.scenes(), name=folder.name, **config.writing(), vocabulary=laid.categories)
