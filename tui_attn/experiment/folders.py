"""Every file name of an experiment and a run."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tui_attn.experiment.manifest import Manifest, RunsError
from tui_attn.system.children import Folder
from tui_attn.system.files import sync_folder
from tui_attn.system.plain_file import NotAFileError
from tui_attn.system.text import safe_text

ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
TRASH = ".trash"
"""Where deleted experiments are, in the folder of experiments."""


def run_id(model: str, seed: int) -> str:
    """The id of the run of `model` with `seed`."""
    return f"{model}-s{seed}"


@dataclass(frozen=True, slots=True)
class RunDir:
    """The files of one run."""

    path: Path
    name: str = field(default="", kw_only=True)
    """The folder's name, where `path` doesn't end with it because the folder is known by a descriptor."""
    held: tuple[Path, Path] | None = field(default=None, kw_only=True)
    """The folders of checkpoints and probes, where they are known by descriptors: see `opened`."""

    @property
    def id(self) -> str:
        """The run's id, `<model>-s<seed>`."""
        return self.name or self.path.name

    @property
    def events(self) -> Path:
        """The run's event log, written by its worker."""
        return self.path / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints and LATEST.json."""
        return self.held[0] if self.held else self.path / "checkpoints"

    @property
    def probes(self) -> Path:
        """The folder of arrays that probe events name."""
        return self.held[1] if self.held else self.path / "probes"

    @property
    def predictions(self) -> Path:
        """The final logits on the test set."""
        return self.path / "predictions.npz"

    @property
    def weights(self) -> Path:
        """The final weights."""
        return self.path / "weights.safetensors"

    @property
    def heartbeat(self) -> Path:
        """Touched while the worker makes progress."""
        return self.path / "heartbeat"

    @property
    def lock(self) -> Path:
        """Held by the worker that trains this run."""
        return self.path / "lock"

    @property
    def claim(self) -> Path:
        """The token of the worker that took the run last."""
        return self.path / "claim"

    @property
    def worker_log(self) -> Path:
        """What the worker and its libraries printed."""
        return self.path / "worker.log"

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
class ExperimentDir:
    """The files of one experiment."""

    path: Path
    name: str = field(default="", kw_only=True)
    """The folder's name, where `path` doesn't end with it because the folder is known by a descriptor."""

    @property
    def id(self) -> str:
        """The experiment's id, its folder's name."""
        return self.name or self.path.name or self.path.absolute().name

    @property
    def manifest(self) -> Path:
        """Configuration, threads, versions, device."""
        return self.path / "experiment.json"

    @property
    def events(self) -> Path:
        """The experiment's event log, written by the supervisor."""
        return self.path / "events.jsonl"

    @property
    def control(self) -> Path:
        """Commands from users and other programs."""
        return self.path / "control.jsonl"

    @property
    def supervisor(self) -> Path:
        """Who the supervisor is."""
        return self.path / "supervisor.json"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor; its time stamp is the supervisor's heartbeat."""
        return self.path / "supervisor.lock"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor printed: nothing, when all is well."""
        return self.path / "supervisor.log"

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
