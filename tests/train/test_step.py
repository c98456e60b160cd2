"""The training step: precision, the update, the same bits, and what a checkpoint holds."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tui_attn.models import MODELS, CNN_Base
from tui_attn.train.accelerator import keep_freed_memory
from tui_attn.train.step import EVALUATION_BATCH, PrecisionError, Stepper, choose_precision, use_exact_float32

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


MEAN, STD = (0.3, 0.5), (0.2, 0.4)
EACH = pytest.mark.parametrize(("name", "precision"), [(name, p) for name in MODELS for p in ("fp32", "bf16")])


def stepper(name: str, precision: str = "fp32", lr: float = 0.01) -> Stepper:
    torch.manual_seed(0)
    return Stepper(MODELS[name](2, (12, 8)), CPU, precision, lr=lr, mean=MEAN, std=STD)


def data(count: int = 40) -> tuple[Tensor, Tensor]:
    """Images whose brightness tells their class, so that there is something to learn."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 10, (count,), generator=generator)
    noise = torch.randint(0, 30, (count, 2, 12, 8), generator=generator)
    return (noise + 22 * labels[:, None, None, None]).to(torch.uint8), labels


def train(stepper: Stepper, epochs: int = 1) -> list[Tensor]:
    images, labels = data()
    firsts = [0, 16, 32] * epochs  # batches of 16, 16 and 8
    return [stepper.train_step(images[i : i + 16], labels[i : i + 16])[0] for i in firsts]


def weights(stepper: Stepper) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in stepper.model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def reloaded(state: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
    return loaded


def test_a_precision_that_was_asked_for_is_the_one() -> None:
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"


def test_auto_is_bf16_where_the_cpu_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for capabilities, expected in (
        ({"amx_bf16": True, "avx512_bf16": True}, "bf16"),
        ({"amx_bf16": False, "avx512_bf16": True}, "bf16"),
        ({"avx2": True, "amx_bf16": False}, "fp32"),
        ({}, "fp32"),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert choose_precision("auto", CPU) == expected


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_auto_is_bf16_where_the_gpu_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device("cuda:0")) == expected


def test_precisions_that_are_impossible_or_unknown_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    with pytest.raises(PrecisionError, match="bf16 is not possible on cuda:0"):
        choose_precision("bf16", torch.device("cuda:0"))
    with pytest.raises(PrecisionError, match="unknown precision 'fp16'"):
        choose_precision("fp16", CPU)


@EACH
def test_images_are_normalised_and_the_loss_is_that_before_the_update(name: str, precision: str) -> None:
    one = stepper(name, precision)
    images, labels = data()
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    logits = one.model((images / 255 - mean) / std).detach()
    loss, correct = one.train_step(images, labels)
    tolerance = 1e-5 if precision == "fp32" else 0.02
    assert loss.shape == correct.shape == ()
    assert not loss.requires_grad
    assert abs(float(loss - F.cross_entropy(logits, labels))) <= tolerance * float(loss)
    if precision == "fp32":
        assert int(correct) == int((logits.argmax(1) == labels).sum())


@EACH
def test_equal_calls_give_equal_bits(name: str, precision: str) -> None:
    one, other = stepper(name, precision), stepper(name, precision)
    assert torch.equal(torch.stack(train(one, 2)), torch.stack(train(other, 2)))
    assert same(weights(one), weights(other))
    images, _ = data()
    assert torch.equal(one.evaluate(images), other.evaluate(images))


@pytest.mark.parametrize("name", MODELS)
def test_equal_calls_give_equal_bits_on_two_threads(name: str, two_threads: None) -> None:
    generator = torch.Generator().manual_seed(4)
    images = torch.randint(0, 256, (224, 1, 28, 28), generator=generator).to(torch.uint8)
    labels = torch.randint(0, 10, (224,), generator=generator)
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        one = Stepper(MODELS[name](), CPU, "bf16", lr=0.01, mean=MEAN[:1], std=STD[:1])
        for part in (slice(0, 128), slice(128, 224)):  # a whole batch, and the smaller last one of an epoch
            one.train_step(images[part], labels[part])
        results.append((weights(one), one.evaluate(images)))
    assert same(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@EACH
def test_evaluation_changes_no_bit_of_the_training(name: str, precision: str) -> None:
    one, other = stepper(name, precision), stepper(name, precision)
    images, _ = data()
    train(one)
    one.evaluate(images)
    assert one.model.training
    train(one)
    train(other, 2)
    assert same(weights(one), weights(other))


@EACH
def test_it_learns_and_its_weights_stay_float32(name: str, precision: str) -> None:
    one = stepper(name, precision, lr=0.003)  # at 0.01 single steps of self-attention diverge and come back
    losses = train(one, 30)
    assert float(losses[-1]) < 0.5 * float(losses[0])
    assert {p.dtype for p in one.model.parameters()} == {torch.float32}
    images, labels = data()
    assert (one.evaluate(images).argmax(1) == labels).float().mean() > 0.5


@EACH
def test_adam_moves_every_weight_by_its_rule(name: str, precision: str) -> None:
    # Adam's first step is lr * g / (|g| + eps), whatever the size of the gradient (Kingma and Ba, 2015).
    one = stepper(name, precision, lr=0.001)
    before = weights(one)
    train_images, labels = data()
    one.train_step(train_images, labels)
    moved = torch.cat([(new - before[key]).detach().flatten().abs() for key, new in one.model.named_parameters()])
    assert moved.max() <= 0.001 * 1.001
    assert (moved > 0.0009).float().mean() > 0.5


@EACH
def test_a_checkpoint_goes_on_with_the_same_bits(name: str, precision: str) -> None:
    straight, broken = stepper(name, precision), stepper(name, precision)
    train(straight, 2)
    train(broken)
    state = reloaded(broken.state_dict())
    resumed = stepper(name, precision)
    train(resumed)  # whatever it was before
    resumed.load_state_dict(state)
    train(resumed)
    assert same(weights(straight), weights(resumed))


def test_a_checkpoint_may_come_in_another_memory_layout() -> None:
    straight, resumed = stepper("base"), stepper("base")
    train(straight)
    state = reloaded(straight.state_dict())
    for averages in state["optimizer"]["state"].values():
        for name in ("exp_avg", "exp_avg_sq"):
            averages[name] = averages[name].contiguous()
    resumed.load_state_dict(state)
    train(straight)
    train(resumed)
    assert same(weights(straight), weights(resumed))


def test_the_state_of_another_network_is_refused() -> None:
    with pytest.raises(RuntimeError):
        stepper("base").load_state_dict(stepper("se").state_dict())
    one = stepper("base")
    train(one)
    state = reloaded(one.state_dict())
    state["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3)
    with pytest.raises(ValueError, match="fits no parameter"):
        stepper("base").load_state_dict(state)
    with pytest.raises(KeyError):
        stepper("base").load_state_dict({})


def test_evaluation_gives_float32_logits_for_any_number_of_images() -> None:
    one = stepper("base", "bf16")
    images, _ = data(450)
    logits = one.evaluate(images)
    assert logits.shape == (450, 10)
    assert logits.dtype == torch.float32
    assert torch.allclose(logits[200:230], one.evaluate(images[200:230]), atol=1e-2)


def test_a_network_without_a_fast_pass_trains_as_well() -> None:
    class Derived(CNN_Base):
        pass

    torch.manual_seed(0)
    derived = Stepper(Derived(2, (12, 8)), CPU, "bf16", lr=0.01, mean=MEAN, std=STD)
    losses = train(derived, 30)
    assert float(losses[-1]) < 0.5 * float(losses[0])


def test_the_allocator_can_be_set_up_more_than_once() -> None:
    assert keep_freed_memory() == keep_freed_memory()


@EACH
def test_the_smallest_images_train_in_batches_of_one(name: str, precision: str) -> None:
    stepper = Stepper(MODELS[name](2, 4), CPU, precision, lr=0.001, mean=MEAN, std=STD)
    images = torch.randint(0, 256, (3, 2, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for count in (3, 1, 2, 1):
        loss, _ = stepper.train_step(images[:count], torch.arange(count))
        assert loss.isfinite()
        assert stepper.evaluate(images[:count]).isfinite().all()


@EACH
def test_every_size_of_a_last_batch_and_of_a_test_set_can_be_computed(name: str, precision: str) -> None:
    stepper = Stepper(MODELS[name](2, (4, 8)), CPU, precision, lr=0.001, mean=MEAN, std=STD)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (EVALUATION_BATCH, 2, 4, 8), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (EVALUATION_BATCH,), generator=generator)
    for count in (*range(1, 20), 127, 128):
        loss, _ = stepper.train_step(images[:count], labels[:count])
        assert loss.isfinite()
    for count in (*range(1, 12), EVALUATION_BATCH - 1):
        assert stepper.evaluate(torch.cat([images, images[:count]])).shape == (EVALUATION_BATCH + count, 10)


def test_float32_is_exact_on_a_gpu_and_every_switch_can_still_be_read() -> None:
    conv, precision = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        use_exact_float32()
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = conv
        torch.set_float32_matmul_precision(precision)
