"""Published foundation models -> weights/<model>/, in the form in which every other command reads them.

Everything is fetched and checked, then everything is converted beside the folder, then the files take their places: a
run that fails leaves what was there before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmark.data.files import replacing, sha256, write_all
from experiments.download.hub import fetch, newest_commit
from experiments.download.readers import READERS
from experiments.foundation_settings import SourceConfig, WeightsSource
from models.checkpoint import CheckpointError, save_tensors
from models.config import Part
from models.weights.transformers_folder import part_names, weights_file

Say = Callable[[str], object]
OFFICIAL_SHA256 = {  # github.com/facebookresearch/segment-anything, Model Checkpoints
    "sam_vit_b_01ec64.pth": "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    "sam_vit_l_0b3195.pth": "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    "sam_vit_h_4b8939.pth": "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
}


def download_weights(
    config: Part, sources: SourceConfig, files: Mapping[str, Path], parts: Sequence[str], model: str, say: Say
) -> dict[str, dict[str, Any]]:
    """Write the foundation files of `parts` and foundation.json.

    Args:
        config: the system's: what the weights must fit.
        sources: where they come from.
        files: where they go, by name, in one folder.
        model: its name in params.yaml, for the messages.
        say: told of each commit that params.yaml does not name.

    Returns:
        What foundation.json holds: parameters, SHA-256 of the files written, and the sources with that of theirs.

    Raises:
        FileNotFoundError: a file is missing, or the hub does not give it (experiments.download.hub.HubError).
        CheckpointError: a file is damaged or another one; it holds another model than `config`.
    """
    report_file = next(iter(files.values())).parent / "foundation.json"
    report = _read_report(report_file)
    with ExitStack() as stack:
        keys = {part: f"foundation.{model}.source.{part}" for part in parts}
        pinned = {part: _pinned(sources.of_parts[part], part, keys[part], say) for part in parts}
        places = {part: _fetch(source, part, keys[part], stack) for part, source in pinned.items()}
        for part, place in places.items():
            report["sources"][part] = _describe(place, pinned[part], keys[part])
        for part, place in places.items():
            names = (part, *READERS[part].beside)
            new = {name: stack.enter_context(replacing(files[name])) for name in names}
            read = READERS[part].read(config, place)
            save_tensors(new[part], read.tensors)
            if read.tokenizer is not None:
                read.tokenizer.backend_tokenizer.save(str(new["tokenizer"]))
            if "config" in new:
                new["config"].write_bytes((place / "config.json").read_bytes())
            report["parameters"][part] = read.parameters
            report["sha256"] |= {name: sha256(file) for name, file in new.items()}
            del read  # gigabytes, before the next part's
    text = json.dumps(report, indent=2, sort_keys=True) + "\n"
    write_all({report_file: text.encode()})
    return report


def _pinned(source: WeightsSource, part: str, place: str, say: Say) -> WeightsSource:
    """The source at one commit: where none is given, the one at the tip of the repository's default branch."""
    if source.hub is None or source.revision is not None:
        return source
    commit = newest_commit(source.hub, [*READERS[part].settings, source.weights], place)
    say(f"{source.hub} is at {commit}; to keep it there, write into params.yaml, {place}: revision: {commit}")
    return source.model_copy(update={"revision": commit})


def _fetch(source: WeightsSource, part: str, place: str, stack: ExitStack) -> Path:
    """The folder of a source, or SAM's official file. A repository's becomes a folder of links to nothing but what was
    asked for, and checked: what else the cache may hold of it is not read."""
    local = source.folder or getattr(source, "official", None)
    if local is not None:
        found = local.expanduser()
        if not (found.is_dir() if source.folder else found.is_file()):
            raise FileNotFoundError(f"{local}: {place} of params.yaml names it, and it is not there")
        return found
    assert source.hub is not None  # Source allows nothing else
    assert source.revision is not None
    files = fetch(source.hub, source.revision, [*READERS[part].settings, source.weights], place)
    if source.weights.endswith(".index.json"):
        files |= fetch(source.hub, source.revision, part_names(files[source.weights]), place)
    links = Path(stack.enter_context(TemporaryDirectory())) / source.hub.replace("/", "--")
    links.mkdir()
    for name, file in files.items():
        (links / name).symlink_to(file.resolve())
    return links


def _describe(fetched: Path, source: WeightsSource, place: str) -> dict[str, str]:
    """What foundation.json says of a source, whose weights are the ones that params.yaml or their name promises."""
    weights = fetched if fetched.is_file() else weights_file(fetched)
    found, published = sha256(weights), OFFICIAL_SHA256.get(weights.name) if fetched.is_file() else None
    wanted = source.sha256 or published
    if wanted not in (None, found):
        said = f"{place}.sha256 of params.yaml" if source.sha256 else "the published file of this name"
        raise CheckpointError(f"{weights}: its SHA-256 is {found}, and that of {said} is {wanted}. Get it again")
    given = source.model_dump(mode="json", exclude_none=True, exclude={"weights", "sha256"})
    return {**given, "weights": weights.name, "sha256": found}


def _read_report(file: Path) -> dict[str, dict[str, Any]]:
    """What foundation.json says of the parts that stay."""
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {name: dict(said.get(name, {})) for name in ("parameters", "sha256", "sources")}
