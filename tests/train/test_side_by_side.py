"""Runs of a worker on the pretended CUDA: what is computed beside training, and what commands and kills cost."""

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.pretended_cuda import machine
from tests.pretended_cuda.device import Cuda, pretend
from tests.train.sessions import digest, make, never
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.system.signals import Signals
from tui_attn.train import accelerator, checkpoint, epoch_results, graphed_steps, session
from tui_attn.train.command_pipe import CommandPipe
from tui_attn.train.epoch_results import EpochResults
from tui_attn.train.graphed_steps import GraphedSteps
from tui_attn.train.session import Session
from tui_attn.train.trainer import NotFiniteError
from tui_attn.train.worker import Worker
from tui_attn.train.worker_context import WorkerContext

OPTIONS: dict[str, Any] = {"train_limit": 151, "test_limit": 20, "batch_size": 2, "epochs": 2, "precision": "bf16"}
"""76 steps an epoch and a point after every 2."""
INTERVAL = 2
VARYING = {"train_seconds", "peak_memory", "w"}
"""What events say of time, memory and the writer."""


@pytest.fixture
def cuda() -> Iterator[Cuda]:
    with pretend(gpus=machine(1)) as found:
        yield found


def opened(experiment: ExperimentDir, *runs: str, probes: bool = True) -> WorkerContext:
    context = WorkerContext(experiment, experiment.manifest_data(), "cuda:0", probes=probes)
    for run in runs:
        context.open(run)
    return context


def to_the_end(context: WorkerContext, *runs: str) -> list[str]:
    """Train in turns of a point; the digests of the weights."""
    going = list(runs)
    while going:
        for run in list(going):
            found = context.session(run)
            found.train_to_point(never)
            if found.complete:
                found.finish()
                context.close(run)
                going.remove(run)
    return [digest(context.folder, run) for run in runs]


def events(experiment: ExperimentDir, run: str) -> list[Event]:
    return LogReader(experiment.run(run).events).read()


def told(experiment: ExperimentDir, run: str) -> list[tuple[str, Any, Any]]:
    """The log, apart from checkpoints, which come by time, and from what graphs alone say."""
    return [
        (event.type, event.get("step"), event.get("epoch"))
        for event in events(experiment, run)
        if event.type not in {"checkpoint", "warning", "pooling"}
    ]


# ---- beside training


@pytest.mark.parametrize("model", ["se", "self-attention"])
def test_the_end_of_an_epoch_does_not_keep_the_next_waiting(
    cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    """The device has the next steps while evaluation and probe are read, packed and written."""
    run = f"{model}-s0"
    context = opened(make(tmp_path, **OPTIONS), run)
    found, free = context.session(run), threading.Event()
    compute = epoch_results.end_of_epoch

    def held(*arguments: Any, **options: Any) -> Any:
        inner = compute(*arguments, **options)

        def wait() -> EpochResults:
            assert free.wait(600)
            found: EpochResults = inner()
            return found

        return wait

    monkeypatch.setattr(epoch_results, "end_of_epoch", held)
    while found.progress.epoch < 1:
        found.train_to_point(never)
        if found._trainer.at_end_of_epoch:
            cuda.clear()
            torch.cuda.set_sync_debug_mode("error")  # from the epoch's last point on
    for _ in range(5):
        found.train_to_point(never)
    assert cuda.stats.syncs == 0
    torch.cuda.set_sync_debug_mode("default")
    assert found.progress.step == 76 + 5 * INTERVAL
    assert told(context.folder, run)[-1] == ("metrics", [76], 1), "points wait for the epoch before them"
    free.set()
    found.settle()
    shown = told(context.folder, run)
    assert [kind for kind, *_ in shown[-7:]] == ["epoch", "probe", *["metrics"] * 5]
    assert shown[-7][1:] == (76, 1)


def test_what_is_computed_beside_training_is_what_it_is_step_by_step(
    cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs, weights, probes and predictions."""
    runs = ("se-s0", "self-attention-s0")
    beside = make(tmp_path / "graphs", **OPTIONS)
    weights = to_the_end(opened(beside, *runs), *runs)
    monkeypatch.setattr(graphed_steps, "no_graphs_on", lambda device: "asked not to")
    alone = make(tmp_path / "steps", **OPTIONS)
    assert to_the_end(opened(alone, *runs), *runs) == weights
    for run in runs:
        assert told(beside, run) == told(alone, run)
        for kind in ("metrics", "epoch", "probe"):
            first, second = (
                [
                    {
                        key: value
                        for key, value in event.data.items()
                        if key not in {"train_seconds", "peak_memory", "w"}
                    }
                    for event in events(folder, run)
                    if event.type == kind
                ]
                for folder in (beside, alone)
            )
            assert first == second
        ours, theirs = beside.run(run), alone.run(run)
        for path in (*theirs.probes.iterdir(), theirs.predictions):
            with np.load(path) as wanted, np.load(ours.path / path.relative_to(theirs.path)) as found:
                assert set(found) == set(wanted)
                for key in wanted:
                    # In a thread with a dispatch mode, which the pretence is, torch computes singular values otherwise.
                    rtol = 1e-4 if key == "attention/rank" else 0.0
                    np.testing.assert_allclose(found[key], wanted[key], rtol, err_msg=f"{path.name}: {key}")


def test_an_evaluation_that_is_not_finite_fails_the_run_at_its_epoch(
    cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = opened(make(tmp_path, **OPTIONS), "base-s0")
    found = context.session("base-s0")
    while not found._trainer.at_end_of_epoch:
        found.train_to_point(never)
    found.settle()
    with torch.no_grad(), accelerator.on_stream(found._trainer.stream):
        found._trainer.network.fc.weight.fill_(float("nan"))  # type: ignore[union-attr, operator]
    found.train_to_point(never)
    with pytest.raises(NotFiniteError, match="weight tensors are not finite") as failed:
        found.settle()
    context.fail("base-s0", failed.value, None)
    last = events(context.folder, "base-s0")[-1]
    assert (last.type, last["state"], last["epoch"]) == ("ended", "failed", 0)


# ---- many runs at once


def test_seeds_side_by_side_have_the_bits_they_have_alone_and_prove_their_graphs_once(
    cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proved: list[str] = []
    prove = GraphedSteps._prove

    def watched(steps: GraphedSteps, *arguments: Any) -> str | None:
        proved.append(type(steps._stepper.model).__name__)
        return prove(steps, *arguments)

    monkeypatch.setattr(GraphedSteps, "_prove", watched)
    runs = [f"{model}-s{seed}" for seed in range(2) for model in ("base", "se")]
    together = to_the_end(opened(make(tmp_path / "together", seeds=2, **OPTIONS), *runs, probes=False), *runs)
    assert proved == ["CNN_Base", "CNN_SE"]
    assert len(set(together)) == len(runs)
    for run, weights in zip(runs, together, strict=True):
        alone = make(tmp_path / run, seeds=2, **OPTIONS)
        assert to_the_end(opened(alone, run, probes=False), run) == [weights]


class Telling:
    """A worker and the pipe through which it is told what to do; it goes on until `stop` says so."""

    def __init__(self, context: WorkerContext) -> None:
        reading, self._writing = os.pipe()
        self._signals = Signals([])
        self._signals.__enter__()
        self.worker = Worker(context.folder, context, CommandPipe(reading, self._signals))

    def tell(self, do: str, *runs: str) -> None:
        for run in runs:
            os.write(self._writing, json.dumps({"do": do, "run": run}).encode() + b"\n")

    def leave(self) -> None:
        os.close(self._writing)


@pytest.fixture
def stdio() -> Iterator[None]:
    """A worker turns its output to the logs of its runs."""
    kept = [os.dup(number) for number in (1, 2)]
    yield
    for number, before in zip((1, 2), kept, strict=True):
        os.dup2(before, number)
        os.close(before)


def test_a_run_for_which_the_device_has_no_room_waits_and_obeys_all_the_same(
    cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stdio: None
) -> None:
    experiment = make(tmp_path, seeds=4, **OPTIONS | {"epochs": 1})
    runs = [f"base-s{seed}" for seed in range(4)]
    telling = Telling(context := opened(experiment, probes=False))
    most: list[int] = []
    opening = context.open

    def counted(run: str, **options: Any) -> None:
        opening(run, **options)
        most.append(len(context._sessions))

    monkeypatch.setattr(context, "open", counted)
    monkeypatch.setattr(type(context), "has_room", property(lambda found: len(found._sessions) < 2))
    telling.tell("train", *runs)
    telling.tell("skip", runs[3])
    telling.tell("exit", "")
    assert telling.worker.work() == 0
    telling.leave()
    ends = {run: events(experiment, run)[-1]["state"] for run in runs}
    assert ends == dict.fromkeys(runs[:3], "finished") | {runs[3]: "skipped"}
    assert most == [1, 1, 2, 2], "the skipped run was opened to say so"


def test_room_is_what_the_device_says(tmp_path: Path) -> None:
    experiment = make(tmp_path, seeds=2, **OPTIONS)
    with pretend(gpus=machine(1, memory=400_000_000, used=0)) as cuda:
        context = opened(experiment, probes=False)
        found = [context.has_room]
        context.open("base-s0")
        found.append(context.has_room)
        free = cuda.memory[0].total - cuda.memory[0].used
        held = torch.zeros((free - 100_000_000) // 4 + 1000, device="cuda")
        found.append(context.has_room)
        del held
        found.append(context.has_room)
    assert found == [True, True, False, True]


# ---- commands and kills


def test_a_command_waits_for_one_point_of_a_run_at_most(
    cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stdio: None
) -> None:
    """Also at the end of an epoch: 9 steps of a full batch take a GPU some milliseconds, far less than 100."""
    experiment = make(tmp_path, **OPTIONS)
    runs = ("base-s0", "se-s0", "self-attention-s0")
    telling = Telling(opened(experiment))
    trained, looks = [0], [0]
    train, look = GraphedSteps.train, CommandPipe.take

    def counting(steps: GraphedSteps, count: int, batch: int) -> None:
        train(steps, count, batch)
        trained[0] += count

    def looking(pipe: CommandPipe) -> Any:
        assert trained[0] <= graphed_steps.MOST_STEPS
        assert trained[0] <= INTERVAL
        trained[0] = 0
        looks[0] += 1
        if looks[0] == 150:  # within the second epoch
            telling.tell("pause", *runs)
            telling.tell("skip", runs[0])
            telling.tell("stop", *runs[1:])
            telling.tell("exit", "")
        return look(pipe)

    monkeypatch.setattr(GraphedSteps, "train", counting)
    monkeypatch.setattr(CommandPipe, "take", looking)
    telling.tell("train", *runs)
    assert telling.worker.work() == 0
    telling.leave()
    assert looks[0] <= 152
    ends = [events(experiment, run)[-1] for run in runs]
    assert [end["state"] for end in ends] == ["skipped", "stopped", "stopped"]
    assert all(80 < end["step"] < 152 for end in ends)
    for run, end in zip(runs, ends, strict=True):
        assert checkpoint.latest(experiment.run(run).checkpoints)[0].step == end["step"]


def test_a_kill_costs_two_seconds_at_most(cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that says how long steps take: what is on disk is never older, whenever the kill comes."""
    monkeypatch.setattr(session, "CHECKPOINT_EVERY", 1.0)
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    context = opened(make(tmp_path, **OPTIONS), "base-s0", probes=False)
    found = context.session("base-s0")
    seconds = {0: now[0]}
    worst = 0.0
    while not found.done:
        found.train_to_point(never)
        now[0] += 0.3  # a point takes so long, far longer than on any GPU
        seconds[found.progress.step] = now[0]
        _let_it_be_written(found)
        saved = checkpoint.latest(found.folder.checkpoints)
        worst = max(worst, now[0] - seconds[saved[0].step if saved else 0])
    assert 1.0 < worst <= 2.0


def _let_it_be_written(found: Session) -> None:
    """As a disk that keeps up."""
    pending = found._writer._saver._pending
    if pending is not None:
        pending.result()


def test_devices_without_cuda_graphs_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert accelerator.no_graphs_on(torch.device("cpu")) == "cpu has no CUDA graphs"
    assert accelerator.no_graphs_on(torch.device("mps")) == "mps has no CUDA graphs"
    assert accelerator.no_graphs_on(torch.device("cuda")) is None
    monkeypatch.setattr(torch.version, "hip", "7.1")
    assert accelerator.no_graphs_on(torch.device("cuda")) == "they were never tried with AMD's ROCm"


def test_on_rocm_steps_are_launched_one_by_one_to_the_same_bits_and_the_log_says_why(
    cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = to_the_end(opened(make(tmp_path / "cuda", **OPTIONS), "se-s0"), "se-s0")
    monkeypatch.setattr(torch.version, "hip", "7.1")
    experiment = make(tmp_path / "rocm", **OPTIONS)
    assert to_the_end(opened(experiment, "se-s0"), "se-s0") == wanted
    [warning] = [event for event in events(experiment, "se-s0") if event.type == "warning"]
    assert warning["message"] == "its steps are launched one by one: they were never tried with AMD's ROCm"
