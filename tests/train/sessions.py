"""Experiments on little data, and runs that are trained in this process."""

from collections.abc import Callable
from pathlib import Path

import torch

from tui_attn import data
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import FIRST, Manifest
from tui_attn.experiment.writing import make_experiment, write_manifest
from tui_attn.train.worker_context import WorkerContext


def make(folder: Path, *, subset: str = FIRST, **options: object) -> ExperimentDir:
    """An experiment on little data: 5 steps an epoch, the last batch smaller than the others."""
    settings: dict[str, object] = {"dataset": "synthetic", "epochs": 2, "train_limit": 600, "test_limit": 100}
    config = ExperimentConfig(**settings | options)  # type: ignore[arg-type]
    located = data.ensure("synthetic")
    where = {"root": str(located.root), "files": [], "source": located.source, "version": located.version}
    experiment = make_experiment(folder, config)
    manifest = Manifest(
        id=experiment.id,
        created=0.0,
        config=config,
        threads=torch.get_num_threads(),
        devices=("cpu",),
        precision=config.precision,
        data=where,
        versions={},
        host="here",
        subset=subset,
    )
    write_manifest(experiment, manifest)
    return experiment


def context(experiment: ExperimentDir, *, probes: bool = True) -> WorkerContext:
    return WorkerContext(experiment, experiment.manifest_data(), "cpu", probes=probes)


def never() -> bool:
    return False


def after(steps: int) -> Callable[[], bool]:
    """An interruption that comes after so many steps."""
    left = [steps]

    def interrupted() -> bool:
        left[0] -= 1
        return left[0] < 0

    return interrupted


def train(made: WorkerContext, run: str) -> str:
    """Train `run` to its end and return its weights_sha256."""
    made.open(run)
    session = made.session(run)
    while not session.done:
        session.train_epoch(never)
    session.finish()
    made.close(run)
    return digest(made.folder, run)


def digest(experiment: ExperimentDir, run: str) -> str:
    ended = [event for event in LogReader(experiment.run(run).events).read() if event.type == "ended"]
    assert ended[-1]["state"] == "finished"
    return str(ended[-1]["weights_sha256"])


def fold(experiment: ExperimentDir, run: str):  # type: ignore[no-untyped-def]
    """The run's state, as if a supervisor had queued it."""
    from tui_attn.experiment.reducer import ExperimentState, RunState

    state = ExperimentState(experiment.id)
    model, _, seed = run.rpartition("-s")
    state.runs[run] = RunState(run, model, int(seed))
    for event in LogReader(experiment.run(run).events).read():
        state.apply_run(run, event)
    return state.runs[run]
