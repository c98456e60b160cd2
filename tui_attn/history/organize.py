"""Organize experiments: names, notes, pins and the trash.

Note and pin are in the experiment's `user.json`, which nothing else reads. A deleted experiment is moved to `.trash`
in the same folder and stays there until someone removes it by hand.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

from tui_attn.experiment.config import BY_FIELD
from tui_attn.experiment.finding import find_experiment, is_ours, only_match
from tui_attn.experiment.folders import ID, TRASH, ExperimentDir
from tui_attn.experiment.manifest import Manifest, RunsError
from tui_attn.experiment.options import ConfigError
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.experiment.study import StudyDir, find_study, is_study
from tui_attn.experiment.writing import change_manifest, check_owner
from tui_attn.system import liveness
from tui_attn.system.files import exclusive, read_json, sync_folder, write_atomically
from tui_attn.system.text import command_line, has_control_characters, safe_text

MOST_NOTE = 1000
"""Characters of a note."""
_ALLOWED = "you can read it, not change it"
"""For users who don't own the experiment."""
_AGAIN = "~"
"""Separates the id from a number in the trash, where several experiments with one id were deleted."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """The user's note on an experiment, and whether it is pinned."""

    note: str = ""
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class Trashed:
    """An experiment in the trash."""

    folder: ExperimentDir
    id: str
    """Its id outside the trash."""
    since: float
    """When it was deleted, unix seconds."""
    manifest: Manifest | None
    """None when it is damaged, and for a study."""
    name: str | None
    """Its display name."""
    study: bool


def annotations_path(folder: ExperimentDir) -> Path:
    """The file of annotations."""
    return folder.path / "user.json"


def read_annotations(folder: ExperimentDir) -> Annotations:
    """The annotations of an experiment; empty where none can be read."""
    data = read_json(annotations_path(folder), limit=1 << 16) or {}
    note = data.get("note")
    return Annotations(
        safe_text(note, one_line=True)[:MOST_NOTE] if isinstance(note, str) else "", data.get("pinned") is True
    )


def _annotate(folder: ExperimentDir, **changes: Any) -> None:
    check_owner(folder, _ALLOWED)
    with _saying(folder, "write to"), exclusive(folder.path / "experiment.lock"):
        annotations = replace(read_annotations(folder), **changes)
        check_note(annotations.note)
        text = json.dumps({"note": annotations.note, "pinned": annotations.pinned}, ensure_ascii=False)
        write_atomically(annotations_path(folder), text.encode("utf-8", "backslashreplace") + b"\n", sync=False)


def pin(folder: ExperimentDir, pinned: bool) -> None:
    """Pin an experiment to the top of the history, or unpin it. Raises `RunsError`."""
    _annotate(folder, pinned=pinned)


def note(folder: ExperimentDir, text: str) -> None:
    """Set the note on an experiment; an empty `text` removes it. Raises `RunsError`, also for an invalid note."""
    _annotate(folder, note=text.strip())


def check_note(note: str) -> None:
    """Raise `RunsError` for an invalid note."""
    if has_control_characters(note):
        raise RunsError("the note holds control characters: use printable text")
    if len(note) > MOST_NOTE:
        raise RunsError(f"the note is {len(note)} characters long: {MOST_NOTE} at most")


def check_name(name: str) -> None:
    """Raise `RunsError` for an invalid display name; an empty one means none."""
    try:
        BY_FIELD["name"].check(name.strip() or None)
    except ConfigError as error:
        raise RunsError(f"the name {error.reason}") from None


def rename(folder: ExperimentDir, name: str) -> None:
    """Set the display name of an experiment; an empty one removes it. Raises `RunsError`."""
    check_name(name)
    check_owner(folder, _ALLOWED)
    with _saying(folder, "write to"):
        if is_study(folder.path):
            study = StudyDir(folder.path)
            study.change(config=replace(study.plan().config, name=name.strip() or None))
            return
        change_manifest(folder, lambda manifest: manifest.configured(name=name.strip() or None))


def find_any(runs_dir: Path, name: str) -> ExperimentDir:
    """The experiment called `name` as `find_experiment` finds it, and a damaged one by its id. Raises `RunsError`."""
    place = runs_dir / name
    if ID.fullmatch(name) and not place.is_symlink() and is_ours(place):
        return ExperimentDir(place.absolute())
    study = find_study(runs_dir, name)
    return find_experiment(runs_dir, name) if study is None else ExperimentDir(study.path)


def trash(folder: ExperimentDir) -> Trashed:
    """Move an experiment to the trash. Raises `RunsError`, also while it is running."""
    check_owner(folder, _ALLOWED)
    with _saying(folder, "move"), _nobody_trains(folder):
        bin_ = folder.path.parent / TRASH
        if bin_.is_symlink():
            raise RunsError(f"{safe_text(bin_, one_line=True)} is a symbolic link, which is not followed: remove it")
        bin_.mkdir(mode=0o700, exist_ok=True)
        place = _free(bin_, folder.id)
        folder.path.rename(place)
        sync_folder(bin_)
        sync_folder(bin_.parent)
    return _trashed(ExperimentDir(place.absolute()))


def trashed(runs_dir: Path) -> list[Trashed]:
    """The experiments in the trash of `runs_dir`, the last deleted first."""
    bin_, found = runs_dir.absolute() / TRASH, list[Path]()
    with contextlib.suppress(OSError):
        if not bin_.is_symlink():
            found = [path for path in bin_.iterdir() if path.is_dir() and not path.is_symlink()]
    items = [_trashed(ExperimentDir(path)) for path in found if _is_trashed(path)]
    return sorted(items, key=lambda item: item.since, reverse=True)


def restore(item: Trashed) -> ExperimentDir:
    """Move an experiment back from the trash. Raises `RunsError` when its id is taken again."""
    runs_dir = item.folder.path.parent.parent
    place = runs_dir / item.id
    if os.path.lexists(place):
        raise RunsError(f"there is another {item.id} in {safe_text(runs_dir, one_line=True)}: move that one first")
    with _saying(item.folder, "move"):
        item.folder.path.rename(place)
        sync_folder(runs_dir)
        sync_folder(item.folder.path.parent)
    return ExperimentDir(place)


def find_trashed(runs_dir: Path, name: str | None) -> Trashed:
    """The deleted experiment called `name` (id, start of one, or display name); the last deleted for None.

    Raises `RunsError`.
    """
    found = trashed(runs_dir)
    where = safe_text(runs_dir / TRASH, one_line=True)
    if name is None:
        if not found:
            raise RunsError(f"nothing is in {where}: 'tui-attn delete EXPERIMENT' moves an experiment there")
        return found[0]
    for item in found:
        if name in {item.id, item.folder.id}:
            return item
    return only_match(name, found, attrgetter("name"), where=where, lists="tui-attn trash")


def _is_trashed(path: Path) -> bool:
    return ID.fullmatch(path.name.partition(_AGAIN)[0]) is not None and (is_ours(path) or is_study(path))


def _trashed(folder: ExperimentDir) -> Trashed:
    manifest, name, since, study = None, None, 0.0, is_study(folder.path)
    with contextlib.suppress(RunsError):
        manifest = folder.manifest_data()
        name = manifest.config.name
    with contextlib.suppress(OSError):
        since = folder.path.stat().st_ctime  # changed by the move to the trash
    with contextlib.suppress(RunsError):
        name = StudyDir(folder.path).plan().config.name if study else name
    return Trashed(folder, folder.id.partition(_AGAIN)[0], since, manifest, name, study)


def _free(bin_: Path, id_: str) -> Path:
    """An unused path in the trash."""
    names = [id_, *(f"{id_}{_AGAIN}{number}" for number in range(2, 1000))]
    free = next((name for name in names if not os.path.lexists(bin_ / name)), None)
    if free is None:
        raise RunsError(f"{safe_text(bin_, one_line=True)} is full of {id_}: remove some by hand")
    return bin_ / free


@contextlib.contextmanager
def _nobody_trains(folder: ExperimentDir) -> Iterator[None]:
    """Hold the supervisor's lock. Raises `RunsError` while a supervisor or a worker is alive."""
    refusal = f"{folder.id} is running: '{command_line('stop', folder.path)}' first"
    if is_study(folder.path):
        study = StudyDir(folder.path)
        if study.running or any(supervisor_alive(member) for member in study.members()):
            raise RunsError(refusal)
    workers = [path / "lock" for path in folder.path.iterdir() if path.is_dir() and not path.is_symlink()]
    if supervisor_alive(folder) or any(liveness.holder(lock) is not None for lock in workers):
        raise RunsError(refusal)
    with contextlib.ExitStack() as held:
        if folder.supervisor_lock.exists():
            try:
                held.callback(liveness.Lock(folder.supervisor_lock).release)
            except BlockingIOError:
                raise RunsError(refusal) from None
        yield


@contextlib.contextmanager
def _saying(folder: ExperimentDir, what: str) -> Iterator[None]:
    """Turn an `OSError` into a `RunsError` for the user."""
    try:
        yield
    except OSError as error:
        why = "it is gone" if error.errno == errno.ENOENT else error.strerror
        raise RunsError(f"can't {what} {safe_text(folder.path, one_line=True)}: {why}") from None
