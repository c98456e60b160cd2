"""Steps as graphs on the pretended CUDA: the bits of a plain loop, no waits between points, and what prevents them."""

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.pretended_cuda import machine
from tests.pretended_cuda.device import Cuda, pretend
from tests.train.sessions import after, digest, make, never
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.models import MODELS, CNN_Base
from tui_attn.train import step, tensors
from tui_attn.train.graphed_steps import GraphedSteps
from tui_attn.train.step import Stepper
from tui_attn.train.tensors import Images
from tui_attn.train.worker_context import WorkerContext

GPU = torch.device("cuda:0")
BATCH, INTERVAL, SIZE = 4, 3, 4 * 7 + 2
MEAN, STD, LR = 0.3, 0.35, 0.01
LAB = ("base", "se", "self-attention")


@pytest.fixture
def cuda() -> Iterator[Cuda]:
    with pretend(gpus=machine(1)) as found:
        yield found


def images(device: torch.device) -> Images:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 10, (SIZE,), generator=generator)
    pixels = torch.randint(0, 40, (SIZE, 1, 8, 8), generator=generator) + 20 * labels[:, None, None, None]
    shown = pixels.to(torch.uint8).to(device)
    return Images(shown, labels.to(device), shown, labels.to(device), tuple("0123456789"), (MEAN,), (STD,))


def network(name: str) -> nn.Module:
    torch.manual_seed(5)
    return MODELS[name](1, 8)


def graphed(model: nn.Module, precision: str = "fp32", kinds: tuple[str, ...] = ()) -> tuple[GraphedSteps, Stepper]:
    stepper = Stepper(model, GPU, precision, lr=LR, mean=(MEAN,), std=(STD,))
    return GraphedSteps(stepper, images(GPU), BATCH, INTERVAL, kinds), stepper


def order(epoch: int) -> Tensor:
    return torch.randperm(SIZE, generator=torch.Generator().manual_seed(epoch))


def plain(model: nn.Module, precision: str, epochs: int, draws: tensors.Draws | None) -> tuple[list[float], Any]:
    """What anybody would write: the losses and the state of Adam after some epochs."""
    data = images(GPU)
    model.to(GPU).to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
    scale = torch.tensor(STD, dtype=torch.float64) * 255
    shift = (-255 * torch.tensor(MEAN, dtype=torch.float64) / scale).float().to(GPU)
    losses = []
    for epoch in range(epochs):
        for first in range(0, SIZE, BATCH):
            chosen = order(epoch)[first : first + BATCH].to(GPU)
            x = data.train_images[chosen]
            if draws is not None:
                some = draws.of(torch.arange(first, min(SIZE, first + BATCH)))
                assert some.shift is not None and some.mirrored is not None
                x = tensors.augment(x, tensors.Draws(some.shift.to(GPU), some.mirrored.to(GPU)))
            x = x.to(torch.float32, memory_format=torch.channels_last) * (1 / scale).float().to(GPU) + shift
            with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
                logits = model(x)
            loss = F.cross_entropy(logits.float(), data.train_labels[chosen])
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            losses.append(loss.item())
    return losses, adam.state_dict()["state"]


def train(steps: GraphedSteps, epochs: int, draws: tensors.Draws | None = None) -> list[float]:
    losses = []
    for epoch in range(epochs):
        steps.begin_epoch(order(epoch), draws, 0)
        position = 0
        while position * BATCH < SIZE:
            count, batch = steps.next_steps(position)
            steps.train(count, batch)
            position += count
            if position % INTERVAL == 0 or position * BATCH >= SIZE:
                losses += steps.take_results().read()[0]
    return losses


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [*LAB, "cbam", "static"])
def test_graphs_give_the_bits_of_a_plain_loop(cuda: Cuda, name: str, precision: str) -> None:
    model = network(name)
    expected, averages = plain(copied := network(name), precision, 2, None)
    steps, stepper = graphed(model, precision)
    assert steps.capture() is None
    cuda.clear()
    assert train(steps, 2) == expected
    assert cuda.stats.replays == 2 * 4  # 3 + 3 + 1 steps, and the last batch of 2 images
    for key, weight in copied.state_dict().items():
        assert torch.equal(model.state_dict()[key].cpu(), weight.cpu()), key
    for index, state in stepper.state_dict()["optimizer"]["state"].items():
        assert all(torch.equal(state[key].cpu(), averages[index][key].cpu()) for key in state)


def test_augmentation_is_part_of_the_graphs(cuda: Cuda) -> None:
    sizes = [BATCH] * 7 + [2]
    draws = tensors.draw(sizes, ("crop", "flip"), range(8))
    expected, _ = plain(network("base"), "fp32", 1, draws)
    steps, _ = graphed(network("base"), kinds=("crop", "flip"))
    assert steps.capture() is None
    cuda.clear()
    assert train(steps, 1, draws) == expected
    assert cuda.stats.replays == 4
    assert train(graphed(network("base"))[0], 1) != expected


def test_trying_graphs_changes_nothing(cuda: Cuda) -> None:
    model = network("cbam")  # which has batch norm
    torch.manual_seed(9)
    before, drawn = copy.deepcopy(model.state_dict()), torch.cuda.get_rng_state()
    steps, stepper = graphed(model, "bf16")
    assert steps.capture() is None
    assert all(torch.equal(value.cpu(), before[key]) for key, value in model.state_dict().items())
    averages = stepper.state_dict()["optimizer"]["state"].values()
    assert not any(average.any() for state in averages for average in state.values())
    assert torch.equal(torch.cuda.get_rng_state(), drawn)


@pytest.mark.parametrize("kinds", [(), ("crop", "flip")])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", LAB)
def test_nothing_waits_for_the_device_between_points(
    cuda: Cuda, name: str, precision: str, kinds: tuple[str, ...]
) -> None:
    steps, _ = graphed(network(name), precision, kinds)
    assert steps.capture() is None
    steps.begin_epoch(order(0), tensors.draw([BATCH] * 7 + [2], kinds, range(8)) if kinds else None, 0)
    torch.cuda.set_sync_debug_mode("error")
    cuda.clear()
    steps.train(3, BATCH)
    first = steps.take_results()
    steps.train(3, BATCH)
    assert cuda.stats.syncs == cuda.stats.events == 0
    first.read()
    assert (cuda.stats.syncs, cuda.stats.events) == (0, 1)


@pytest.mark.parametrize("kinds", [(), ("crop", "flip")])
def test_single_steps_do_not_wait_for_the_device_either(cuda: Cuda, kinds: tuple[str, ...]) -> None:
    steps, _ = graphed(network("base"), kinds=kinds)
    steps.begin_epoch(order(0), tensors.draw([BATCH] * 7 + [2], kinds, range(8)) if kinds else None, 0)
    torch.cuda.set_sync_debug_mode("error")
    cuda.clear()
    for _ in range(4):
        steps.train(1, BATCH)
    assert cuda.stats.syncs == cuda.stats.events == 0


def test_evaluation_takes_few_large_batches_on_a_gpu(cuda: Cuda) -> None:
    model = network("base")
    stepper = graphed(model)[1]
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    assert stepper.evaluate(torch.zeros(5001, 1, 8, 8, dtype=torch.uint8, device=GPU)).shape == (5001, 10)
    assert sizes == [2500, 2500, 1]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_float32_is_exact_in_every_precision(cuda: Cuda, precision: str) -> None:
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        torch.backends.cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision("high")
        graphed(network("base"), precision)
        assert not torch.backends.cudnn.allow_tf32 and torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


class Curious(CNN_Base):
    """Looks at a number in every step."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1.0 if x.sum().item() else 2.0)


class Counting(CNN_Base):
    """Changes what it does after some calls."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * (1.0 if self.calls < 100 else 0.5)


class Random(CNN_Base):
    """Draws on the CPU."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * random.random()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (Curious, "capturing them failed: RuntimeError: CUDA error: operation not permitted when stream is capturing"),
        (Counting, "its forward changes attributes of the network"),
        (Random, "its forward draws random numbers on the CPU"),
    ],
)
def test_what_a_graph_can_not_repeat_is_trained_step_by_step(cuda: Cuda, made: type[CNN_Base], reason: str) -> None:
    torch.manual_seed(5)
    steps, _ = graphed(made(1, 8))
    random.seed(3)
    told = steps.capture()
    assert told is not None and told.startswith(reason)
    assert not steps.graphed and steps.next_steps(0) == (1, BATCH)
    losses = train(steps, 1)
    torch.manual_seed(5)
    random.seed(3)
    assert losses == plain(made(1, 8), "fp32", 1, None)[0]


class Dropping(CNN_Base):
    """Draws on the device, which graphs do as well."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(super().forward(x), 0.5, self.training)


def test_random_numbers_of_the_device_go_on_as_step_by_step(cuda: Cuda) -> None:
    found = []
    for capture in (True, False):
        torch.manual_seed(5)
        steps, _ = graphed(Dropping(1, 8))
        assert not capture or steps.capture() is None
        found.append(train(steps, 1))
    assert found[0] == found[1]


def test_graphs_that_compute_something_else_are_not_used(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step.Copies, "renew", lambda self: None)
    steps, _ = graphed(network("base"), "bf16")
    assert steps.capture() == "as graphs they don't give the same bits on this device"
    assert train(steps, 1) == plain(network("base"), "bf16", 1, None)[0]


# ---- whole runs


def events(experiment: ExperimentDir, run: str, type_: str) -> list[Event]:
    return [event for event in LogReader(experiment.run(run).events).read() if event.type == type_]


def opened(experiment: ExperimentDir) -> WorkerContext:
    return WorkerContext(experiment, experiment.manifest_data(), "cuda:0", probes=False)


OPTIONS: dict[str, Any] = {"train_limit": 151, "test_limit": 20, "batch_size": 2, "epochs": 2, "precision": "bf16"}
"""76 steps an epoch and a point after every 2."""


def finished(context: WorkerContext, run: str) -> str:
    session = context.session(run)
    while not session.done:
        session.train_to_point(never)
    session.finish()
    context.close(run)
    return digest(context.folder, run)


def test_runs_side_by_side_are_what_each_is_alone_through_stops_and_kills(cuda: Cuda, tmp_path: Path) -> None:
    alone = {}
    for run in ("base-s0", "se-s0"):
        experiment = make(tmp_path / run, **OPTIONS)
        context = opened(experiment)
        context.open(run)
        alone[run] = finished(context, run), events(experiment, run, "metrics")
    experiment = make(tmp_path / "both", **OPTIONS)
    context = opened(experiment)
    for run in alone:
        context.open(run)
        assert context.session(run)._trainer.graphed
    for _ in range(20):
        for run in alone:
            context.session(run).train_to_point(never)
    context.session("base-s0").suspend()  # stopped, and taken up by another worker
    again = opened(experiment)
    again.open("base-s0")
    assert again.session("base-s0").progress.step == 40
    for _ in range(25):
        context.session("se-s0").train_to_point(after(1))
    while context.session("se-s0").progress.epoch < 1:
        context.session("se-s0").train_to_point(never)
    context.session("se-s0").train_to_point(never)
    context.session("se-s0")._writer.finish_checkpoint()
    context.session("se-s0").close()  # killed: its last point was never read
    again.open("se-s0")
    assert again.session("se-s0").progress.epoch == 1
    for run, (weights, points) in alone.items():
        assert finished(again, run) == weights
        told = {event["step"][0]: event for event in events(experiment, run, "metrics")}
        assert [event["loss"] for event in points] == [told[event["step"][0]]["loss"] for event in points]


def test_the_reason_for_single_steps_is_in_the_log_once(
    cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "graph", lambda *_, **__: 1 / 0)
    experiment = make(tmp_path, **OPTIONS | {"epochs": 1, "train_limit": 20})
    context = opened(experiment)
    context.open("base-s0")
    finished(context, "base-s0")
    [warning] = events(experiment, "base-s0", "warning")
    assert warning["message"] == (
        "its steps are launched one by one: capturing them failed: ZeroDivisionError: division by zero"
    )
