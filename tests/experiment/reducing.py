"""A state that tests of the reducer feed event by event."""

from __future__ import annotations

from typing import Any

from tests.history.histories import T0
from tui_attn.experiment.events import Event
from tui_attn.experiment.reducer import ExperimentState, RunState

ABOUT: dict[str, Any] = {
    "model": "se",
    "seed": 0,
    "device": "cpu",
    "precision": "fp32",
    "threads": 2,
    "epochs": 3,
    "steps_per_epoch": 100,
    "batch_size": 10,
    "train_size": 1000,
    "test_size": 100,
    "parameters": 53_258,
    "macs": 1,
}


class Fold:
    """A state and short ways to feed it; time goes on by a second with every event."""

    def __init__(self, *runs: str) -> None:
        self.state = ExperimentState("x")
        self.now = T0
        self.own("experiment_started", experiment="x", devices=["cuda:0"], jobs=1, resumed=False)
        for seed, run in enumerate(runs or ("se-s0",)):
            self.own("run_queued", run=run, model="se", seed=seed)

    @property
    def run(self) -> RunState:
        """The first run."""
        return next(iter(self.state.runs.values()))

    def own(self, type_: str, /, **payload: Any) -> None:
        """An event of the experiment's log."""
        self.now += 1
        self.state.apply(Event(type_, 0, self.now, payload))

    def of(self, type_: str, /, *, run_id: str = "se-s0", t: float | None = None, **payload: Any) -> None:
        """An event of a run's log."""
        self.now += 1
        self.state.apply_run(run_id, Event(type_, 0, self.now if t is None else t, payload))

    def hand_out(self, run: str = "se-s0", attempt: int = 1, worker: int = 7) -> None:
        """Give the run to a worker."""
        self.own("run_started", run=run, device="cuda:0", worker=worker, attempt=attempt)

    def train(self, *steps: float, seconds: Any = 1.0, **columns: Any) -> None:
        """A block of points."""
        shown = {"loss": [1 / (step + 1) for step in steps], "accuracy": [0.5] * len(steps)} | columns
        self.of("metrics", epoch=1, step=list(steps), train_seconds=seconds, **shown)

    def epoch(self, epoch: int, step: int, **other: Any) -> None:
        """An evaluated epoch."""
        figures = {"train_loss": 0.5, "train_accuracy": 0.8, "test_loss": 0.4, "test_accuracy": 0.85}
        counts = {"images": epoch * 1000, "train_seconds": epoch * 2.0, "peak_memory": 5}
        self.of("epoch", epoch=epoch, step=step, **{**figures, **counts, **other})

    def end(self, how: str, *, traceback: str | None = None, **extra: Any) -> None:
        """The worker's last word, and the supervisor's."""
        self.of("ended", state=how, reason=None, traceback=traceback, epoch=0, step=0, weights_sha256=None)
        self.own("run_ended", run="se-s0", state=how, reason=None, **extra)
