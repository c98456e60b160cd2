"""Every file name of an experiment and a run; making, finding and listing them; whether they live."""

from __future__ import annotations

import errno
import json
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tui_attn import liveness
from tui_attn.config import PRECISIONS, ConfigError, ExperimentConfig
from tui_attn.events import MAX_TIME
from tui_attn.storage import exclusive, read_json, sync_folder, write_atomically
from tui_attn.text import safe_text

FORMAT = "tui-attn"
FORMAT_VERSION = 1
ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_DEVICE = re.compile(r"[a-z0-9]{1,32}(:[0-9]{1,8})?")
"""What a device may be called: the name becomes part of a lock file's."""
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
        """Create the folder with its subfolders, mode 0700. Raises `OSError`, also where one is a symbolic link."""
        for folder in (self.path, self.checkpoints, self.probes):
            if folder.is_symlink():
                raise OSError(errno.ELOOP, "is a symbolic link, which is not followed", str(folder))
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                if not folder.is_dir():
                    raise
            else:
                sync_folder(folder.parent)


@dataclass(frozen=True, slots=True)
class ExperimentDir:
    """The files of one experiment."""

    path: Path

    @property
    def id(self) -> str:
        """The experiment's id, its folder's name."""
        return self.path.name or self.path.absolute().name

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

    def own_model(self, model: str) -> Path:
        """The experiment's copy of the file of a model of one's own."""
        return self.path / "models" / f"{model}.py"

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
        """Plain JSON types, with the format's mark; the file holds a checksum of them as well."""
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
        if data is None and _looks_like_ours(path.parent):
            raise RunsError(f"{where}/experiment.json {_why_unreadable(path)}: restore it from a copy")
        if data is None or data.get("format") != FORMAT:
            raise RunsError(f"{where} is not an experiment of tui-attn: 'tui-attn ls' lists those there are")
        if data.get("version") != FORMAT_VERSION:
            raise RunsError(f"{where} was written by a later version of tui-attn: update tui-attn to read it")
        try:
            if "crc" in data and data["crc"] != _checksum(data):
                raise ValueError("its checksum is wrong")
            return cls(
                id=path.absolute().parent.name,
                created=_time(data["created"]),
                config=ExperimentConfig.from_json(data["config"]),
                threads=max(1, min(int(data["threads"]), 1024)),
                devices=_devices(data["devices"]),
                precision=_precision(data["precision"]),
                data=dict(data["data"]),
                versions={str(key): str(value) for key, value in dict(data["versions"]).items()},
                host=str(data["host"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, ConfigError, OverflowError, RecursionError):
            raise RunsError(f"{where}/experiment.json is damaged: restore it from a copy") from None


def _checksum(data: dict[str, Any]) -> str:
    """CRC-32 (hex) of everything but the checksum, however it is laid out: one flipped bit may be another --lr."""
    rest = {key: value for key, value in data.items() if key != "crc"}
    return f"{zlib.crc32(json.dumps(rest, sort_keys=True).encode()):08x}"


def _devices(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(_DEVICE.fullmatch(name) for name in names):
        raise ValueError("no list of devices")
    return tuple(names)


def _precision(name: Any) -> str:
    if name not in PRECISIONS:
        raise ValueError("no precision")
    return str(name)


def _time(seconds: Any) -> float:
    if not 0 <= float(seconds) < MAX_TIME:
        raise ValueError("no time")
    return float(seconds)


def _why_unreadable(path: Path) -> str:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW))
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return "is damaged"


def write_manifest(folder: ExperimentDir, manifest: Manifest) -> None:
    """Write `experiment.json` atomically. Raises `OSError`."""
    data = manifest.to_json()
    text = json.dumps(data | {"crc": _checksum(data)}, indent=1, ensure_ascii=False)
    write_atomically(folder.manifest, text.encode("utf-8", "backslashreplace") + b"\n")


def extend_manifest(folder: ExperimentDir, seeds: int) -> Manifest:
    """Bring the experiment to `seeds` seeds. Raises `RunsError` when it has as many already, `OSError`."""

    def wider(manifest: Manifest) -> Manifest:
        if seeds <= manifest.config.seeds:
            known = "1 seed" if manifest.config.seeds == 1 else f"{manifest.config.seeds} seeds"
            raise RunsError(f"{folder.id} has {known} already: ask for more with --seeds")
        return replace(manifest, config=replace(manifest.config, seeds=seeds))

    return _change_manifest(folder, wider)


def rename_manifest(folder: ExperimentDir, name: str | None) -> Manifest:
    """Let people see the experiment as `name`, or as its id when None. Raises `RunsError`, `OSError`."""
    return _change_manifest(folder, lambda manifest: replace(manifest, config=replace(manifest.config, name=name)))


def _change_manifest(folder: ExperimentDir, change: Callable[[Manifest], Manifest]) -> Manifest:
    """Read, change and write the manifest, one process at a time. Raises `RunsError`, `OSError`."""
    with exclusive(folder.path / "experiment.lock"):
        try:
            changed = change(folder.manifest_data())
        except ConfigError as error:
            raise RunsError(str(error)) from None
        write_manifest(folder, changed)
    return changed


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
            sync_folder(runs_dir)
            return ExperimentDir(folder.absolute())
    except OSError as error:
        where = safe_text(runs_dir, one_line=True)
        raise RunsError(f"can't write to {where} ({error.strerror}): choose another folder with --runs-dir") from None
    raise RunsError(f"can't find a free name in {safe_text(runs_dir, one_line=True)}: use another --name")


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return slug or "experiment"


def experiments(runs_dir: Path) -> Iterator[ExperimentDir]:
    """The experiments under `runs_dir`, newest first and damaged ones last; what isn't ours is passed over.

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


def is_ours(folder: Path) -> bool:
    """Whether this program made `folder`, as an experiment that may be damaged."""
    data = read_json(folder / "experiment.json")
    return _looks_like_ours(folder) if data is None else data.get("format") == FORMAT


def _looks_like_ours(folder: Path) -> bool:
    """Whether a folder without a readable experiment.json was nevertheless made by this program."""
    try:
        if not (folder / "supervisor.lock").is_file():
            return False
    except OSError:  # a folder of somebody else's
        return False
    try:
        fd = os.open(folder / "events.jsonl", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return _is_there(folder / "experiment.json")
    os.close(fd)
    return True


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _created(folder: ExperimentDir) -> float:
    data = read_json(folder.manifest) or {}
    created = data.get("created")
    try:
        return _time(created)
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
        folder.manifest_data()
        return folder
    if ID.fullmatch(name) and (runs_dir / name).is_symlink():
        raise RunsError(f"{where}/{name} is a symbolic link, which is not followed: name the folder by its path")
    if ID.fullmatch(name) and (_is_there(runs_dir / name / "experiment.json") or _looks_like_ours(runs_dir / name)):
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
