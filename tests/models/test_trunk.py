"""The networks: their sizes, their parameters, and what they refuse."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tui_attn.models import MODELS, CNN_Base, ImageSize, macs
from tui_attn.models.trunk import conv_pool_relu

SIZES: list[tuple[int, ImageSize]] = [(1, 28), (3, 32), (2, (40, 24))]


def images(in_channels: int, image_size: ImageSize, count: int = 3) -> torch.Tensor:
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    return torch.randn(count, in_channels, height, width, generator=torch.Generator().manual_seed(1))


def test_names_come_in_the_order_of_the_lab() -> None:
    assert list(MODELS)[:3] == ["base", "se", "self-attention"]


@pytest.mark.parametrize(
    ("in_channels", "image_size", "counts"),
    [(1, 28, (50_186, 53_258, 128_955)), (3, 32, (60_362, 63_434, 142_986))],
)
def test_parameter_counts(in_channels: int, image_size: int, counts: tuple[int, ...]) -> None:
    nets = [MODELS[name](in_channels, image_size) for name in ("base", "se", "self-attention")]
    assert tuple(sum(p.numel() for p in net.parameters()) for net in nets) == counts


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("in_channels", "image_size"), SIZES)
def test_gives_one_finite_logit_per_class_and_every_parameter_a_gradient(
    name: str, in_channels: int, image_size: ImageSize
) -> None:
    torch.manual_seed(0)
    net = MODELS[name](in_channels, image_size, num_classes=7)
    with torch.no_grad():  # away from zeros at the start and from dead units, which have no gradients
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.rand_like(parameter))
    logits = net(images(in_channels, image_size))
    assert logits.shape == (3, 7)
    assert logits.isfinite().all()
    torch.autograd.backward(F.cross_entropy(logits, torch.tensor([0, 3, 6])))
    without = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    # A key's bias shifts all scores of a query alike, which the softmax cancels: its gradient is 0 in
    # exact arithmetic. It is part of one vector with the other two biases, so that one is never all 0.
    assert without == []


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("image_size", [0, 2, -4, 30, (28, 26), (27, 28)])
def test_refuses_sides_that_two_poolings_cannot_halve(name: str, image_size: ImageSize) -> None:
    with pytest.raises(ValueError, match="divisible by 4"):
        MODELS[name](1, image_size)


def test_refuses_no_channels_and_no_classes() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        CNN_Base(in_channels=0)
    with pytest.raises(ValueError, match="at least 1"):
        CNN_Base(num_classes=0)


def test_the_same_seed_gives_all_networks_of_one_width_the_same_convolutions_and_classifier() -> None:
    states = []
    for name, net in MODELS.items():
        torch.manual_seed(5)
        if not name.startswith("base-wide"):
            states.append(net().state_dict())
    assert len(states) == len(MODELS) - 2
    for key in states[0]:
        assert all(torch.equal(states[0][key], state[key]) for state in states[1:]), key


def test_pooling_first_changes_nothing() -> None:
    conv = nn.Conv2d(1, 32, kernel_size=3, padding=1)
    x = images(1, 28)
    assert torch.equal(conv_pool_relu(conv, x), F.max_pool2d(F.relu(conv(x)), 2))


def test_macs_are_the_products_that_a_pass_makes() -> None:
    # 3 x 3 kernels over 28 x 28 and 14 x 14 pixels, and 64 maps of 7 x 7 pixels to 10 classes
    base = 9 * 1 * 32 * 28 * 28 + 9 * 32 * 64 * 14 * 14 + 64 * 49 * 10
    se = base + 2 * 32 * 16 + 2 * 64 * 16
    attention = 64 * (49 * 128 + 128 * 384 + 128 * 128 + 128 * 49) + 2 * 8 * 64 * 64 * 16
    assert [macs(name) for name in ("base", "se", "self-attention")] == [base, se, base + attention]
    assert macs("base", 3, (40, 24), 5) == 9 * 3 * 32 * 960 + 9 * 32 * 64 * 240 + 64 * 60 * 5


@pytest.mark.parametrize("name", MODELS)
def test_macs_agree_with_pytorchs_own_counter(name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        MODELS[name](3, 32)(images(3, 32, count=1))
    assert counter.get_total_flops() == 2 * macs(name, 3, 32)


def test_counting_macs_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    macs("self-attention")
    assert torch.equal(before, torch.get_rng_state())


def test_macs_of_an_unknown_network_or_size() -> None:
    with pytest.raises(KeyError):
        macs("resnet")
    with pytest.raises(ValueError, match="divisible by 4"):
        macs("base", image_size=30)
