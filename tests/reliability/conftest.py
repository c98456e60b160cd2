import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.invariants import Reference, processes, reference
from tests.waiting import eventually
from tui_attn import data
from tui_attn.experiment import writing
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogReader, LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import STRATIFIED, Manifest
from tui_attn.experiment.writing import write_manifest
from tui_attn.system import liveness

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]
"""These tests look into /proc."""

ROOT = Path(__file__).parents[2]


def make_experiment(folder: Path, **options: Any) -> ExperimentDir:
    """An experiment on little data: two models, two epochs of five steps, one thread."""
    settings: dict[str, Any] = {
        "models": ("base", "se"),
        "dataset": "synthetic",
        "epochs": 2,
        "train_limit": 80,
        "batch_size": 16,
        "test_limit": 50,
    }
    config = ExperimentConfig(**settings | options)
    located = data.ensure("synthetic")
    experiment = writing.make_experiment(folder, config)
    manifest = Manifest(
        id=experiment.id,
        created=time.time(),
        config=config,
        threads=1,
        devices=("cpu",),
        precision="fp32",
        data={"root": str(located.root), "files": [], "source": located.source, "version": located.version},
        versions={},
        host="here",
        subset=STRATIFIED,
    )
    write_manifest(experiment, manifest)
    return experiment


class Lab:
    """Starts experiments through the zygote, and kills what belongs to them."""

    def __init__(self, zygote: "subprocess.Popen[str]", folder: Path) -> None:
        self._zygote = zygote
        self.folder = folder

    def make(self, **options: Any) -> ExperimentDir:
        return make_experiment(self.folder / "runs", **options)

    def start(
        self,
        experiment: ExperimentDir,
        *,
        fault: str = "",
        worker_faults: tuple[str, ...] = (),
        group: Path | None = None,
    ) -> int:
        """Start a supervisor and return its pid. `fault` is its own, `worker_faults` those of its workers in turn."""
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        order = {
            "folder": str(experiment.path),
            "fault": fault,
            "worker_faults": list(worker_faults),
            "group": None if group is None else str(group),
        }
        self._zygote.stdin.write(json.dumps(order) + "\n")
        self._zygote.stdin.flush()
        return int(self._zygote.stdout.readline())

    def finish(self, experiment: ExperimentDir) -> None:
        """Start a supervisor and wait for the end."""
        before = starts(experiment)
        self.start(experiment)
        eventually(lambda: starts(experiment) > before, f"another start of {experiment.path}")
        self.await_end(experiment)

    def await_end(self, experiment: ExperimentDir) -> None:
        """Wait until the experiment has ended and nothing of it lives."""
        eventually(lambda: ended(experiment), f"the end of {experiment.path}")
        eventually(lambda: not processes(experiment.path), f"the end of the processes of {experiment.path}")

    def await_frozen(self, experiment: ExperimentDir) -> int:
        """Wait until a process of the experiment froze at a fault point, and return its pid."""
        return int(eventually(lambda: frozen(experiment), f"a frozen process in {experiment.path}"))


def starts(experiment: ExperimentDir) -> int:
    """How often a supervisor took charge."""
    return [event.type for event in LogReader(experiment.events).read()].count("experiment_started")


def gone(pid: int) -> bool:
    """Whether the process is over."""
    return liveness.process_start_time(pid) is None


def ended(experiment: ExperimentDir) -> bool:
    """Whether the experiment's log says that it ended."""
    return read_state(experiment).state.state in {"finished", "stopped", "failed"}


def frozen(experiment: ExperimentDir) -> int:
    """The pid of a stopped process of the experiment, 0 when there is none."""
    return next(stopped(experiment), 0)


def stopped(experiment: ExperimentDir) -> Iterator[int]:
    """The pids of the stopped processes of the experiment."""
    for pid in processes(experiment.path):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state == "T":
            yield pid


def kill(pid: int) -> None:
    """SIGKILL `pid`, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: gone(pid), f"the end of {pid}")


@contextlib.contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder that is gone afterwards; in memory where possible, because the product waits for the disk so often."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="reliability-", dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name).resolve()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of the test's own."""
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture(scope="session")
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the zygote's processes keep what is the user's, such as which code is theirs."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def zygote(state_home: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has imported torch."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "tests.reliability.zygote"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(state_home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def lab(zygote: "subprocess.Popen[str]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    made = Lab(zygote, tmp_path)
    yield made
    for pid in processes(tmp_path):
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: gone(pid), f"the end of {pid}")  # type: ignore[misc]


@pytest.fixture(scope="session")
def undisturbed(zygote: "subprocess.Popen[str]") -> dict[str, Reference]:
    """The runs of an experiment that nothing interrupted."""
    with folder_in_memory() as folder:
        lab = Lab(zygote, folder)
        experiment = lab.make()
        lab.finish(experiment)
        return reference(experiment)


RANDOM = r"\.[0-9a-f]{16}\.tmp$"
"""The end of a temporary file's name."""


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The syncs, renames and appends from now on, in their order."""
    notes: list[str] = []
    fsync, replace, append = os.fsync, Path.replace, LogWriter.append

    def note_fsync(fd: int) -> None:
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        notes.append(f"fsync {re.sub(RANDOM, '.tmp', name)}")
        fsync(fd)

    def note_replace(self: Path, target: Path) -> Path:
        notes.append(f"rename to {target.name}")
        return replace(self, target)

    def note_append(self: LogWriter, type_: str, /, **payload: Any) -> None:
        notes.append(f"append {type_}")
        append(self, type_, **payload)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    monkeypatch.setattr(LogWriter, "append", note_append)
    return notes
