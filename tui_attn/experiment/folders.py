"""The file names of an experiment and its runs."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tui_attn.experiment.manifest import Manifest, RunsError
from tui_attn.system.children import Folder
from tui_attn.system.files import sync_folder
from tui_attn.system.plain_file import NotAFileError
from tui_attn.system.text import safe_text

ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
TRASH = ".trash"
"""The folder of deleted experiments within the folder of experiments."""


class FileIn:
    """The path of a file by its name in the folder `path` of the object that has this attribute."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type) -> Path:
        found: Path = owner.path / self._name
        return found


def run_id(model: str, seed: int) -> str:
    """The id of the run of `model` with `seed`."""
    return f"{model}-s{seed}"


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    name: str = field(default="", kw_only=True)
    """The folder's name, where `path` doesn't end with it because the folder is known by a descriptor."""

    @property
    def id(self) -> str:
        """The id of the experiment or of the run (`<model>-s<seed>`): its folder's name."""
        return self.name or self.path.name or self.path.absolute().name


@dataclass(frozen=True, slots=True)
class RunDir(_Folder):
    """The files of one run."""

    held: tuple[Path, Path] | None = field(default=None, kw_only=True)
    """The folders of checkpoints and probes, where they are held by descriptors: see `opened`."""

    events = FileIn("events.jsonl")
    """The run's event log, written by its worker."""

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints and LATEST.json."""
        return self.held[0] if self.held else self.path / "checkpoints"

    @property
    def probes(self) -> Path:
        """The folder of arrays that probe events name."""
        return self.held[1] if self.held else self.path / "probes"

    predictions = FileIn("predictions.npz")
    """The final logits on the test set."""
    weights = FileIn("weights.safetensors")
    """The final weights."""
    heartbeat = FileIn("heartbeat")
    """Touched while the worker makes progress."""
    lock = FileIn("lock")
    """Held by the worker that trains this run."""
    claim = FileIn("claim")
    """The token of the worker that took the run last."""
    worker_log = FileIn("worker.log")
    """What the worker and its libraries printed."""

    def make(self) -> None:
        """Create the folder with its subfolders, mode 0700. Raises `OSError`, also where one is a symbolic link."""
        for folder in (self.path, self.checkpoints, self.probes):
            if folder.is_symlink():
                raise NotAFileError(errno.ELOOP, "it is a symbolic link, which is not followed", str(folder))
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                if not folder.is_dir():
                    raise NotAFileError(errno.ENOTDIR, "it is no folder", str(folder)) from None
            else:
                sync_folder(folder.parent)

    @contextlib.contextmanager
    def opened(self) -> Iterator[RunDir]:
        """The run by descriptors: `checkpoints` and `probes` stay the folders they are now, whatever replaces them.

        The folders are made. Raises `OSError`, also where one is a symbolic link.
        """
        self.make()
        with contextlib.ExitStack() as stack:
            run, checkpoints, probes = (Folder(path) for path in (self.path, self.checkpoints, self.probes))
            for folder in (run, checkpoints, probes):
                stack.callback(folder.close)
            yield RunDir(run.path, name=self.id, held=(checkpoints.path, probes.path))


@dataclass(frozen=True, slots=True)
class ExperimentDir(_Folder):
    """The files of one experiment."""

    manifest = FileIn("experiment.json")
    """Configuration, threads, versions, device."""

    events = FileIn("events.jsonl")
    """The experiment's event log, written by the supervisor."""
    control = FileIn("control.jsonl")
    """Commands to the supervisor, from users and programs."""
    supervisor = FileIn("supervisor.json")
    """Identifies the supervisor's process."""
    supervisor_lock = FileIn("supervisor.lock")
    """Held by the supervisor; its time stamp is the supervisor's heartbeat."""
    supervisor_log = FileIn("supervisor.log")
    """What the supervisor printed; normally nothing."""

    def custom_model(self, model: str) -> Path:
        """The experiment's copy of a custom model's file."""
        return self.path / "models" / f"{model}.py"

    def run(self, run: str) -> RunDir:
        """The run with id `run`. Raises `RunsError` for what can't be an id."""
        if not ID.fullmatch(run):
            raise RunsError(f"'{safe_text(run, one_line=True)}' is not a run's id")
        return RunDir(self.path / run)

    def manifest_data(self) -> Manifest:
        """The manifest. Raises `RunsError` when it isn't one of ours or is damaged."""
        return replace(Manifest.read(self.manifest), id=self.id)
