"""One run in training, in this process: reproducible, resumable at every step, and not disturbed by being watched."""

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tui_attn import data
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import FIRST, STRATIFIED, Manifest
from tui_attn.experiment.run_state import NOT_FINITE
from tui_attn.experiment.writing import make_experiment, write_manifest
from tui_attn.models import CNN_SelfAttention
from tui_attn.system.signals import Signals
from tui_attn.train import checkpoint, rng, step, tensors
from tui_attn.train.command_pipe import CommandPipe
from tui_attn.train.probe import ProbeSet, collect
from tui_attn.train.session import PrecisionChangedError
from tui_attn.train.step import Stepper
from tui_attn.train.trainer import NotFiniteError
from tui_attn.train.worker import Worker
from tui_attn.train.worker_context import WorkerContext, device_is_lost, explain

CPU = torch.device("cpu")
MODELS = ("base", "se", "self-attention")


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


def test_probes_have_the_documented_arrays(tmp_path: Path) -> None:
    experiment = make(tmp_path, epochs=1)
    made = context(experiment)
    for model in MODELS:
        train(made, f"{model}-s0")
    assert list(experiment.run("base-s0").probes.iterdir()) == []
    with np.load(experiment.run("se-s0").probes / "epoch-00001.npz", allow_pickle=False) as arrays:
        assert arrays["se1/by_class"].shape == (10, 32)
        assert arrays["se2/by_class"].shape == (10, 64)
        assert 0 < arrays["se2/by_class"].min() < arrays["se2/by_class"].max() < 1
    with np.load(experiment.run("self-attention-s0").probes / "epoch-00001.npz", allow_pickle=False) as arrays:
        assert arrays["attention/by_head"].shape == (8, 64, 64)
        assert arrays["attention/by_class"].shape == (10, 64, 64)
        np.testing.assert_allclose(arrays["attention/by_head"].sum(-1), 1, atol=1e-4)
    assert (experiment.run("se-s0").probes / "epoch-00000.npz").exists()  # the untrained network


def test_attention_by_class_and_head_is_kept_of_the_untrained_and_the_trained_network(tmp_path: Path) -> None:
    experiment = make(tmp_path, epochs=2)
    made = context(experiment)
    train(made, "self-attention-s0")
    whole = {}
    for epoch in range(3):
        with np.load(
            experiment.run("self-attention-s0").probes / f"epoch-{epoch:05d}.npz", allow_pickle=False
        ) as arrays:
            if "attention/by_class_and_head" in arrays:
                whole[epoch] = arrays["attention/by_class_and_head"]
                images = arrays["classes/images"] / arrays["classes/images"].sum()
                by_class, by_head = arrays["attention/by_class"], arrays["attention/by_head"]
    assert sorted(whole) == [0, 2]
    assert (whole[2].shape, whole[2].dtype) == ((10, 8, 64, 64), np.float16)
    np.testing.assert_allclose(whole[2].astype(float).mean(axis=1), by_class, atol=1e-3)
    np.testing.assert_allclose(np.tensordot(images, whole[2].astype(float), 1), by_head, atol=1e-3)


def test_attention_by_class_and_head_of_many_classes_is_not_kept() -> None:
    network = CNN_SelfAttention()
    few = ProbeSet(torch.zeros(20, 1, 28, 28), torch.arange(20) % 10, 10)
    many = ProbeSet(torch.zeros(100, 1, 28, 28), torch.arange(100), 100)
    assert "attention/by_class_and_head" in collect(network, few, whole=True)[0]
    assert "attention/by_class_and_head" not in collect(network, few)[0]
    assert "attention/by_class_and_head" not in collect(network, many, whole=True)[0]


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


def test_the_draws_of_an_epoch_are_those_of_its_steps_one_by_one() -> None:
    """Of each step's own generator, crop first, as in experiments of earlier versions."""
    sizes, seeds = [16, 16, 5], [3, 1, 2]
    found = tensors.draw(sizes, ("crop", "flip"), seeds)
    begin = 0
    for size, seed in zip(sizes, seeds, strict=True):
        generator = torch.Generator().manual_seed(seed)
        part = found.of(torch.arange(begin, begin + size))
        assert part.shift is not None
        assert part.mirrored is not None
        assert torch.equal(part.shift, torch.randint(0, 9, (2, size), generator=generator))
        assert torch.equal(part.mirrored, torch.rand(size, generator=generator) < 0.5)
        begin += size


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


@pytest.mark.parametrize("augment", [("crop",), ("flip",), ("crop", "flip")])
def test_augmentation_is_each_images_own_and_reproducible(augment: tuple[str, ...]) -> None:
    def augmented(images: torch.Tensor, kinds: tuple[str, ...], seed: int) -> torch.Tensor:
        return tensors.augment(images, tensors.draw([len(images)], kinds, [seed]))

    image = torch.arange(28 * 28, dtype=torch.int64).remainder(251).to(torch.uint8).view(1, 1, 28, 28)
    batch = image.expand(64, 1, 28, 28).contiguous()
    one = augmented(batch, augment, 7)
    assert torch.equal(one, augmented(batch, augment, 7))
    assert not torch.equal(one, augmented(batch, augment, 8))
    kinds = {tuple(picture.flatten().tolist()) for picture in one}
    assert len(kinds) == 2 if augment == ("flip",) else len(kinds) > 10
    assert one.shape == batch.shape
    assert one.dtype == torch.uint8


def test_augmented_training_is_resumable_too(tmp_path: Path) -> None:
    whole = train(context(make(tmp_path / "whole", augment=("crop", "flip"))), "base-s0")
    experiment = make(tmp_path / "cut", augment=("crop", "flip"))
    made = context(experiment)
    made.open("base-s0")
    made.session("base-s0").train_epoch(after(2))
    made.session("base-s0").suspend()
    assert train(context(experiment), "base-s0") == whole


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
    from tui_attn.train import tensors

    loaded = tensors.load(name, located.to_json(), torch.device("cpu"), train_limit=None, test_limit=None)
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


def test_a_run_goes_on_in_the_precision_of_its_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make(tmp_path, precision="auto", epochs=2)
    monkeypatch.setattr(step, "_cpu_multiplies_bf16", lambda: True)
    made = context(experiment, probes=False)
    made.open("base-s0")
    made.session("base-s0").train_epoch(never)
    made.session("base-s0").suspend()
    monkeypatch.setattr(step, "_cpu_multiplies_bf16", lambda: False)  # as on another machine
    made = context(experiment, probes=False)
    made.open("base-s0")
    assert made.session("base-s0").progress.epoch == 1
    events = list(LogReader(experiment.run("base-s0").events).read())
    assert [event["precision"] for event in events if event.type == "started"] == ["bf16", "fp32", "bf16"]
    assert events[-1]["skipped"] == []


def test_checkpoints_that_a_device_can_not_take_up_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make(tmp_path, precision="auto", epochs=2)
    monkeypatch.setattr(step, "_cpu_multiplies_bf16", lambda: True)
    made = context(experiment, probes=False)
    made.open("base-s0")
    made.session("base-s0").train_epoch(never)
    made.session("base-s0").suspend()
    kept = sorted(path.name for path in experiment.run("base-s0").checkpoints.iterdir())

    def choose(requested: str, device: torch.device) -> str:
        if requested == "bf16":
            raise step.PrecisionError("not here")
        return "fp32"

    monkeypatch.setattr("tui_attn.train.session.choose_precision", choose)
    monkeypatch.setattr("tui_attn.train.worker_context.choose_precision", choose)
    made = context(experiment, probes=False)
    with pytest.raises(PrecisionChangedError, match="its checkpoints are in bf16, which cpu can't compute"):
        made.open("base-s0")
    assert sorted(path.name for path in experiment.run("base-s0").checkpoints.iterdir()) == kept


def test_a_checkpoint_of_the_cpu_is_taken_up_on_a_gpu_whose_stream_it_lacks() -> None:
    rng.seed_all(5)
    states = rng.capture(CPU)
    drawn = torch.rand(3)
    rng.restore(states, torch.device("cuda"))
    assert torch.equal(torch.rand(3), drawn)


def test_errors_of_a_gpu_are_explained_and_a_lost_one_is_known() -> None:
    memory = torch.AcceleratorError("CUDA error: out of memory")
    assert explain(memory).startswith("out of memory: use a smaller --batch-size") and not device_is_lost(memory)
    busy = torch.AcceleratorError("CUDA error: CUDA-capable device(s) is/are busy or unavailable")
    assert "another program holds the GPU" in explain(busy)
    assert device_is_lost(torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    assert device_is_lost(RuntimeError("CUDA error: unspecified launch failure"))
    assert not device_is_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not device_is_lost(ValueError("CUDA error"))


@pytest.mark.parametrize(("subset", "drawn_from"), [(STRATIFIED, [0, 1, 0]), (FIRST, [None])])
def test_each_seed_has_its_own_images_unless_the_experiment_began_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subset: str, drawn_from: list[int | None]
) -> None:
    loaded: list[int | None] = []
    load = tensors.load

    def watched(*arguments: object, **options: object) -> tensors.Images:
        seed = options["subset"]
        assert seed is None or isinstance(seed, int)
        loaded.append(seed)
        return load(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tensors, "load", watched)
    worker = context(make(tmp_path, subset=subset, seeds=2), probes=False)
    for run in ("base-s0", "se-s0", "base-s1", "self-attention-s0"):
        worker.open(run)
        worker.close(run)
    assert loaded == drawn_from


def test_a_model_that_calls_sys_exit_fails_its_run_and_says_so(tmp_path: Path) -> None:
    experiment = make(tmp_path)
    made = context(experiment)
    reading, writing = os.pipe()
    with Signals([]) as signals:
        worker = Worker(experiment, made, CommandPipe(reading, signals))
        made.open("base-s0")
        assert not worker._guarded("base-s0", lambda: sys.exit(0))
    for descriptor in (reading, writing):
        os.close(descriptor)
    last = LogReader(experiment.run("base-s0").events).read()[-1]
    assert (last.type, last["state"]) == ("ended", "failed")
    assert "its code called sys.exit(0)" in last["reason"]
