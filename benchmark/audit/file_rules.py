"""What of a dataset's image files deserves a look."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from benchmark.audit.findings import WORST, Facts, Finding, Occurrence, finding, of_row
from benchmark.audit.image_facts import ALIKE, CLEAR, NEAR, STEP, near_copies
from benchmark.data.samples import SPLITS


def unreadable(measured: Facts) -> Finding:
    cases = [(0.0, Occurrence((), (name,), facts.fault)) for name, facts in measured.images.items() if facts.fault]
    rule = "The image cannot be read to its last pixel."
    return finding("unreadable images", rule, "images", len(measured.images), cases)


def other_size(measured: Facts, image_size: tuple[int, int] | None) -> Finding:
    cases = []
    readable = {name: facts for name, facts in measured.images.items() if not facts.fault}
    if image_size is not None:
        for name, facts in readable.items():
            if (facts.height, facts.width) != image_size:
                cases.append((0.0, Occurrence((), (name,), f"{facts.height} x {facts.width} (height x width)")))
    declared = "declared size" if image_size is None else f"declared {image_size[0]} x {image_size[1]} pixels"
    rule = f"The image does not have the {declared}."
    return finding("images of another size", rule, "images", len(readable) if image_size else 0, cases)


def row_size(measured: Facts, fitted: Container[str]) -> Finding:
    """fitted: images that are resized to their rows, and a finding of their own."""
    cases, checked = [], 0
    columns = ["sample_id", "image", "height", "width"]
    for row in measured.samples[columns].to_dict("records"):
        facts = measured.images[row["image"]]
        checked += not facts.fault
        if (
            not facts.fault
            and row["image"] not in fitted
            and (facts.height, facts.width) != (row["height"], row["width"])
        ):
            detail = f"the row says {row['height']} x {row['width']}, the image is {facts.height} x {facts.width}"
            cases.append((0.0, of_row(row, detail)))
    rule = "The row's height and width are not those of its image."
    return finding("rows of another size", rule, "samples", checked, cases)


def chosen_bands(measured: Facts, bands: Mapping[str, Sequence[str]]) -> Finding:
    """bands: what there is to say of those that were taken -> of which images."""
    cases = [(0.0, Occurrence((), (name,), f"read as {said}")) for said, names in bands.items() for name in names]
    rule = (
        "The image, or what it was cut from, has other bands than those that are shown, or has them in another order. "
        "Colours that look wrong are of the wrong bands."
    )
    return finding("images of some of their bands", rule, "images", len(measured.images), cases)


def copied(measured: Facts) -> Finding:
    same: dict[str, list[str]] = {}
    for name, facts in measured.images.items():
        if facts.sha256:
            same.setdefault(facts.sha256, []).append(name)
    cases = [
        (0.0, Occurrence((), (names[0], other), f"the same bytes as {names[0]} ({len(names)} files in all)"))
        for names in same.values()
        for other in names[1:]
    ]
    rule = "The file has the same bytes as an earlier one of the table, under another path."
    return finding("copied images", rule, "images", sum(map(len, same.values())), cases)


def leaked(measured: Facts) -> Finding:
    """An image of a later split that an earlier one has too; splits in the order train, val, test."""
    placed = measured.samples[["image", "split"]].drop_duplicates()
    names = {split: placed.loc[placed["split"] == split, "image"].tolist() for split in SPLITS}
    files, facts = list(measured.images), list(measured.images.values())
    index = {name: k for k, name in enumerate(files)}
    cases = []
    for late in (1, 2):
        best: dict[int, tuple[float, str, int]] = {}  # image -> how like, words, its twin
        for early in SPLITS[:late]:
            here, there = ([index[name] for name in names[split]] for split in (early, SPLITS[late]))
            by_bytes = {facts[k].sha256: k for k in reversed(here) if facts[k].sha256}
            found = [(2.0, f"the same bytes as in {early}", by_bytes.get(facts[k].sha256), k) for k in there]
            for near in near_copies(facts, here, there):
                words = f"looks like one in {early}: {near.bits} of 64 bits differ, correlation {near.correlation:.3f}"
                found.append((1 - near.bits / 64 + near.correlation / 1000, words, near.first, near.second))
            for likeness, words, twin, image in found:
                if twin is not None and likeness > best.get(image, (0.0,))[0]:
                    best[image] = (likeness, words, twin)
        for image, (likeness, words, twin) in best.items():
            cases.append((likeness, Occurrence((), (files[image], files[twin]), f"in {SPLITS[late]}, {words}")))
    rule = (
        "The image, or one that looks like it, is in an earlier split as well: the same bytes, or difference hashes "
        f"that differ in at most {NEAR} of 64 bits with grey levels that correlate by at least {ALIKE}. Nearly flat "
        f"images (fewer than {CLEAR} of 64 neighbouring cells differ by {STEP:g} grey levels): by bytes only."
    )
    return finding("images in two splits", rule, "images", len(placed), cases, WORST)
