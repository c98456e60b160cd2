"""Attention that is the same for every image, folded into the weights of a network without any."""

import pytest
import torch
from torch import Tensor

from tui_attn.models import CNN_SE, CNN_Base, CNN_SelfAttention, ImageSize, fold_attention, fold_gates

from .test_trunk import SIZES, images


def far(first: Tensor, second: Tensor) -> float:
    return float((first - second).detach().abs().max())


@pytest.mark.parametrize(("in_channels", "image_size"), SIZES)
def test_mean_gates_fold_into_the_convolutions(in_channels: int, image_size: ImageSize) -> None:
    torch.manual_seed(0)
    net = CNN_SE(in_channels, image_size).double().eval()
    x = images(in_channels, image_size, count=40).double()
    mean = {layer: gates.mean(0) for layer, gates in net.gates(x).items()}
    folded = fold_gates(net, mean)
    assert type(folded) is CNN_Base
    logits = net(x, gates=mean)
    assert far(folded(x), logits) <= 1e-9
    assert far(net(x), logits) > 1e-6  # its own gates are others, and it shows


def test_gates_of_0_fold_as_well() -> None:
    net, x = CNN_SE().double().eval(), images(1, 28, count=5).double()
    gates = {"se1": torch.ones(32), "se2": (torch.arange(64) % 3 > 0).double()}
    assert far(fold_gates(net, gates)(x), net(x, gates=gates)) <= 1e-9


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(("in_channels", "image_size"), SIZES)
def test_constant_attention_folds_into_the_classifier(in_channels: int, image_size: ImageSize, residual: bool) -> None:
    torch.manual_seed(0)
    net = CNN_SelfAttention(in_channels, image_size, residual=residual).double().eval()
    with torch.no_grad():
        net.attn.mha.in_proj_weight.mul_(5)  # attention that is far from uniform
        net.attn.mha.in_proj_bias.normal_()
    x = images(in_channels, image_size, count=6).double()
    for weights in (torch.eye(64), torch.full((64, 64), 1 / 64), net.attention(x).mean(0).detach()):
        folded = fold_attention(net, weights)
        assert type(folded) is CNN_Base
        assert far(folded(x), net(x, attention=weights.double())) <= 1e-9
    assert far(fold_attention(net, torch.eye(64))(x), net(x)) > 1e-3


def test_folding_leaves_the_network_and_the_random_numbers_alone() -> None:
    net, attentive = CNN_SE(), CNN_SelfAttention()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    folded = fold_gates(net, {"se1": torch.rand(32, generator=torch.Generator()), "se2": torch.ones(64)})
    fold_attention(attentive, torch.eye(64))
    assert torch.equal(torch.get_rng_state(), state)
    assert folded.training
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize(
    "gates",
    [
        {"se1": torch.ones(32)},
        {"se1": torch.ones(32), "se2": torch.ones(63)},
        {"se1": torch.ones(32), "se2": -torch.ones(64)},
        {"se1": torch.ones(32), "se2": torch.full((64,), float("nan"))},
    ],
)
def test_gates_that_cannot_be_folded_are_refused(gates: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="se2"):
        fold_gates(CNN_SE(), gates)


def test_attention_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="broadcast"):
        fold_attention(CNN_SelfAttention(), torch.eye(63))
