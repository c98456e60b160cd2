"""The fast passes compute what the networks compute, forward and backward."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tui_attn.models import MODELS, ChannelSelfAttention, CNN_Base, CNN_SelfAttention, ImageSize, MixingTrunk
from tui_attn.train.fast import Pass, _mix, fast_pass, macs

CPU = torch.device("cpu")
SIZES: list[tuple[int, ImageSize]] = [(1, 28), (3, 32), (2, (40, 24))]


def batch(in_channels: int, image_size: ImageSize) -> tuple[torch.Tensor, torch.Tensor]:
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(12, in_channels, height, width, generator=generator)
    return images.to(memory_format=torch.channels_last), torch.randint(0, 10, (12,), generator=generator)


def make(name: str, in_channels: int, image_size: ImageSize) -> nn.Module:
    torch.manual_seed(0)
    return MODELS[name](in_channels, image_size)


def need(model: nn.Module, dtype: torch.dtype) -> Pass:
    fast = fast_pass(model, CPU, dtype)
    if fast is None:
        pytest.skip("no fast pass on this machine")
    return fast


def gradients(model: nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(F.cross_entropy(logits, labels), parameters), strict=True))


@pytest.mark.parametrize(("in_channels", "image_size"), SIZES)
@pytest.mark.parametrize("name", MODELS)
def test_in_float32_it_equals_the_network(name: str, in_channels: int, image_size: ImageSize) -> None:
    model = make(name, in_channels, image_size)
    fast = need(model, torch.float32)
    x, labels = batch(in_channels, image_size)
    ours, own = fast(x), model(x)
    assert (ours - own).abs().max() <= 1e-5
    expected = gradients(model, own, labels)
    for key, grad in gradients(model, ours, labels).items():
        assert (grad - expected[key]).abs().max() <= 1e-5 * max(1.0, float(expected[key].abs().max())), key


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("name", MODELS)
def test_the_last_images_of_an_epoch_may_be_few(name: str, count: int) -> None:
    model = make(name, 1, 28)
    fast = need(model, torch.float32)
    x, labels = (part[:count] for part in batch(1, 28))
    ours, own = fast(x), model(x)
    assert (ours - own).abs().max() <= 1e-5
    expected = gradients(model, own, labels)
    for key, grad in gradients(model, ours, labels).items():
        assert (grad - expected[key]).abs().max() <= 1e-5 * max(1.0, float(expected[key].abs().max())), key


@pytest.mark.parametrize("name", ["cbam", "coordinate", "simam"])
def test_large_maps_are_computed_as_the_network_does(name: str) -> None:
    model = make(name, 1, (136, 132))
    fast = need(model, torch.float32)
    x, _ = batch(1, (136, 132))
    assert (fast(x[:2]) - model(x[:2])).abs().max() <= 1e-5


@pytest.mark.parametrize("residual", [True, False])
def test_attention_far_from_uniform_equals_the_network_too(residual: bool) -> None:
    torch.manual_seed(0)
    model = CNN_SelfAttention(residual=residual)
    with torch.no_grad():
        model.attn.mha.in_proj_weight.mul_(4)
        assert model.attn.mha.in_proj_bias is not None
        for bias in (model.attn.mha.in_proj_bias, model.attn.mha.out_proj.bias):
            bias.normal_()
    fast = need(model, torch.float32)
    x, labels = batch(1, 28)
    ours, own = fast(x), model(x)
    assert (ours - own).abs().max() <= 1e-5 * own.abs().max().clamp_min(1)
    expected = gradients(model, own, labels)
    for key, grad in gradients(model, ours, labels).items():
        assert (grad - expected[key]).abs().max() <= 1e-4 * max(1e-3, float(expected[key].abs().max())), key


@pytest.mark.parametrize(("in_channels", "image_size"), SIZES)
@pytest.mark.parametrize("name", MODELS)
def test_in_bf16_it_is_as_near_as_autocast(name: str, in_channels: int, image_size: ImageSize) -> None:
    model = make(name, in_channels, image_size)
    fast = need(model, torch.bfloat16)
    x, labels = batch(in_channels, image_size)
    exact = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        autocast = model(x).float()
    ours = fast(x)
    assert ours.dtype == torch.float32
    assert (ours - exact).norm() <= 1.5 * (autocast - exact).norm() + 1e-3 * exact.norm()
    expected = gradients(model, exact, labels)
    by_autocast = gradients(model, autocast, labels)
    for key, grad in gradients(model, ours, labels).items():
        size = expected[key].norm()
        assert grad.dtype == torch.float32
        assert (grad - expected[key]).norm() <= 1.5 * (by_autocast[key] - expected[key]).norm() + 0.01 * size, key


@pytest.mark.parametrize("name", MODELS)
def test_it_reads_the_parameters_at_every_call(name: str) -> None:
    model = make(name, 1, 28)
    fast = need(model, torch.float32)
    x, _ = batch(1, 28)
    before = fast(x)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    assert (fast(x) - model(x)).abs().max() <= 1e-4
    assert not torch.allclose(fast(x), before)


def test_networks_it_does_not_know_have_none() -> None:
    class Derived(CNN_Base):
        pass

    assert fast_pass(Derived(), CPU, torch.float32) is None
    assert fast_pass(nn.Flatten(), CPU, torch.float32) is None
    assert fast_pass(CNN_Base(), torch.device("cuda"), torch.float32) is None


def test_macs_as_run_are_those_of_the_merged_layers() -> None:
    """By PyTorch's own counter; merging the weights costs the same for every batch."""
    from torch.utils.flop_counter import FlopCounterMode

    net = MODELS["self-attention"]()
    assert isinstance(net, MixingTrunk) and isinstance(net.attn, ChannelSelfAttention)
    counted = []
    for batch in (2, 3):
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            _mix(net.attn, torch.randn(batch, 64, 49))
        counted.append(counter.get_total_flops())
    assert counted[1] - counted[0] == 2 * net.attn.merged_macs(64, 49)
    assert macs(net) == net.macs() - net.attn.macs(64, 49) + net.attn.merged_macs(64, 49) < net.macs()
    assert macs(MODELS["base"]()) is None


STEPS = """
import torch
from tui_attn.models import CNN_Base
from tui_attn.train.fast import _RowsAsChannels, fast_pass

apply, used = _RowsAsChannels.apply, []
_RowsAsChannels.apply = lambda *given: used.append(0) or apply(*given)
for batch in (1, 7, 96):
    gradients = []
    for capability in ("AVX512", "AVX2"):
        torch.backends.cpu.get_cpu_capability = lambda: capability
        torch.manual_seed(0)
        model = CNN_Base()
        fast = fast_pass(model, torch.device("cpu"), torch.float32)
        fast(torch.randn(batch, 1, 28, 28)).square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(map(torch.equal, *gradients)), batch
assert len(used) == 3, used
"""


def test_with_avx2_rows_as_channels_give_the_bits_of_the_convolution() -> None:
    need(CNN_Base(), torch.float32)
    only = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    subprocess.run([sys.executable, "-c", STEPS], check=True, env=os.environ | only)
