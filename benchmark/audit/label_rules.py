"""What of a dataset's categories, and of its images' orientation, deserves a look."""

from __future__ import annotations

from itertools import permutations

from benchmark.audit.findings import Facts, Finding, Occurrence, finding
from benchmark.audit.placement import ORIENTATIONS
from benchmark.expressions.plurals import plural

GROUPS: dict[str, tuple[str, ...]] = {  # a word for several kinds -> kinds that datasets of the field have beside it
    "vehicle": ("car", "bus", "truck", "van", "trailer", "motorcycle", "tractor"),
    "car": ("van", "taxi"),
    "aircraft": ("airplane", "plane", "helicopter"),
    "ship": ("boat", "ferry", "tanker", "yacht", "vessel"),
    "boat": ("ship", "yacht", "vessel"),
    "building": ("house", "barn", "shed", "garage", "hangar", "warehouse", "stadium", "roof"),
    "road": ("street", "highway", "expressway", "path", "pavement"),
    "vegetation": ("tree", "forest", "grass", "meadow", "crop", "field", "shrub"),
    "water": ("pool", "swimming pool", "lake", "pond", "river", "sea"),
    "object": (),
    "thing": (),
}
EVERYTHING = ("object", "thing")


def seen_once(measured: Facts) -> Finding:
    """Categories that are in one image only."""
    named = measured.samples[measured.samples["category"].notna() & (measured.samples["mask_pixels"] > 0)]
    cases = []
    for category, rows in named.groupby("category", sort=True):
        if rows["image_id"].nunique() == 1 and named["image_id"].nunique() > 1:
            first = rows.iloc[0]
            detail = f"“{category}”, {len(rows):,} samples of this image alone: a slip of the pen?"
            cases.append((0.0, Occurrence((str(first["sample_id"]),), (str(first["image"]),), detail)))
    rule = "The category is in one image only: it cannot be learnt and tested, or it is another one, misspelt."
    return finding("categories of one image", rule, "categories", int(named["category"].nunique()), cases)


def grouping(measured: Facts) -> Finding:
    """Pairs of categories of which one includes the other, by their names."""
    named = measured.samples[measured.samples["category"].notna()]
    first = named.drop_duplicates("category").set_index("category")
    names = sorted(first.index)
    cases = []
    for wide, narrow in permutations(names, 2):
        if not includes(wide, narrow) or (wide > narrow and includes(narrow, wide)):
            continue
        of = {key: tuple(str(first.at[name, key]) for name in (wide, narrow)) for key in ("sample_id", "image")}
        detail = f"is a {narrow} a {wide}? A sentence about the {wide} may be true of it, and no absence is sure"
        cases.append((0.0, Occurrence(of["sample_id"], of["image"], detail)))
    rule = (
        "Of two categories one seems to include the other, by their names: its plural, a longer name that ends in it "
        "(“tank”, “storage tank”), or a word for several kinds (“vehicle”, “bus”). Sentences tell them apart by name."
    )
    return finding("categories that include others", rule, "pairs", len(names), cases)


def includes(wide: str, narrow: str) -> bool:
    """Whether a category's name says that it may include another."""
    one, other = wide.casefold(), narrow.casefold()
    kinds = GROUPS.get(one, ()) + GROUPS.get(one.removesuffix("s"), ())
    last = other.split()[-1] if other.split() else ""
    return (
        one.removesuffix("s") in EVERYTHING
        or plural(other) == one
        or other.endswith(f" {one}")
        or other in kinds
        or last in kinds
    )


def turned(measured: Facts) -> Finding:
    """Images that were turned by their orientation tag."""
    cases = []
    for name, facts in measured.images.items():
        if facts.orientation in ORIENTATIONS:
            rows = measured.samples.loc[measured.samples["image"] == name, "sample_id"]
            detail = f"orientation tag {facts.orientation}: {ORIENTATIONS[facts.orientation]} before use"
            cases.append((0.0, Occurrence((str(rows.iloc[0]),), (name,), detail)))
    rule = (
        "The image has an orientation tag and was turned by it. Masks that were drawn on the image as it is stored lie "
        "beside their objects."
    )
    readable = sum(not facts.fault for facts in measured.images.values())
    return finding("turned images", rule, "images", readable, cases)
