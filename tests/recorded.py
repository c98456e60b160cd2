"""Writes whole recorded experiment folders, as supervisor and workers would: every state, without training anything.

    folder = record(tmp_path, states={"se-s0": "failed"})           # 3 models x 1 seed, one of them failed
    folder = scene(tmp_path, "running")                             # the experiment's states, ready-made
    with supervised(folder): ...                                    # else what runs in the logs reads as lost

The curves are seeded: the same arguments write the same logs, byte for byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests import clocks
from tests import recorded_curves as curves
from tests.clocks import Clock
from tests.recorded_curves import CLASS_NAMES, IMAGES_PER_SECOND, MACS, PARAMETERS
from tui_attn.experiment import reducer
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir, RunDir, run_id
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.writing import write_manifest
from tui_attn.system import liveness

T0 = clocks.T0
NEVER_OLD = 4e9
"""When every recorded worker showed its last sign of life, unix seconds: it gets on however slow the machine is."""

TRACEBACK = """Traceback (most recent call last):
  File "tui_attn/train/worker.py", line 118, in train
    loss = self.step(batch)
  File "tui_attn/train/loop.py", line 61, in step
    raise NonFiniteLoss(step)
tui_attn.train.loop.NonFiniteLoss: the loss is nan at step 938
"""

RUN_STATES = ("queued", "starting", "running", "resumed", "paused", "finished", "stopped", "skipped", "failed")
"""What `states` may say of a run; `resumed` is running again after its worker died."""

SCENES = ("empty", "running", "paused", "finished", "stopped", "skipped", "failed", "lost")


@dataclass(kw_only=True)
class Recorder:
    """What is written, and how. Build one through `record`."""

    config: ExperimentConfig
    states: Mapping[str, str] = field(default_factory=dict)
    state: str = "finished"
    """Of the runs that `states` doesn't name."""
    done: Mapping[str, int] = field(default_factory=dict)
    """Epochs that a run completed, where it isn't all of them or, for a run that didn't finish, half."""
    accuracies: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Final test accuracies of a model's seeds, in the order of the seeds."""
    train_size: int = 60_000
    test_size: int = 10_000
    points_per_epoch: int = 50
    points_per_block: int = 10
    predictions: bool = True
    probes: bool = True
    class_names: Sequence[str] | None = None
    traceback: str = TRACEBACK
    reason: str = "the loss is nan at step 938"
    """Why failed runs failed."""
    about: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What else, or otherwise, a run says of itself when it starts."""
    warnings: Mapping[str, str] = field(default_factory=dict)
    """A warning of a run's worker."""
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    planned: bool = False
    """Whether the plan of the configuration is recorded, as 0.1.0 did not."""
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        unknown = {*self.states.values(), self.state} - set(RUN_STATES)
        if unknown:
            raise ValueError(f"no states of a run: {unknown}")
        self.train_size = self.config.train_limit or self.train_size
        self.test_size = self.config.test_limit or self.test_size
        channels = 3 if self.config.dataset.startswith("cifar") else 1
        self.parameters, self.macs = PARAMETERS[channels], MACS[channels]
        names = self.class_names or CLASS_NAMES.get(self.config.dataset, CLASS_NAMES["fashion-mnist"])
        self.names = list(names)
        self.steps_per_epoch = -(-self.train_size // self.config.batch_size)
        self.truth = curves.labels(self.test_size, len(self.names))

    def state_of(self, run: str) -> str:
        """The state in which `run` is left."""
        return self.states.get(run, self.state)

    def done_of(self, run: str) -> int:
        """The epochs that `run` completes."""
        usual = {"finished": self.config.epochs, "queued": 0, "starting": 0, "skipped": 0}
        return self.done.get(run, usual.get(self.state_of(run), self.config.epochs // 2))

    def write(self, folder: ExperimentDir) -> None:
        """The whole folder."""
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_manifest(folder, self.manifest(folder))
        log = LogWriter(folder.events, clock=self.clock)
        log.append("experiment_started", experiment=folder.id, devices=["cpu"], jobs=1, resumed=False)
        pairs = [(model, seed) for seed in self.config.seed_list for model in self.config.models]
        for model, seed in pairs:
            log.append("run_queued", run=run_id(model, seed), model=model, seed=seed)
        for seed in self.config.seed_list:
            self._write_seed(folder, log, seed)
        ended = [self.state_of(run_id(*pair)) for pair in pairs]
        if reducer.RUN_ENDED.issuperset(ended):
            log.append("experiment_finished", experiment=folder.id, state=reducer.outcome(ended))
        log.close()

    def manifest(self, folder: ExperimentDir) -> Manifest:
        """What `experiment.json` says."""
        return Manifest(
            id=folder.id,
            created=T0,
            config=self.config,
            threads=2,
            devices=("cpu",),
            precision="fp32",
            data={"root": "/data", "source": "cache", "version": "1", **self.data},
            versions={"tui-attn": "0.1.0", "torch": "2.15.0", "python": "3.11.7", **self.versions},
            host="recorder",
            plan=self.config.plan if self.planned else None,
        )

    def _write_seed(self, folder: ExperimentDir, log: LogWriter, seed: int) -> None:
        """The runs of one seed, which train in turns of one epoch."""
        begun = [_Recording(self, folder, log, model, seed) for model in self.config.models]
        begun = [recording for recording in begun if recording.begin()]
        for epoch in range(1, self.config.epochs + 2):
            for recording in begun:
                recording.turn(epoch)
        for recording in begun:
            recording.close()


class _Recording:
    """One run while it is written."""

    def __init__(self, recorder: Recorder, folder: ExperimentDir, log: LogWriter, model: str, seed: int) -> None:
        self.recorder, self.config, self.clock = recorder, recorder.config, recorder.clock
        self.model, self.seed, self.id = model, seed, run_id(model, seed)
        self.folder: RunDir = folder.run(self.id)
        self.experiment_log = log
        self.state, self.done = recorder.state_of(self.id), recorder.done_of(self.id)
        self.train_seconds = 0.0
        self.step = 0
        given = recorder.accuracies.get(model)
        final = (
            curves.final_accuracy(self.config.dataset, model, seed, recorder.test_size)
            if given is None
            else given[seed - self.config.seed]
        )
        self.course = curves.course(
            model,
            seed,
            final=final,
            epochs=self.config.epochs,
            steps_per_epoch=recorder.steps_per_epoch,
            points_per_epoch=recorder.points_per_epoch,
            test_size=recorder.test_size,
        )

    def begin(self) -> bool:
        """Start it, as far as it ever did; whether it goes on from there."""
        self.folder.make()
        if self.state == "queued":
            return False
        if self.state == "skipped" and not self.done:
            self.experiment_log.append("run_ended", run=self.id, state="skipped", reason="skipped by the user")
            return False
        self._start(attempt=1)
        if self.state == "starting":
            return False
        self.log = LogWriter(self.folder.events, clock=self.clock)
        self._say_what_it_is()
        if self.id in self.recorder.warnings:
            self.log.append("warning", message=self.recorder.warnings[self.id])
        self._probe(0)
        self.folder.heartbeat.touch(mode=0o600)
        os.utime(self.folder.heartbeat, (NEVER_OLD, NEVER_OLD))
        return True

    def turn(self, epoch: int) -> None:
        """Train one epoch, or the half of one in which it stopped, or nothing once it is over."""
        if epoch <= self.done:
            self._train(epoch, self.recorder.points_per_epoch)
            self._evaluate(epoch)
        elif epoch == self.done + 1:
            if self.state != "finished":
                self._break_off(epoch)
            self._leave()

    def close(self) -> None:
        """Let go of its log."""
        self.log.close()

    def _start(self, attempt: int) -> None:
        self.experiment_log.append("run_started", run=self.id, device="cpu", worker=4242, attempt=attempt)

    def _say_what_it_is(self) -> None:
        recorder = self.recorder
        about: dict[str, Any] = {
            "model": self.model,
            "class": self.config.class_name(self.model),
            "seed": self.seed,
            "device": "cpu",
            "device_name": "a recorded processor",
            "precision": "fp32",
            "threads": 2,
            "epochs": self.config.epochs,
            "steps_per_epoch": recorder.steps_per_epoch,
            "batch_size": self.config.batch_size,
            "train_size": recorder.train_size,
            "test_size": recorder.test_size,
            "parameters": recorder.parameters.get(self.model, 64_138),
            "macs": recorder.macs.get(self.model),
            "class_names": recorder.names,
            "torch": "2.15.0",
        }
        self.log.append("started", **about | dict(recorder.about.get(self.id, {})))

    def _break_off(self, epoch: int) -> None:
        if epoch > self.config.epochs:
            return
        if self.state == "resumed" and self.done:
            self._train(epoch, self.recorder.points_per_epoch // 5)
            self.experiment_log.append("run_restarted", run=self.id, reason="its worker was killed by SIGKILL")
            self._start(attempt=2)
            self._say_what_it_is()
            self.step = self.done * self.recorder.steps_per_epoch
            self.log.append("resumed", from_step=self.step, epoch=self.done, skipped=[])
        self._train(epoch, self.recorder.points_per_epoch // 2)

    def _train(self, epoch: int, points: int) -> None:
        """Log the first `points` of an epoch's points, in blocks."""
        whole = len(self.course.steps) // self.config.epochs
        first, last = (epoch - 1) * whole, (epoch - 1) * whole + min(points, whole)
        pace = self.config.batch_size / IMAGES_PER_SECOND.get(self.model, 12_000.0)
        for start in range(first, last, self.recorder.points_per_block):
            block = slice(start, min(start + self.recorder.points_per_block, last))
            steps = self.course.steps[block]
            seconds = (steps[-1] - self.step) * pace
            self.step = steps[-1]
            self.train_seconds += seconds
            self.clock.now += seconds
            self.log.append(
                "metrics",
                epoch=epoch,
                step=steps,
                loss=self.course.losses[block],
                accuracy=self.course.accuracies[block],
                train_seconds=round(self.train_seconds, 4),
            )

    def _evaluate(self, epoch: int) -> None:
        self.clock.now += 0.25
        self.log.append(
            "epoch",
            epoch=epoch,
            step=self.step,
            train_loss=self.course.train_loss[epoch - 1],
            train_accuracy=self.course.train_accuracy[epoch - 1],
            test_loss=self.course.test_loss[epoch - 1],
            test_accuracy=self.course.test_accuracy[epoch - 1],
            images=epoch * self.recorder.train_size,
            train_seconds=round(self.train_seconds, 4),
            peak_memory=600_000_000 + 1_000 * self.recorder.parameters.get(self.model, 64_138),
        )
        self._probe(epoch)
        name = f"step-{self.step:08d}.pt"
        self.log.append("checkpoint", step=self.step, epoch=epoch, file=name, bytes=1_234_567)

    def _probe(self, epoch: int) -> None:
        """The arrays that `tui_attn.train.probe` names; epoch 0 is the untrained network."""
        arrays, glance = curves.probe(self.model, self.seed, epoch, len(self.recorder.names))
        if self.recorder.probes and arrays:
            file = f"epoch-{epoch:05d}.npz"
            np.savez(self.folder.probes / file, allow_pickle=False, **arrays)
            self.log.append("probe", epoch=epoch, file=file, gates=glance)

    def _leave(self) -> None:
        """Write what stands at the end of a run in this state."""
        if self.state == "paused":
            self.experiment_log.append("run_paused", run=self.id)
        if self.state not in reducer.RUN_ENDED:
            return
        failed, finished = self.state == "failed", self.state == "finished"
        reasons = {"failed": self.recorder.reason, "finished": None}
        reason = reasons.get(self.state, f"{self.state} by the user")
        if finished and self.recorder.predictions:
            accuracy = self.course.test_accuracy[self.done - 1]
            write_predictions(
                self.folder, self.model, self.seed, accuracy, self.recorder.truth, len(self.recorder.names)
            )
        self.log.append(
            "ended",
            state=self.state,
            reason=reason,
            traceback=self.recorder.traceback if failed else None,
            epoch=self.done,
            step=self.step,
            weights_sha256=hashlib.sha256(self.id.encode()).hexdigest() if finished else None,
        )
        extra = {"traceback": self.recorder.traceback} if failed else {}
        self.experiment_log.append("run_ended", run=self.id, state=self.state, reason=reason, **extra)


def write_predictions(
    folder: RunDir, model: str, seed: int, accuracy: float, truth: NDArray[np.int64], classes: int
) -> None:
    """`predictions.npz`: float32 `logits` [N, K], right on `accuracy` of the images, int64 `labels` [N]."""
    logits = curves.logits(model, seed, accuracy=accuracy, truth=truth, classes=classes)
    with folder.predictions.open("wb") as file:
        np.savez(file, allow_pickle=False, logits=logits, labels=truth)


def record(
    runs_dir: Path,
    *,
    experiment: str = "20231114-221320-fashion-mnist",
    config: ExperimentConfig | None = None,
    states: Mapping[str, str] | str = "finished",
    **options: Any,
) -> ExperimentDir:
    """Write `runs_dir/experiment` and return it.

    `states`: the state of all runs, or of some by id, the others finished. Of `RUN_STATES`; a lost run is a running
    one without supervisor. `config`: by default three models, one seed, five epochs. `options`: see `Recorder`.
    """
    rest = {"state": states} if isinstance(states, str) else {"states": states}
    recorder = Recorder(config=config or ExperimentConfig(epochs=5), **rest, **options)
    folder = ExperimentDir((runs_dir / experiment).absolute())
    recorder.write(folder)
    return folder


def scene(
    runs_dir: Path, name: str, *, config: ExperimentConfig | None = None, experiment: str | None = None, **options: Any
) -> ExperimentDir:
    """An experiment in one of the `SCENES`: `empty` has said nothing yet; `failed` and its like one such run."""
    if name not in SCENES:
        raise ValueError(f"no scene: {name}")
    config = config or ExperimentConfig(epochs=5)
    experiment = experiment or f"20231114-221320-{name}"
    if name == "empty":
        folder = ExperimentDir((runs_dir / experiment).absolute())
        folder.path.mkdir(mode=0o700, parents=True)
        write_manifest(folder, Recorder(config=config).manifest(folder))
        return folder
    first, *others = [run_id(model, seed) for seed in config.seed_list for model in config.models]
    live = dict.fromkeys([first, *others], "queued") | dict.fromkeys([first, *others][: len(config.models)], "running")
    by_scene: dict[str, dict[str, str] | str] = {
        "running": live,
        "lost": live,
        "paused": "paused",
        "finished": "finished",
        "stopped": "stopped",
        "skipped": {(others or [first])[0]: "skipped"},
        "failed": {(others or [first])[0]: "failed"},
    }
    return record(runs_dir, experiment=experiment, config=config, states=by_scene[name], **options)


@contextlib.contextmanager
def supervised(folder: ExperimentDir) -> Iterator[None]:
    """Hold the supervisor's lock, so that `folder` reads as one that is being trained."""
    lock = liveness.Lock(folder.supervisor_lock)
    lock.beat()
    try:
        yield
    finally:
        lock.release()


def silence(folder: ExperimentDir, run: str, *, since: float = T0) -> None:
    """Let the worker of `run` have shown no progress since `since` (unix seconds), so that it reads as stalled."""
    assert folder.run(run).heartbeat.exists()
    for heartbeat in folder.path.glob("*/heartbeat"):  # one worker trains them all, in turns
        os.utime(heartbeat, (since, since))


def damage(path: Path, *, at: int = 100) -> None:
    """Flip the bits of one byte of `path`."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)
