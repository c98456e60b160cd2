"""Finding and listing the experiments of a folder; other folders are ignored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from tui_attn.experiment.folders import ID, ExperimentDir
from tui_attn.experiment.manifest import FORMAT, RunsError, is_there, looks_like_ours, point_in_time
from tui_attn.system.files import read_json
from tui_attn.system.text import has_control_characters, safe_text

_CLOCK_SET_BACK = 2 * 86_400.0
"""Seconds by which a clock may have been set back."""


def experiments(runs_dir: Path) -> Iterator[ExperimentDir]:
    """The experiments under `runs_dir`, newest first and damaged ones last; other folders are ignored.

    Raises `RunsError` when `runs_dir` is there and can't be read.
    """
    try:
        names = sorted((path.name for path in candidates(runs_dir) if is_ours(path)), reverse=True)
    except FileNotFoundError:
        return
    found = [ExperimentDir((runs_dir / name).absolute()) for name in names]
    yield from sorted(found, key=_created, reverse=True)


def candidates(runs_dir: Path) -> list[Path]:
    """The folders in `runs_dir` that may be experiments by their names; links are not followed.

    Raises `FileNotFoundError` when `runs_dir` isn't there, `RunsError` when it can't be read.
    """
    try:
        with os.scandir(runs_dir) as entries:
            return [
                runs_dir / entry.name
                for entry in entries
                if ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        raise
    except OSError as error:
        where = safe_text(runs_dir, one_line=True)
        raise RunsError(f"can't read {where} ({error.strerror}): choose another folder with --runs-dir") from None


def next_in_order(runs_dir: Path, now: float) -> float:
    """The creation time of an experiment that begins at `now` (unix seconds): later than that of all others.

    The clock may have been set back since the last one began. One that is far ahead must have been wrong then.
    """
    try:
        newest = max(map(_created, map(ExperimentDir, candidates(runs_dir))), default=0.0)
    except (FileNotFoundError, RunsError):
        return now
    return newest + 0.001 if now <= newest < now + _CLOCK_SET_BACK else now


def is_ours(folder: Path) -> bool:
    """Whether this program made `folder` as an experiment, which may be damaged."""
    data = read_json(folder / "experiment.json")
    return looks_like_ours(folder) if data is None else data.get("format") == FORMAT


def _created(folder: ExperimentDir) -> float:
    data = read_json(folder.manifest) or {}
    created = data.get("created")
    try:
        return point_in_time(created)
    except (TypeError, ValueError, OverflowError):
        return 0.0


def find_experiment(runs_dir: Path, name: str | None) -> ExperimentDir:
    """The experiment called `name`: its id, the unambiguous start of one, its display name, or a path.

    None stands for the newest. Raises `RunsError` when there is none.
    """
    where = safe_text(runs_dir, one_line=True)
    if name is None:
        for folder in experiments(runs_dir):
            return folder
        raise RunsError(f"no experiment in {where}: start one with 'tui-attn', or choose a folder with --runs-dir")
    if "/" in name or name in {".", ".."}:
        try:
            folder = ExperimentDir(Path(name).expanduser().resolve())
        except (OSError, RuntimeError, ValueError):
            raise RunsError(f"{safe_text(name, one_line=True)} can be no folder: check the path") from None
        if has_control_characters(folder.id):
            raise RunsError(f"{safe_text(folder.path, one_line=True)} has control characters in its name: rename it")
        folder.manifest_data()
        return folder
    if ID.fullmatch(name) and (runs_dir / name).is_symlink():
        raise RunsError(f"{where}/{name} is a symbolic link, which is not followed: name the folder by its path")
    if ID.fullmatch(name) and (is_there(runs_dir / name / "experiment.json") or looks_like_ours(runs_dir / name)):
        folder = ExperimentDir((runs_dir / name).absolute())
        folder.manifest_data()
        return folder
    return only_match(name, experiments(runs_dir), _display, where=where, lists="tui-attn ls")


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Identified)


def only_match(name: str, among: Iterable[T], display: Callable[[T], str | None], *, where: str, lists: str) -> T:
    """The item whose id begins with `name` or whose display name it is, if need be ignoring case and blanks.

    Raises `RunsError` for none and for several. `where` (safe to show) and the command `lists` are for its message.
    """
    items = list(among) if name else []
    matches = [item for item in items if item.id.startswith(name) or display(item) == name]
    matches = matches or [item for item in items if _loosely(display(item)) == _loosely(name)]
    if len(matches) == 1:
        return matches[0]
    shown = safe_text(name, one_line=True)
    if matches:
        raise RunsError(f"'{shown}' fits {len(matches)} experiments in {where}: give more of the id ('{lists}')")
    raise RunsError(f"no experiment '{shown}' in {where}: '{lists}' lists those there are")


def _loosely(name: str | None) -> str | None:
    return None if name is None else " ".join(name.casefold().split())


def _display(folder: ExperimentDir) -> str | None:
    try:
        return folder.manifest_data().config.name
    except RunsError:
        return None
