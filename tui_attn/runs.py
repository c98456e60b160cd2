"""Every file name of an experiment and a run; making, finding and listing them; whether they live."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tui_attn import liveness
from tui_attn.config import ConfigError, ExperimentConfig
from tui_attn.text import safe_text

FORMAT = "tui-attn"
FORMAT_VERSION = 1
ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
STALLED_AFTER = 30.0
"""Seconds of silence after which a live worker counts as stalled, and one on another host as lost."""


class RunsError(Exception):
    """There is no such experiment, or it can't be read or made; the message is one line and says what to do."""


def run_id(model: str, seed: int) -> str:
    """The id of the run of `model` with `seed`."""
    return f"{model}-s{seed}"


@dataclass(frozen=True, slots=True)
class RunDir:
    """The files of one run."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id, `<model>-s<seed>`."""
        return self.path.name

    @property
    def events(self) -> Path:
        """The run's event log, written by its worker."""
        return self.path / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints and LATEST.json."""
        return self.path / "checkpoints"

    @property
    def probes(self) -> Path:
        """The folder of arrays that probe events name."""
        return self.path / "probes"

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
    def worker_log(self) -> Path:
        """What the worker and its libraries printed."""
        return self.path / "worker.log"

    def make(self) -> None:
        """Create the folder with its subfolders, mode 0700."""
        for folder in (self.path, self.checkpoints, self.probes):
            folder.mkdir(mode=0o700, exist_ok=True)


@dataclass(frozen=True, slots=True)
class ExperimentDir:
    """The files of one experiment."""

    path: Path

    @property
    def id(self) -> str:
        """The experiment's id, its folder's name."""
        return self.path.name

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
        """The commands of whoever steers."""
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

    def run(self, run: str) -> RunDir:
        """The run with id `run`. Raises `RunsError` for what can't be an id."""
        if not ID.fullmatch(run):
            raise RunsError(f"'{safe_text(run, one_line=True)}' is not a run's id")
        return RunDir(self.path / run)

    def manifest_data(self) -> Manifest:
        """The manifest. Raises `RunsError` when it isn't one of ours or is damaged."""
        return Manifest.read(self.manifest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What `experiment.json` holds."""

    id: str
    created: float
    config: ExperimentConfig
    threads: int
    """Threads of each worker; the same on every resume, because their number changes the bits."""
    devices: tuple[str, ...]
    precision: str
    """fp32, bf16, or auto for the worker to choose by the device."""
    data: dict[str, Any]
    """The data set's `root`, `source` and `version`."""
    versions: dict[str, str]
    host: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, with the format's mark."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "id": self.id,
            "created": self.created,
            "config": self.config.to_json(),
            "threads": self.threads,
            "devices": list(self.devices),
            "precision": self.precision,
            "data": self.data,
            "versions": self.versions,
            "host": self.host,
        }

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read it from `path`. Raises `RunsError`."""
        data = read_json(path)
        where = safe_text(path.parent, one_line=True)
        if data is None or data.get("format") != FORMAT:
            raise RunsError(f"{where} is not an experiment of tui-attn: 'tui-attn ls' lists those there are")
        if data.get("version") != FORMAT_VERSION:
            raise RunsError(f"{where} was written by a later version of tui-attn: update tui-attn to read it")
        try:
            return cls(
                id=path.parent.name,
                created=float(data["created"]),
                config=ExperimentConfig.from_json(data["config"]),
                threads=max(1, min(int(data["threads"]), 1024)),
                devices=tuple(str(device) for device in data["devices"]),
                precision=str(data["precision"]),
                data=dict(data["data"]),
                versions={str(key): str(value) for key, value in dict(data["versions"]).items()},
                host=str(data["host"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError, OverflowError):
            raise RunsError(f"{where}/experiment.json is damaged: restore it from a copy") from None


def read_json(path: Path, *, limit: int = 1 << 24) -> dict[str, Any] | None:
    """The JSON object in `path`, or None when it can't be read or is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return None
    try:
        with os.fdopen(fd, "rb") as file:
            data = json.loads(file.read(limit))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def write_atomically(
    path: Path, data: bytes, *, sync: bool = True, after_write: Callable[[], None] | None = None
) -> None:
    """Put `data` at `path` so that a crash leaves the old or the new content, never a part. Raises `OSError`.

    Without `sync` that holds for a crash of the process, not for a power loss.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        if after_write is not None:
            after_write()
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames in the folder `path` survive a power loss, where the file system can."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError:  # some network file systems refuse to sync a folder
        pass
    finally:
        os.close(fd)


def write_manifest(folder: ExperimentDir, manifest: Manifest) -> None:
    """Write `experiment.json` atomically. Raises `OSError`."""
    text = json.dumps(manifest.to_json(), indent=1, ensure_ascii=False)
    write_atomically(folder.manifest, text.encode("utf-8", "backslashreplace") + b"\n")


def extend_manifest(folder: ExperimentDir, seeds: int) -> Manifest:
    """Bring the experiment to `seeds` seeds. Raises `RunsError` when it has as many already, `OSError`."""
    manifest = folder.manifest_data()
    if seeds <= manifest.config.seeds:
        raise RunsError(f"{folder.id} has {manifest.config.seeds} seeds already: ask for more with --seeds")
    try:
        wider = replace(manifest, config=replace(manifest.config, seeds=seeds))
    except ConfigError as error:
        raise RunsError(str(error)) from None
    write_manifest(folder, wider)
    return wider


def make_experiment(runs_dir: Path, config: ExperimentConfig, *, now: float | None = None) -> ExperimentDir:
    """Create an empty folder for a new experiment under `runs_dir`. Raises `RunsError` when it can't be written."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    base = f"{stamp}-{_slug(config.name or config.dataset)}"[:56].rstrip("-._")
    try:
        runs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempt in range(1000):
            folder = runs_dir / (base if attempt == 0 else f"{base}-{attempt + 1}")
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return ExperimentDir(folder.absolute())
    except OSError as error:
        where = safe_text(runs_dir, one_line=True)
        raise RunsError(f"can't write to {where} ({error.strerror}): choose another folder with --runs-dir") from None
    raise RunsError(f"can't find a free name in {safe_text(runs_dir, one_line=True)}: use another --name")


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return slug or "experiment"


def experiments(runs_dir: Path) -> Iterator[ExperimentDir]:
    """The experiments under `runs_dir`, newest first; folders that aren't ours are passed over."""
    try:
        names = sorted((entry.name for entry in os.scandir(runs_dir) if _is_ours(entry)), reverse=True)
    except OSError:
        return
    found = [ExperimentDir((runs_dir / name).absolute()) for name in names]
    yield from sorted(found, key=_created, reverse=True)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    if not ID.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
        return False
    data = read_json(Path(entry.path) / "experiment.json")
    return data is not None and data.get("format") == FORMAT


def _created(folder: ExperimentDir) -> float:
    data = read_json(folder.manifest) or {}
    created = data.get("created")
    return float(created) if isinstance(created, int | float) and not isinstance(created, bool) else 0.0


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
        folder = ExperimentDir(Path(name).expanduser().absolute())
        folder.manifest_data()
        return folder
    if ID.fullmatch(name) and (runs_dir / name / "experiment.json").exists():
        folder = ExperimentDir((runs_dir / name).absolute())
        folder.manifest_data()
        return folder
    all_ = experiments(runs_dir) if name else ()
    matches = [folder for folder in all_ if folder.id.startswith(name) or _display(folder) == name]
    if len(matches) == 1:
        return matches[0]
    shown = safe_text(name, one_line=True)
    if matches:
        raise RunsError(f"'{shown}' fits {len(matches)} experiments in {where}: give more of the id ('tui-attn ls')")
    raise RunsError(f"no experiment '{shown}' in {where}: 'tui-attn ls' lists those there are")


def _display(folder: ExperimentDir) -> str | None:
    try:
        return folder.manifest_data().config.name
    except RunsError:
        return None


def supervisor_identity(folder: ExperimentDir) -> liveness.Identity | None:
    """Who supervises or last supervised `folder`."""
    return liveness.Identity.from_json((read_json(folder.supervisor) or {}).get("identity"))


def supervisor_alive(folder: ExperimentDir, *, now: float | None = None) -> bool:
    """Whether a supervisor owns `folder` now: by its lock here, by its heartbeat on another host."""
    pid = liveness.holder(folder.supervisor_lock)
    if pid is not None:
        return True
    who = supervisor_identity(folder)
    if who is None or who.here():
        return False
    if who.host == os.uname().nodename:  # this host, before its last boot
        return False
    age = liveness.age(folder.supervisor_lock, now=now)
    return age is not None and age < STALLED_AFTER


def run_silent(run: RunDir, *, now: float | None = None) -> bool:
    """Whether the worker of `run` has shown no progress for `STALLED_AFTER` seconds."""
    age = liveness.age(run.heartbeat, now=now)
    return age is not None and age > STALLED_AFTER
