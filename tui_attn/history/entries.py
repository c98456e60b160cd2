"""The list of experiments: an `Entry` for each, with its state and result.

`History` reads only what has changed since the last scan. Ended experiments are also cached in the user's cache folder,
keyed by the sizes and times of their files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tui_attn.compare.pairs import PairedRuns, QuickResult, best_pair
from tui_attn.experiment import reducer
from tui_attn.experiment.durations import elapsed_seconds, waiting_words
from tui_attn.experiment.finding import candidates, is_ours
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import began
from tui_attn.experiment.manifest import FIRST, Manifest, RunsError
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.experiment.study import StudyDir, is_study
from tui_attn.history import organize
from tui_attn.history.tail_summary import summarise_tail
from tui_attn.system.files import read_json, user_folder, write_atomically
from tui_attn.system.text import MAX_TIME, has_control_characters, safe_text

_VERSION = 5
"""Of the cache's format; a cache of another version is ignored."""

Stamp = tuple[int, ...]
"""Sizes and times of the files that an entry is read from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One experiment in the list. Its texts are safe to show."""

    id: str
    state: str
    """As `reducer.derive` gives it, or `damaged` when it can't be read."""
    created: float
    """Unix seconds; 0 when unknown."""
    name: str = ""
    dataset: str = ""
    models: tuple[str, ...] = ()
    seeds: int = 0
    epochs: int = 0
    facts: str = ""
    """Batch size, learning rate and other settings, in words."""
    finished: int = 0
    """Runs that finished."""
    runs: int = 0
    accuracy: float | None = None
    """Best test accuracy of the last epochs, a fraction."""
    best: QuickResult | None = None
    """The model with the largest difference from base."""
    seconds: float | None = None
    """From the start to the end, or to the newest event."""
    note: str = ""
    pinned: bool = False
    reason: str = ""
    """Why it can't be read."""
    troubles: tuple[str, ...] = ()
    """Logs that can't be read, and why."""
    waits: str = ""
    """How many of its runs wait in a scheduler's queue, and why."""
    study: str = ""
    """The kind of a study, `sweep` or `curve`; empty for an experiment."""

    @property
    def ended(self) -> bool:
        """Whether its training is over."""
        return self.state in reducer.EXPERIMENT_ENDED

    @property
    def words(self) -> str:
        """The text that a filter searches, in lower case."""
        models = " ".join(self.models)
        return f"{self.id} {self.name} {self.note} {self.dataset} {models} {self.state} {self.study}".lower()


class History:
    """The experiments in `runs_dir`. Not thread-safe."""

    def __init__(self, runs_dir: Path, *, kept: Mapping[str, tuple[Stamp, Entry]] | None = None) -> None:
        self.runs_dir = runs_dir.absolute()
        self.known: dict[str, tuple[Stamp, Entry]] = dict(kept or {})
        """By id: the files' stamp and the entry read from them."""
        self.total = 0
        """Number of folders in the current scan."""
        self._undecided: dict[str, PairedRuns] = {}

    def look(self) -> Iterator[Entry]:
        """All experiments, newest first; foreign folders are skipped. Raises `RunsError`.

        Entries whose verdict must be computed come first without it, and again with it after all others.
        """
        yield from self.rows()
        yield from self.verdicts()

    def rows(self) -> Iterator[Entry]:
        """The first pass of a scan, without new verdicts; unchanged entries are not read again. Raises `RunsError`."""
        folders: list[Path] = []
        with contextlib.suppress(FileNotFoundError):
            folders = sorted(candidates(self.runs_dir), key=lambda path: path.name, reverse=True)
        self.total = len(folders)
        seen: set[str] = set()
        for path in folders:
            entry = self._entry(ExperimentDir(path))
            if entry is not None:
                seen.add(entry.id)
                yield entry
        self.known = {id_: found for id_, found in self.known.items() if id_ in seen}

    @property
    def undecided(self) -> bool:
        """Whether verdicts of these rows are still missing."""
        return bool(self._undecided)

    def verdicts(self) -> Iterator[Entry]:
        """The second pass: entries with new verdicts. The first one in a process takes 0.3 s, for its imports."""
        undecided, self._undecided = self._undecided, {}
        for id_ in [id_ for id_ in undecided if id_ in self.known]:
            stamp, entry = self.known[id_]
            entry = replace(entry, best=undecided[id_].result())
            self.known[id_] = (stamp, entry)
            yield self._annotated(entry)

    def _entry(self, folder: ExperimentDir) -> Entry | None:
        stamp = _stamp(folder)
        known = self.known.get(folder.id)
        if known is None or known[0] != stamp or not _settled(known[1]):
            found = _read(folder)
            if found is None:
                return None
            if found[1] is not None and len(found[1].complete()) > 1:
                self._undecided[folder.id] = found[1]
            known = self.known[folder.id] = (stamp, found[0])
        return self._annotated(known[1])

    def _annotated(self, entry: Entry) -> Entry:
        annotations = organize.read_annotations(ExperimentDir(self.runs_dir / entry.id))
        return replace(entry, note=annotations.note, pinned=annotations.pinned)


def _damaged(id_: str, reason: object) -> Entry:
    return Entry(id=id_, state="damaged", created=0.0, reason=safe_text(reason, one_line=True))


def _read_study(study: StudyDir) -> Entry:
    """A study as one entry, with the runs of all its experiments."""
    try:
        plan = study.plan()
    except RunsError as error:
        return _damaged(study.id, error)
    config, members = plan.config, [study.member(cell) for cell in (*plan.cells, *plan.finals) if study.begun(cell)]
    known = [found[0] for member in members if (found := _read(member)) is not None]
    runs = len(config.models) * config.seeds * (len(plan.cells) + plan.selects)
    ended = sum(entry.runs for entry in known if entry.ended)
    finished = sum(entry.finished for entry in known)
    over = "stopped" if ended < runs else "finished" if finished == runs else "failed"
    words = [f"{plan.kind} of {len(plan.cells)} cells", *(cell.label for cell in plan.cells)]
    return Entry(
        id=study.id,
        state="running" if study.running else over,
        created=plan.created,
        name=safe_text(config.name or "", one_line=True),
        dataset=safe_text(config.dataset, one_line=True),
        models=config.models,
        seeds=config.seeds,
        epochs=max((entry.epochs for entry in known), default=config.epochs),
        facts=safe_text(" · ".join(words), one_line=True)[:400],
        finished=finished,
        runs=runs,
        accuracy=None if plan.selects else max((each.accuracy for each in known if each.accuracy), default=None),
        seconds=sum(entry.seconds or 0 for entry in known) or None,
        study=plan.kind,
    )


def _read(folder: ExperimentDir) -> tuple[Entry, PairedRuns | None] | None:
    """The entry without a verdict, and the paired runs that give it."""
    if is_study(folder.path):
        return _read_study(StudyDir(folder.path)), None
    try:
        manifest = folder.manifest_data()
    except RunsError as error:
        if not is_ours(folder.path):
            return None
        return _damaged(folder.id, error.reason or error), None
    found, troubles = summarise_tail(folder)
    supervised = found.state not in reducer.EXPERIMENT_ENDED and supervisor_alive(folder)
    shown, _ = reducer.derive(found, supervised=supervised)
    config = manifest.config
    accuracies = [run.epochs[-1].test_accuracy for run in found.runs.values() if run.epochs]
    pairing = best_pair(found, manifest, over=shown in {*reducer.EXPERIMENT_ENDED, "lost"})
    entry = Entry(
        id=folder.id,
        state=shown,
        created=manifest.created,
        name=safe_text(config.name or "", one_line=True),
        dataset=safe_text(config.dataset, one_line=True),
        models=config.models,
        seeds=config.seeds,
        epochs=config.epochs,
        facts=facts(manifest),
        finished=found.counts().get("finished", 0),
        runs=len(config.models) * config.seeds,
        accuracy=max((value for value in accuracies if 0 <= value <= 1), default=None),
        best=None if pairing is None else pairing.result(verdict=False),
        seconds=_seconds(folder, found, supervised=supervised),
        waits=safe_text(waiting_words(found.runs.values()), one_line=True) if supervised else "",
        troubles=troubles,
    )
    return entry, pairing


def facts(manifest: Manifest) -> str:
    """The most important settings in one short line."""
    config = manifest.config
    words = [f"batch {config.batch_size}", f"lr {config.lr:g}"]
    words += [f"augment {','.join(config.augment)}"] if config.augment else []
    words += [f"{manifest.precision}" if manifest.precision != "auto" else ""]
    words += [
        f"{'first ' if manifest.subset == FIRST else ''}{config.train_limit:,} images" if config.train_limit else ""
    ]
    words += [f"validated on {config.validation:,}" if config.validation else ""]
    words += [f"tested on {config.test_limit:,}" if config.test_limit else ""]
    words += [", ".join(manifest.devices), manifest.host]
    return safe_text(" · ".join(word for word in words if word), one_line=True)


def _seconds(folder: ExperimentDir, found: reducer.ExperimentState, *, supervised: bool) -> float | None:
    runs = list(found.runs.values())
    heard = max((run.last_t for run in runs), default=None)
    end = found.ended_at or (time.time() if supervised else heard)
    return elapsed_seconds(began(folder, found) if supervised else found.started_at, end, runs, found.measured_seconds)


def _settled(entry: Entry) -> bool:
    """Whether the entry depends on its files only; a live state also depends on processes."""
    return not entry.study and (entry.ended or entry.state == "damaged")


def _stamp(folder: ExperimentDir) -> Stamp:
    """The stamp of the manifest and the supervisor's log, which reflect every change of an ended experiment."""
    found: list[int] = []
    for path in (folder.manifest, folder.events):
        try:
            status = path.stat(follow_symlinks=False)
            found += (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except OSError:
            found.append(-1)
    return tuple(found)


# ---- the cache


def open_history(runs_dir: Path) -> History:
    """The history of `runs_dir`, with cached entries."""
    path = _cache_file(runs_dir)
    data = (None if path is None else read_json(path)) or {}
    kept: dict[str, tuple[Stamp, Entry]] = {}
    if data.get("version") == _VERSION and isinstance(data.get("entries"), dict):
        for id_, found in data["entries"].items():
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, OverflowError):
                entry = from_json(found["entry"])
                if entry.id == id_ and entry.ended:
                    kept[id_] = (tuple(int(number) for number in found["stamp"]), entry)
    return History(runs_dir, kept=kept)


def read_history(runs_dir: Path) -> list[Entry]:
    """The experiments in `runs_dir`, newest first and damaged ones last. Raises `RunsError`."""
    history = open_history(runs_dir)
    found = {entry.id: entry for entry in history.look()}  # entries with verdicts come twice
    keep(history)
    return sorted(found.values(), key=lambda entry: (entry.created, entry.id), reverse=True)


def keep(history: History) -> None:
    """Cache ended experiments; errors are ignored."""
    path = _cache_file(history.runs_dir)
    entries = {
        id_: {"stamp": stamp, "entry": to_json(entry)}
        for id_, (stamp, entry) in history.known.items()
        if entry.ended and not entry.study
    }
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps({"version": _VERSION, "entries": entries})
        write_atomically(path, text.encode("utf-8", "backslashreplace"), sync=False)


def _cache_file(runs_dir: Path) -> Path | None:
    name = hashlib.sha256(os.fsencode(runs_dir.absolute())).hexdigest()[:24]
    folder = user_folder("cache")
    return None if folder is None else folder / "history" / f"{name}.json"


_FIELDS = tuple(field.name for field in fields(Entry))
_KINDS: Mapping[Any, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "float | None": float | None,
    "Label | None": str | None,
    "tuple[str, ...]": list,
}
"""Annotation of a field -> what JSON has for it."""


def to_json(entry: Entry) -> dict[str, Any]:
    """Plain JSON types."""
    # Field by field: `asdict` copies everything deeply, and a long history waits for that.
    data = {name: getattr(entry, name) for name in _FIELDS}
    lists = {"models": list(entry.models), "troubles": list(entry.troubles)}
    return data | lists | {"best": None if entry.best is None else asdict(entry.best)}


def from_json(data: Any) -> Entry:
    """The inverse of `to_json`. Raises `ValueError`, `TypeError` or `KeyError` for what it isn't."""
    values = dict(data)
    best = values["best"]
    for kind, found in ((Entry, values), (QuickResult, best)):
        if found and not all(isinstance(found[each.name], _KINDS.get(each.type, object)) for each in fields(kind)):
            raise TypeError("not what was written")
    standing = None if best is None else QuickResult(**best)
    lists = {"models": tuple(values["models"]), "troubles": tuple(values["troubles"])}
    entry = Entry(**values | lists | {"best": standing})
    if not _showable(entry):
        raise ValueError("not what was written")
    return entry


def _showable(entry: Entry) -> bool:
    """Whether texts and numbers are valid: a cache file may hold anything."""
    best = () if entry.best is None else astuple(entry.best)
    values = [*(getattr(entry, name) for name in _FIELDS if name != "best"), *best, *entry.models, *entry.troubles]
    return all(isinstance(text, str) for text in (*entry.models, *entry.troubles)) and all(
        not has_control_characters(value) if isinstance(value, str) else abs(value) < MAX_TIME
        for value in values
        if value is not None and not isinstance(value, tuple)
    )
