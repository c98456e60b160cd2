"""A supervisor whose workers are objects of the tests, and devices that don't exist."""

import time
from pathlib import Path

import pytest

from tui_attn.engines.workers import Launcher, Slot, Worker
from tui_attn.experiment import event_log
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.writing import make_experiment, write_manifest
from tui_attn.supervision.supervisor import Supervisor
from tui_attn.system import liveness

ABOUT = {
    "seed": 0,
    "device": "cpu",
    "precision": "fp32",
    "threads": 2,
    "epochs": 15,
    "steps_per_epoch": 100,
    "batch_size": 128,
    "train_size": 12800,
    "test_size": 1000,
    "parameters": 1,
    "macs": 1,
}


class Workshop(Launcher):
    """A launcher that makes workers and remembers them; `clock` is the supervisor's."""

    remote = False

    def __init__(self, folder: ExperimentDir) -> None:
        self.folder = folder
        self.made: list[HandWorker] = []
        self.now = 1000.0

    def start(self, slot: Slot, log: RunDir) -> "HandWorker":
        worker = HandWorker(self.folder, slot, token=900_000 + len(self.made))
        self.made.append(worker)
        return worker

    def clock(self) -> float:
        return self.now


class HandWorker(Worker):
    """A worker that does what the test says, when the test says it."""

    def __init__(self, folder: ExperimentDir, slot: Slot, token: int) -> None:
        self.folder, self.slot, self.token = folder, slot, token
        self.held: list[str] = []
        self.told: list[tuple[str, str | None]] = []
        self.signals: list[int] = []
        self.code: int | None = None
        self.excused: str | None = None
        self.closed = False
        self.taken_away = False

    def tell(self, do: str, run: str | None = None) -> None:
        self.told.append((do, run))
        if do == "exit":
            self.code = 0

    def exit_code(self) -> int | None:
        return self.code

    def excuse(self) -> str | None:
        return self.excused

    @property
    def evicted(self) -> bool:
        return self.taken_away

    def kill(self, signum: int) -> None:
        self.signals.append(signum)

    def close(self) -> None:
        self.closed = True

    def end(self, run: str, state: str = "finished", reason: str | None = None, *, signed: bool = False) -> None:
        log = LogWriter(self.folder.run(run).events)
        end = {"state": state, "reason": reason, "traceback": None, "epoch": 1, "step": 9, "weights_sha256": None}
        log.append("ended", **end, **({"w": f"w{self.token}"} if signed else {}))
        log.close()

    def open(self, run: str) -> None:
        """As a worker that got no further than to open its files."""
        # As a worker's, by the clock of this boot, but finer: two in a millisecond have an order.
        self.folder.run(run).heartbeat.write_text(f"{liveness.boot_id()} {time.monotonic():.9f}\n")

    def begin(self, run: str, step: int = 0, *, signed: bool = False) -> None:
        """As a worker that trained up to `step` and beat its heart."""
        log = LogWriter(self.folder.run(run).events)
        signature = {"worker": self.token, "w": f"w{self.token}"} if signed else {}
        log.append("started", **ABOUT | {"model": run.rpartition("-")[0]} | signature)
        if step:
            log.append("metrics", epoch=1, step=[step], loss=[1.0], accuracy=[0.1], train_seconds=1.0)
        log.close()
        self.open(run)


def make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, devices: tuple[str, ...] = ("cpu",), **options: object
) -> tuple[Supervisor, Workshop]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    config = ExperimentConfig(dataset="synthetic", **options)  # type: ignore[arg-type]
    folder = make_experiment(tmp_path / "runs", config)
    manifest = Manifest(
        id=folder.id,
        created=0.0,
        config=config,
        threads=2,
        devices=devices,
        precision="fp32",
        data={},
        versions={},
        host="here",
    )
    write_manifest(folder, manifest)
    return reopen(folder)


def reopen(folder: ExperimentDir) -> tuple[Supervisor, Workshop]:
    workshop = Workshop(folder)
    supervisor = Supervisor(folder, launcher=workshop, clock=workshop.clock)
    supervisor.begin()
    supervisor.tick()
    return supervisor, workshop


def command(folder: ExperimentDir, what: str, id_: str, run: str | None = None, **more: object) -> None:
    payload: dict[str, object] = {"id": id_, **more} if what == "extend" else {"id": id_, "run": run}
    event_log.append_shared(folder.control, what, payload, t=time.time())


def states(folder: ExperimentDir) -> dict[str, str]:
    return {run.id: run.state for run in read_state(folder).state.runs.values()}


def ticks(supervisor: Supervisor, count: int = 3) -> None:
    for _ in range(count):
        supervisor.tick()
