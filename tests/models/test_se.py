"""Squeeze-and-Excitation: the gate, where it stands, and what can be put in its place."""

import pytest
import torch
from torch import nn
from torchvision.ops import SqueezeExcitation

from tui_attn.models import CNN_SE, ImageSize, SEBlock
from tui_attn.models.trunk import conv_pool_relu

from .test_trunk import SIZES, images


def net_and_images(in_channels: int = 1, image_size: ImageSize = 28) -> tuple[CNN_SE, torch.Tensor]:
    torch.manual_seed(0)
    return CNN_SE(in_channels, image_size).eval(), images(in_channels, image_size, count=6)


@pytest.mark.parametrize("channels", [32, 64])
def test_block_equals_torchvisions_with_its_weights_and_no_biases(channels: int) -> None:
    torch.manual_seed(0)
    ours, theirs = SEBlock(channels), SqueezeExcitation(channels, squeeze_channels=16)
    squeeze, excite = ours.fc[0], ours.fc[2]
    assert isinstance(squeeze, nn.Linear)
    assert isinstance(excite, nn.Linear)
    with torch.no_grad():
        theirs.fc1.weight.copy_(squeeze.weight[:, :, None, None])
        theirs.fc2.weight.copy_(excite.weight[:, :, None, None])
        theirs.fc1.bias.zero_()
        theirs.fc2.bias.zero_()
        x = torch.randn(5, channels, 14, 10)
        assert (ours(x) - theirs(x)).abs().max() <= 1e-6


def test_reduction_is_the_width_of_the_hidden_layer() -> None:
    assert [tuple(p.shape) for p in SEBlock(64, reduction=8).parameters()] == [(8, 64), (64, 8)]


@pytest.mark.parametrize(("in_channels", "image_size"), SIZES)
def test_gates_lie_between_0_and_1(in_channels: int, image_size: ImageSize) -> None:
    net, x = net_and_images(in_channels, image_size)
    gates = net.gates(x)
    assert {name: tuple(gate.shape) for name, gate in gates.items()} == {"se1": (6, 32), "se2": (6, 64)}
    for gate in gates.values():
        assert ((gate > 0) & (gate < 1)).all()


@pytest.mark.parametrize(("in_channels", "image_size"), SIZES)
def test_its_blocks_stand_after_convolution_pooling_and_relu(in_channels: int, image_size: ImageSize) -> None:
    net, x = net_and_images(in_channels, image_size)
    first = conv_pool_relu(net.conv1, x)
    first = first * net.se1.gate(first)[:, :, None, None]
    second = conv_pool_relu(net.conv2, first)
    second = second * net.se2.gate(second)[:, :, None, None]
    assert torch.equal(net(x), net.fc(second.flatten(1)))


def test_its_own_gates_put_back_change_nothing() -> None:
    net, x = net_and_images()
    assert torch.equal(net(x, gates=net.gates(x)), net(x))
    assert torch.equal(net(x, gates={"se1": lambda gate: gate}), net(x))


def test_other_gates_can_stand_in_for_the_computed_ones() -> None:
    net, x = net_and_images()
    own = net.gates(x)
    order = torch.tensor([5, 4, 3, 2, 1, 0])
    shuffled = net(x, gates={"se2": lambda gate: gate[order]})
    assert torch.equal(shuffled, net(x, gates={"se1": own["se1"], "se2": own["se2"][order]}))
    assert not torch.allclose(shuffled, net(x))
    open_gates = {"se1": torch.ones(32), "se2": torch.ones(64)}
    plain = conv_pool_relu(net.conv2, conv_pool_relu(net.conv1, x))
    assert torch.equal(net(x, gates=open_gates), net.fc(plain.flatten(1)))


def test_a_constant_gate_is_a_network_without_attention() -> None:
    # A gate above 0 commutes with pooling and ReLU, so that it folds into the convolution before it.
    net, x = net_and_images()
    net, x = net.double(), x.double()
    mean = {name: gate.mean(0) for name, gate in net.gates(x).items()}
    gated = net(x, gates=mean)
    with torch.no_grad():
        for conv, gate in ((net.conv1, mean["se1"]), (net.conv2, mean["se2"])):
            assert conv.bias is not None
            conv.weight.mul_(gate[:, None, None, None])
            conv.bias.mul_(gate)
    folded = net(x, gates={"se1": torch.ones(32, dtype=x.dtype), "se2": torch.ones(64, dtype=x.dtype)})
    assert (gated - folded).abs().max() <= 1e-9
