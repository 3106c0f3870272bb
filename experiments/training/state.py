"""The state of a training on disk, from which the same command goes on after it was stopped or killed.

    work/<fingerprint>/        of configuration, foundation weights and data (experiments/runs.py)
        lock                     held by the training that works here
        step_120/                written at once; the last KEPT are kept
          model.safetensors ...    what TrainStep.save() writes
          best.safetensors         the weights of the epoch to keep, once there is one
          state.json               where in the training, its curve; what it is a state of; SHA-256 of the other files

What is not whole is named and not used, and neither is the state of the same run with other settings. A training that
went on ends with the same bytes as one that was never stopped.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from safetensors import SafetensorError

from benchmark.data.files import remove, replacing, sha256
from benchmark.output.terminal import say
from experiments.ranks import Ranks
from experiments.runs import differences
from experiments.stopping import Stop, Stopped
from experiments.training.history import History
from experiments.training.step import TrainStep
from models.checkpoint import CheckpointError, load_tensors, save_tensors

KEPT = 2
STATE, BEST = "state.json", "best.safetensors"


class Keeper:
    """Keeps the state of one training in a folder, and finds it there.

    Args:
        folder: work/<fingerprint>, for this training alone.
        about: what it is a state of, for those who find it. point: dataset/model/variant/seed. config: the resolved
            configuration. data, foundation: SHA-256. meta: commit and versions.
        minutes: between two states; 0 keeps one at every step.
        stop: whether to end.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], minutes: float, stop: Stop, console: Console) -> None:
        self._folder, self._about, self._stop, self._console, self._ranks = folder, about, stop, console, Ranks()
        self._pause = 60 * minutes
        self._started = self._kept = time.monotonic()

    def restore(self, step: TrainStep, history: History) -> None:
        """Take the newest whole state, if there is one, into both.

        Raises:
            CheckpointError: it is as it was written and cannot be used all the same.
        """
        for other in others(self._folder, self._about):
            self._say(f"note: {other}")
        if self._ranks.first:
            for part in self._folder.glob(".*.part*"):
                remove(part)
        for folder in self._ranks.gather(self._states()[::-1])[0]:
            found, fault = None, ""
            try:
                found = read_state(folder)
            except CheckpointError as error:
                fault = str(error)
            faults = [other for other in self._ranks.gather(fault) if other]
            if found is None or faults:
                self._say(f"warning: the state in {folder} is damaged and not used: {faults[0]}")
                continue
            try:
                step.load(folder)
                best = load_tensors(folder / BEST, "") if (folder / BEST).is_file() else {}
            except CheckpointError as error:  # too late for an older one: half of this may be loaded
                raise CheckpointError(f"{folder}: {error}; delete it and run the same command") from error
            for name, value in found["history"].items():
                setattr(history, name, value)
            history.best_state = best
            changed = list(differences(found["about"]["meta"], self._about["meta"]))
            if changed:
                self._say(f"note: goes on with what may compute otherwise: {'; '.join(changed)}")
            self._say(f"goes on after step {history.step:,} (epoch {history.epoch}), from {folder}")
            return

    def pause(self, step: TrainStep, history: History) -> None:
        """Between two steps, or two batches of a validation: keep the state if it is time to, and end if told so.

        Raises:
            Stopped: the training was told to end; its state is kept.
            CheckpointError: the state cannot be written; the ones before are as they were.
        """
        due = self._ranks.first and time.monotonic() - self._kept >= self._pause
        asked, due = (bool(ranks) for ranks in self._ranks.total(bool(self._stop.asked), due))
        if not asked and not due:
            return
        folder = self._folder / f"step_{history.step}"
        self._write(folder, step, history)
        self._kept = time.monotonic()
        if self._ranks.first:
            for old in self._states()[:-KEPT]:
                remove(old)
        if asked:
            raise Stopped(f"step {history.step:,} is kept in {folder}; the same command goes on")

    def _write(self, folder: Path, step: TrainStep, history: History) -> None:
        seconds = history.seconds + time.monotonic() - self._started
        said = {field.name: getattr(history, field.name) for field in dataclasses.fields(history)}
        best = said.pop("best_state")
        state = step.state()  # not in what follows: a rank that is gone is no full disk
        try:
            with self._one_folder(folder) as part:
                step.save(part, state)
                self._ranks.gather(None)  # what all of them wrote is there
                if not self._ranks.first:
                    return
                if best:
                    save_tensors(part / BEST, best)
                content = {
                    "about": self._about,
                    "history": {**said, "seconds": seconds},
                    "files": {file.name: sha256(file) for file in sorted(part.iterdir())},
                }
                (part / STATE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        except (OSError, RuntimeError, SafetensorError) as error:  # the latter two: where a disk is full
            states = self._states()
            last = f"the last that is whole is {states[-1]}" if states else "none was kept before"
            raise CheckpointError(
                f"{folder}: the state of step {history.step:,} cannot be written ({error}); {last}. Make room "
                "there, or let it be written, and run the same command"
            ) from error

    @contextmanager
    def _one_folder(self, folder: Path) -> Iterator[Path]:
        """Where all ranks write what becomes `folder`."""
        if not self._ranks.first:
            yield self._ranks.gather(folder)[0]
            return
        with replacing(folder) as part:
            part.mkdir()
            yield self._ranks.gather(part)[0]

    def _states(self) -> list[Path]:
        """By step."""
        found = [folder for folder in self._folder.glob("step_*") if folder.name.removeprefix("step_").isdecimal()]
        return sorted(found, key=lambda folder: int(folder.name.removeprefix("step_")))

    def _say(self, text: str) -> None:
        say(self._console, text)


def read_state(folder: Path) -> dict[str, Any]:
    """The state.json of a state all of whose files are as they were written.

    Raises:
        CheckpointError: they are not.
    """
    try:
        found = json.loads((folder / STATE).read_text(encoding="utf-8"))
        files, history = dict(found["files"]), dict(found["history"])
        found["about"]["meta"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{STATE} is not whole ({error!r})") from error
    due = {field.name for field in dataclasses.fields(History)} - {"best_state"}
    if history.keys() != due:
        raise CheckpointError(f"{STATE} is of another version of this code")
    for name, digest in files.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise CheckpointError(f"{name} is not what was written")
    return dict(found)


def others(folder: Path, about: Mapping[str, Any]) -> list[str]:
    """The states of the same run with other settings, data or foundation weights, a line for each."""
    found = []
    for file in sorted(folder.parent.glob(f"*/step_*/{STATE}")):
        if file.parents[1] == folder:
            continue
        try:
            said = json.loads(file.read_text(encoding="utf-8"))["about"]
            if said["point"] != about["point"]:
                continue
            changed = list(differences(said["config"], about["config"]))
            changed += [f"{name} is other" for name in ("data", "foundation") if said[name] != about[name]]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue  # of whatever it is a state, it is none of this run
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        found.append(
            f"{file.parents[1]} has a state of this run with other settings ({'; '.join(changed[:3])}{more}), which is "
            "not used; delete it if nothing goes on there"
        )
    return sorted(set(found))
