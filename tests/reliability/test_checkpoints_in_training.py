"""Checkpoints that a worker writes while it trains: the bits after a resume, the log, memory that does not suffice."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.reliability.conftest import make_experiment
from tests.reliability.invariants import Reference
from tests.train.sessions import after, context, never, train
from tui_attn.experiment.event_log import LogReader
from tui_attn.train import checkpoint, session
from tui_attn.train.run_writer import NoRoomError
from tui_attn.train.step import Stepper
from tui_attn.train.worker_context import explain

RUN = "se-s0"


def test_within_long_epochs_too_and_resuming_in_their_middle_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Reference]
) -> None:
    monkeypatch.setattr(session, "CHECKPOINT_EVERY", 0.0)  # as if an hour passed between two points of the log
    experiment = make_experiment(tmp_path / "runs")
    made = context(experiment)
    made.open(RUN)
    made.session(RUN).train_epoch(after(3))
    made.close(RUN)  # as a death would: what is not on disk is lost
    taken = checkpoint.latest(experiment.run(RUN).checkpoints)[0]
    assert 0 < taken.step < 5
    assert taken.epoch == 0
    assert train(context(experiment), RUN) == undisturbed[RUN].weights_sha256
    [resumed] = [event for event in LogReader(experiment.run(RUN).events).read() if event.type == "resumed"]
    assert resumed["from_step"] == taken.step


def test_a_death_in_the_evaluation_after_a_checkpoint_of_the_last_step_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Reference]
) -> None:
    experiment = make_experiment(tmp_path / "runs")
    made = context(experiment)
    made.open(RUN)
    dying = made.session(RUN)
    while not dying._trainer.at_end_of_epoch:
        dying.train_to_point(never)
    dying.save()  # as of networks side by side, which are asked to leave between any two points

    def die(beat: object) -> None:
        raise KeyError("as a death would")

    monkeypatch.setattr(dying._trainer, "evaluate", die)
    with pytest.raises(KeyError):
        dying.train_epoch(never)
    made.close(RUN)
    assert train(context(experiment), RUN) == undisturbed[RUN].weights_sha256
    [resumed] = [event for event in LogReader(experiment.run(RUN).events).read() if event.type == "resumed"]
    assert (resumed["from_step"], resumed["epoch"]) == (5, 0)


def test_a_copy_is_what_the_state_was_and_keeps_what_lies_together() -> None:
    shared = torch.arange(6.0).view(2, 3)
    state: dict[str, Any] = {
        "model": torch.nn.BatchNorm1d(3).state_dict(),
        "one": shared,
        "two": [shared, shared.t()],
        "step": 3,
    }
    copied, wait = checkpoint.copied(state)
    wait()
    shared += 1
    assert copied["one"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert copied["two"][0] is copied["one"] and torch.equal(copied["two"][1], copied["one"].t())
    assert copied["two"][1].stride() == (1, 3), "as it lay in memory"
    assert copied["model"]._metadata == state["model"]._metadata and copied["step"] == 3


def test_nothing_is_said_to_be_there_before_it_would_survive_a_power_loss(tmp_path: Path, happened: list[str]) -> None:
    """The new log's name, the points behind a checkpoint, the results behind the end, and the end itself."""
    experiment = make_experiment(tmp_path / "runs", epochs=1)
    del happened[:]
    made = context(experiment)
    made.open(RUN)
    made.session(RUN).train_epoch(never)
    made.session(RUN).finish()
    made.close(RUN)
    step = "step-00000005.pt"
    assert happened[: happened.index("append started")] == [
        f"fsync {experiment.id}",  # the run's folder is in it
        f"fsync {RUN}",
        f"fsync {RUN}",  # its two folders
        "rename to claim",
        f"fsync {RUN}",  # its log
    ]
    last_point = max(index for index, what in enumerate(happened) if what == "append metrics")
    rest = [what for what in happened[last_point:] if "LATEST" not in what]
    order = ["append metrics", "append epoch", "rename to epoch-00001.npz", "append probe"]
    order += [
        "fsync probes",
        "fsync epoch-00001.npz",
        "fsync probes",
        "fsync events.jsonl",
        f"fsync .{step}.tmp",
        f"rename to {step}",
    ]
    order += ["append checkpoint"]
    for name in ("predictions.npz", "weights.safetensors"):
        order += [f"fsync .{name}.tmp", f"rename to {name}", f"fsync {RUN}"]
    order += ["append ended", "fsync events.jsonl"]
    assert [what for what in rest if what in order] == order


def test_what_is_checkpointed_is_in_the_log(tmp_path: Path) -> None:
    """No checkpoint is ahead of the log: what couldn't be logged is trained again."""
    experiment = make_experiment(tmp_path / "runs")
    made = context(experiment)
    full = [False]
    made.open(RUN, should_abort=lambda: full[0])
    running = made.session(RUN)
    running.train_epoch(never)
    append = running._writer._log.append

    def no_room(type_: str, /, **payload: Any) -> None:
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(type_, **payload)

    running._writer._log.append = no_room  # type: ignore[method-assign]
    full[0] = True
    with pytest.raises(NoRoomError):
        running.train_epoch(never)
    full[0] = False
    running.suspend()
    logged = [event for event in LogReader(experiment.run(RUN).events).read() if event.type == "metrics"]
    steps = [step for event in logged for step in event["step"]]
    assert checkpoint.latest(experiment.run(RUN).checkpoints)[0].step == max(steps) == 5


def test_a_log_that_is_gone_does_not_hide_the_checkpoints(tmp_path: Path, undisturbed: dict[str, Reference]) -> None:
    experiment = make_experiment(tmp_path / "runs")
    made = context(experiment)
    made.open(RUN)
    made.session(RUN).train_epoch(never)
    made.session(RUN).suspend()
    experiment.run(RUN).events.unlink()
    made = context(experiment)
    made.open(RUN)
    assert made.session(RUN).progress.step == 5
    (resumed,) = [event for event in LogReader(experiment.run(RUN).events).read() if event.type == "resumed"]
    assert resumed["from_step"] == 5
    made.close(RUN)
    assert undisturbed


def test_a_checkpoint_that_does_not_fit_into_memory_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make_experiment(tmp_path / "runs")
    made = context(experiment)
    made.open(RUN)
    made.session(RUN).train_epoch(never)
    made.session(RUN).suspend()

    def no_memory(self: object, state: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    monkeypatch.setattr(Stepper, "load_state_dict", no_memory)
    made = context(experiment)
    with pytest.raises(torch.OutOfMemoryError):
        made.open(RUN)
    made.close(RUN)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried 1 byte"),
    ],
)
def test_out_of_memory_is_named(error: Exception) -> None:
    assert explain(error).startswith("out of memory: use a smaller --batch-size or fewer --jobs")
