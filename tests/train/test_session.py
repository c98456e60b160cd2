"""One run in training, in this process: reproducible, resumable at every step, and not disturbed by being watched."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.train.sessions import after, context, digest, fold, make, never, train
from tui_attn import data
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.run_state import NOT_FINITE
from tui_attn.train import checkpoint, tensors
from tui_attn.train.step import Stepper
from tui_attn.train.trainer import NotFiniteError

CPU = torch.device("cpu")
MODELS = ("base", "se", "self-attention")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The weights of runs that nothing interrupted, each trained alone."""
    made = context(make(tmp_path_factory.mktemp("reference")))
    return {run: train(made, run) for run in (f"{model}-s0" for model in MODELS)}


def test_many_short_epochs_are_not_all_evaluated(tmp_path: Path) -> None:
    made = context(make(tmp_path, epochs=60, steps=60, train_limit=100, models=("base",)), probes=False)
    train(made, "base-s0")
    run = fold(made.folder, "base-s0")
    assert [result.epoch for result in run.epochs] == list(range(3, 61, 3))
    assert (run.step, run.epoch, run.epochs[-1].images) == (60, 60, 6000)


def test_steps_end_in_the_middle_of_an_epoch_and_a_stop_there_changes_nothing(tmp_path: Path) -> None:
    whole = context(make(tmp_path / "whole", epochs=2, steps=8, models=("se",)), probes=False)
    weights = train(whole, "se-s0")
    run = fold(whole.folder, "se-s0")
    assert (run.total_steps, run.step, run.epoch, run.progress) == (8, 8, 2, 1.0)
    assert run.epochs[-1].images == 600 + 3 * 128
    assert 0.0 < run.epochs[-1].train_accuracy <= 1.0

    experiment = make(tmp_path / "stopped", epochs=2, steps=8, models=("se",))
    stopped = context(experiment, probes=False)
    stopped.open("se-s0")
    session = stopped.session("se-s0")
    session.train_epoch(never)
    session.train_epoch(after(1))
    assert (session.progress.epoch, session.progress.position, session.done) == (1, 2, False)
    session.suspend()
    assert train(context(experiment, probes=False), "se-s0") == weights


def test_other_seeds_give_other_weights_and_equal_ones_the_same(tmp_path: Path, reference: dict[str, str]) -> None:
    made = context(make(tmp_path))
    assert train(made, "base-s0") == reference["base-s0"]
    assert train(made, "base-s1") != reference["base-s0"]


def test_turns_order_and_company_change_no_weight(tmp_path: Path, reference: dict[str, str]) -> None:
    experiment = make(tmp_path)
    made = context(experiment)
    sessions = [f"{model}-s0" for model in reversed(MODELS)]
    for run in sessions:
        made.open(run)
    for _ in range(2):
        for run in sessions:
            made.session(run).train_epoch(never)
    for run in sessions:
        made.session(run).finish()
    assert {run: digest(experiment, run) for run in sessions} == reference


def test_probes_change_no_weight(tmp_path: Path, reference: dict[str, str]) -> None:
    made = context(make(tmp_path), probes=False)
    assert {run: train(made, run) for run in reference} == reference


@pytest.mark.parametrize("model", MODELS)
def test_interrupted_after_every_step_and_resumed_gives_the_same_bits(
    tmp_path: Path, model: str, reference: dict[str, str]
) -> None:
    """Each step in a new worker, from the checkpoint of the one before."""
    experiment = make(tmp_path)
    run = f"{model}-s0"
    for _ in range(100):
        made = context(experiment)
        made.open(run)
        session = made.session(run)
        if session.done:
            break
        session.train_epoch(after(1))
        session.suspend()
    session.finish()
    assert digest(experiment, run) == reference[run]
    folded = fold(experiment, run)
    assert list(folded.steps) == list(range(1, 11))
    assert [result.epoch for result in folded.epochs] == [1, 2]
    assert folded.epochs[-1].images == 1200


def test_a_resumed_log_holds_the_same_points_as_one_that_was_never_interrupted(tmp_path: Path) -> None:
    whole, cut = make(tmp_path / "whole"), make(tmp_path / "cut")
    train(context(whole), "se-s0")
    made = context(cut)
    made.open("se-s0")
    made.session("se-s0").train_epoch(after(3))
    made.session("se-s0").suspend()
    train(context(cut), "se-s0")
    one, two = fold(whole, "se-s0"), fold(cut, "se-s0")
    assert list(one.steps) == list(two.steps)
    assert list(one.losses) == list(two.losses)
    assert list(one.accuracies) == list(two.accuracies)
    assert one.gates == two.gates


def test_a_kill_between_two_checkpoints_repeats_the_steps_and_the_fold_has_them_once(
    tmp_path: Path, reference: dict[str, str]
) -> None:
    experiment = make(tmp_path)
    made = context(experiment)
    made.open("base-s0")
    session = made.session("base-s0")
    session.train_epoch(never)
    session.train_epoch(after(4))
    session.close()  # as a death would: no checkpoint of the second epoch
    assert train(context(experiment), "base-s0") == reference["base-s0"]
    assert list(fold(experiment, "base-s0").steps) == [float(step) for step in range(1, 11)]


def test_a_damaged_checkpoint_is_passed_over_and_told(tmp_path: Path, reference: dict[str, str]) -> None:
    experiment = make(tmp_path, epochs=2)
    made = context(experiment)
    made.open("base-s0")
    session = made.session("base-s0")
    session.train_epoch(never)
    session.train_epoch(after(3))
    session.suspend()
    newest = checkpoint.latest(experiment.run("base-s0").checkpoints)[0]
    path = experiment.run("base-s0").checkpoints / newest.file
    spoiled = bytearray(path.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    path.write_bytes(spoiled)
    assert train(context(experiment), "base-s0") == reference["base-s0"]
    resumed = [event for event in LogReader(experiment.run("base-s0").events).read() if event.type == "resumed"]
    assert [event["from_step"] for event in resumed] == [5]
    assert newest.file in resumed[0]["skipped"][0]


def test_a_checkpoint_of_another_run_is_not_taken(tmp_path: Path) -> None:
    experiment = make(tmp_path)
    made = context(experiment)
    for run in ("base-s0", "base-s1"):
        made.open(run)
        made.session(run).train_epoch(never)
        made.session(run).suspend()
        made.close(run)
    ours, theirs = (experiment.run(run).checkpoints for run in ("base-s0", "base-s1"))
    for path in theirs.iterdir():
        (ours / path.name).write_bytes(path.read_bytes())
    made.open("base-s0")
    assert made.session("base-s0").progress.step == 0
    resumed = [event for event in LogReader(experiment.run("base-s0").events).read() if event.type == "resumed"]
    assert "another run" in resumed[0]["skipped"][0]


def test_a_checkpoint_holds_plain_types_only(tmp_path: Path) -> None:
    experiment = make(tmp_path)
    made = context(experiment)
    made.open("se-s0")
    made.session("se-s0").train_epoch(never)
    made.session("se-s0").suspend()
    skipped: list[str] = []
    _, state = next(checkpoint.newest_first(experiment.run("se-s0").checkpoints, skipped))
    assert skipped == []
    assert state["progress"]["epoch"] == 1


def test_a_loss_that_is_not_finite_names_its_step(tmp_path: Path) -> None:
    experiment = make(tmp_path)
    made = context(experiment)
    made.open("base-s0")
    session = made.session("base-s0")
    session.train_epoch(after(2))
    with torch.no_grad():
        session._trainer.network.get_parameter("fc.bias")[0] = math.inf
    with pytest.raises(NotFiniteError, match=f"at step {session.progress.step + 1}:"):
        session.train_epoch(never)


def test_the_last_evaluation_is_not_computed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = context(make(tmp_path, epochs=1))
    made.open("base-s0")
    session = made.session("base-s0")
    calls: list[int] = []
    evaluate = Stepper.evaluate

    def counted(self: Stepper, images: torch.Tensor) -> torch.Tensor:
        calls.append(len(images))
        return evaluate(self, images)

    monkeypatch.setattr(Stepper, "evaluate", counted)
    session.train_epoch(never)
    session.finish()
    assert len(calls) == 1


def test_a_folder_of_images_is_read(tmp_path: Path) -> None:
    from PIL import Image

    generator = np.random.default_rng(0)
    for label, name in enumerate(("cats", "dogs")):
        for split, count in (("train", 40), ("test", 10)):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 100, (40, 50, 3)) + 100 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    name = data.parse_dataset(f"folder:{tmp_path / 'pets'}")
    located = data.ensure(name)

    loaded = tensors.on_device(name, data.load(located), torch.device("cpu"))
    assert loaded.train_images.shape == (80, 3, 32, 32)
    assert loaded.class_names == ("cats", "dogs")
    assert loaded.test_labels.tolist() == [0] * 10 + [1] * 10
    bright = loaded.test_images.float().mean((1, 2, 3))
    assert bright[:10].max() < bright[10:].min()


def test_read_state_of_an_experiment_that_was_never_supervised_is_empty(tmp_path: Path) -> None:
    assert read_state(make(tmp_path)).state.runs == {}


@pytest.mark.parametrize(
    ("which", "reason"),
    [
        ("fc.running", "its logits in evaluation are not finite for 100 of 100 test images, so there is no result"),
        ("conv1.weight", "1 of its weight tensors are not finite"),
    ],
)
def test_what_is_not_finite_in_evaluation_is_no_result(tmp_path: Path, which: str, reason: str) -> None:
    made = context(make(tmp_path, epochs=1), probes=False)
    made.open("base-s0")
    session = made.session("base-s0")
    trainer = session._trainer
    scale = torch.ones(())
    if which == "fc.running":
        trainer._stepper._fast_pass = lambda x: trainer.network(x) * scale
    trained = trainer._stepper.update

    def broken(x: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = trained(x, labels)
        if trainer.progress.position == trainer.steps_per_epoch - 1:  # after the last loss that anyone sees
            with torch.no_grad():
                (scale if which == "fc.running" else trainer.network.get_parameter(which)).fill_(math.nan)
        return found

    trainer._stepper.update = broken  # type: ignore[method-assign]
    with pytest.raises(NotFiniteError, match=reason) as told:
        session.train_epoch(never)
    made.fail("base-s0", told.value, "")
    events = list(LogReader(made.folder.run("base-s0").events).read())
    assert "epoch" not in {event.type for event in events}
    assert events[-1]["state"] == "failed" and reason in events[-1]["reason"]
    assert any(words in events[-1]["reason"] for words in NOT_FINITE), "or comparisons take the run for missing"
