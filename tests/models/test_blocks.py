"""The blocks of other papers against their authors' formulas, and the controls against what they control for."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tui_attn.models import (
    MODELS,
    CNN_Base,
    CNN_SelfAttention,
    GatedTrunk,
    ImageSize,
    MixingTrunk,
    fold_attention,
    fold_gates,
)
from tui_attn.models.cbam import CBAMBlock
from tui_attn.models.coordinate import CoordinateBlock
from tui_attn.models.gct import GCTBlock
from tui_attn.models.self_attention_static import StaticChannelAttention
from tui_attn.models.simam import SimAMBlock
from tui_attn.models.srm import SRMBlock
from tui_attn.models.xca import XCABlock

from .test_trunk import SIZES, images

Weights = dict[str, Tensor]


def shaken(block: nn.Module) -> nn.Module:
    """`block` in float64 and eval mode, its weights and statistics far from their start."""
    block.double().eval()
    with torch.no_grad():
        for name, tensor in block.state_dict().items():
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) if "var" in name else 0.5 * torch.randn_like(tensor))
    return block


def cbam(x: Tensor, w: Weights) -> Tensor:
    def mlp(pooled: Tensor) -> Tensor:
        hidden = F.relu(F.linear(pooled.flatten(1), w["mlp.0.weight"], w["mlp.0.bias"]))
        return F.linear(hidden, w["mlp.2.weight"], w["mlp.2.bias"])

    size = x.shape[2:]
    scale = torch.sigmoid(mlp(F.avg_pool2d(x, size)) + mlp(F.max_pool2d(x, size)))
    x = x * scale.unsqueeze(2).unsqueeze(3).expand_as(x)
    compressed = torch.cat((x.max(1)[0].unsqueeze(1), x.mean(1).unsqueeze(1)), dim=1)
    out = F.conv2d(compressed, w["spatial.weight"], padding=3)
    mean, var = w["bn.running_mean"], w["bn.running_var"]
    out = (out - mean) / torch.sqrt(var + 1e-5) * w["bn.weight"] + w["bn.bias"]
    return x * torch.sigmoid(out)


def gct(x: Tensor, w: Weights) -> Tensor:
    alpha, gamma, beta = (w[name].view(1, -1, 1, 1) for name in ("alpha", "gamma", "beta"))
    embedding = (x.pow(2).sum((2, 3), keepdim=True) + 1e-5).pow(0.5) * alpha
    norm = gamma / (embedding.pow(2).mean(dim=1, keepdim=True) + 1e-5).pow(0.5)
    return x * (1.0 + torch.tanh(embedding * norm + beta))


def srm(x: Tensor, w: Weights) -> Tensor:
    flat = x.flatten(2)
    style = torch.stack((flat.mean(dim=2), (flat.var(dim=2) + 1e-5).sqrt()), dim=2)  # (B, C, 2)
    z = (style * w["cfc"]).sum(dim=2)
    z = F.batch_norm(z, w["bn.running_mean"], w["bn.running_var"], w["bn.weight"], w["bn.bias"])
    return x * torch.sigmoid(z)[:, :, None, None]


def simam(x: Tensor, w: Weights) -> Tensor:
    n = x.shape[2] * x.shape[3] - 1
    d = (x - x.mean(dim=[2, 3], keepdim=True)).pow(2)
    v = d.sum(dim=[2, 3], keepdim=True) / n
    return x * torch.sigmoid(d / (4 * (v + 1e-4)) + 0.5)


def coordinate(x: Tensor, w: Weights) -> Tensor:
    _, _, h, width = x.shape
    x_h = F.adaptive_avg_pool2d(x, (h, 1))
    x_w = F.adaptive_avg_pool2d(x, (1, width)).permute(0, 1, 3, 2)
    y = F.conv2d(torch.cat([x_h, x_w], dim=2), w["conv1.weight"], w["conv1.bias"])
    y = F.batch_norm(y, w["bn1.running_mean"], w["bn1.running_var"], w["bn1.weight"], w["bn1.bias"])
    y = y * (F.relu6(y + 3) / 6)
    y_h, y_w = torch.split(y, [h, width], dim=2)
    a_h = F.conv2d(y_h, w["conv_h.weight"], w["conv_h.bias"]).sigmoid()
    a_w = F.conv2d(y_w.permute(0, 1, 3, 2), w["conv_w.weight"], w["conv_w.bias"]).sigmoid()
    return x * a_w * a_h


@pytest.mark.parametrize("shape", [(5, 32, 14, 10), (2, 64, 7, 7), (1, 64, 6, 9)])
@pytest.mark.parametrize(
    ("make", "reference"),
    [
        (CBAMBlock, cbam),
        (GCTBlock, gct),
        (SRMBlock, srm),
        (lambda channels: SimAMBlock(), simam),
        (CoordinateBlock, coordinate),
    ],
)
def test_a_block_equals_its_authors_formula(
    make: Callable[[int], nn.Module], reference: Callable[[Tensor, Weights], Tensor], shape: tuple[int, int, int, int]
) -> None:
    torch.manual_seed(0)
    block, x = shaken(make(shape[1])), torch.randn(shape, dtype=torch.float64)
    assert (block(x) - reference(x, dict(block.state_dict()))).abs().max() <= 1e-6


def test_cross_covariance_attention_equals_its_authors_formula() -> None:
    torch.manual_seed(0)
    block, maps = shaken(XCABlock(64)), torch.randn(3, 64, 49, dtype=torch.float64)
    w = dict(block.state_dict())
    x = maps.transpose(1, 2)  # tokens are pixels
    count, tokens, channels = x.shape
    qkv = (x @ w["qkv.weight"].t()).reshape(count, tokens, 3, 8, channels // 8).permute(2, 0, 3, 1, 4)
    q, k, v = (part.transpose(-2, -1) for part in qkv)
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    attn = ((q @ k.transpose(-2, -1)) * w["temperature"]).softmax(dim=-1)
    update = (attn @ v).permute(0, 3, 1, 2).reshape(count, tokens, channels) @ w["proj.weight"].t() + w["proj.bias"]
    assert (block(maps) - (x + update).transpose(1, 2)).abs().max() <= 1e-6


def built(name: str, in_channels: int = 1, image_size: ImageSize = 28) -> nn.Module:
    torch.manual_seed(3)
    return MODELS[name](in_channels, image_size)


def test_half_and_static_start_as_se_with_all_gates_half_open() -> None:
    half, static, x = built("half"), built("static"), images(1, 28)
    assert torch.allclose(half(x), static(x), atol=1e-6)
    se = built("se")
    assert isinstance(se, GatedTrunk)
    assert torch.allclose(
        half(x), se(x, gates={"se1": torch.full((32,), 0.5), "se2": torch.full((64,), 0.5)}), atol=1e-6
    )


def test_doubled_gates_are_twice_those_of_se() -> None:
    se, doubled, x = built("se"), built("se2x"), images(1, 28)
    assert isinstance(se, GatedTrunk)
    assert isinstance(doubled, GatedTrunk)
    assert torch.allclose(2 * se.gates(x)["se1"], doubled.gates(x)["se2x1"])


def test_the_lab_read_literally_is_self_attention_without_the_residual() -> None:
    torch.manual_seed(3)
    expected, lab, x = CNN_SelfAttention(residual=False), built("self-attention-lab"), images(1, 28)
    assert torch.equal(lab(x), expected(x))


def test_static_attention_is_self_attention_with_its_weights_put_in() -> None:
    ours, own, x = built("self-attention-static"), built("self-attention"), images(1, 28)
    assert isinstance(own, MixingTrunk)
    assert isinstance(ours, MixingTrunk)
    assert isinstance(ours.attn, StaticChannelAttention)
    with torch.no_grad():
        ours.attn.scores.normal_()
    weights = ours.attn.scores.softmax(-1)
    assert torch.allclose(ours(x), own(x, attention=weights), atol=1e-5)
    assert torch.equal(ours.attention(x), weights.expand(len(x), -1, -1, -1))
    maps = ours.maps(x)
    assert torch.allclose(ours.attn.merged()(maps), ours.attn(maps), atol=1e-5)


@pytest.mark.parametrize(("in_channels", "image_size"), SIZES)
@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize(("wide", "other"), [("base-wide", "self-attention"), ("base-wide-se", "se")])
def test_a_wide_base_has_the_parameters_of_the_other_within_a_hundredth(
    wide: str, other: str, classes: int, in_channels: int, image_size: ImageSize
) -> None:
    ours, wanted = (
        sum(p.numel() for p in MODELS[name](in_channels, image_size, classes).parameters()) for name in (wide, other)
    )
    assert abs(ours - wanted) <= 0.01 * wanted


def test_the_wide_bases_have_165_and_68_channels_on_fashion_mnist() -> None:
    widths = [MODELS[name]().conv2.out_channels for name in ("base-wide", "base-wide-se")]
    assert widths == [165, 68]


@pytest.mark.parametrize(("in_channels", "image_size"), SIZES)
@pytest.mark.parametrize("name", ["static", "se2x", "gct"])
def test_gates_that_are_constant_fold_into_the_convolutions(name: str, in_channels: int, image_size: ImageSize) -> None:
    net = shaken(built(name, in_channels, image_size))
    assert isinstance(net, GatedTrunk)
    x = images(in_channels, image_size).double()
    mean = {layer: gates.mean(0) for layer, gates in net.gates(x).items()}
    folded = fold_gates(net, mean)
    assert type(folded) is CNN_Base
    assert (folded(x) - net(x, gates=mean)).abs().max() <= 1e-9
    if name == "static":
        assert (folded(x) - net(x)).abs().max() <= 1e-9


@pytest.mark.parametrize("name", ["cbam", "simam", "coordinate"])
def test_gates_that_differ_by_pixel_are_not_folded(name: str) -> None:
    net = built(name).eval()
    assert isinstance(net, GatedTrunk)
    mean = {layer: gates.mean(0) for layer, gates in net.gates(images(1, 28)).items()}
    with pytest.raises(ValueError, match=r"gate"):
        fold_gates(net, mean)


@pytest.mark.parametrize("name", ["xca", "self-attention-static", "self-attention-lab"])
def test_constant_weights_fold_into_the_classifier(name: str) -> None:
    net = shaken(built(name))
    assert isinstance(net, MixingTrunk)
    x = images(1, 28, count=6).double()
    mean = net.attention(x).mean(0).detach()
    assert mean.shape == net.attn.shape
    logits = net(x, attention=mean)
    assert (fold_attention(net, mean)(x) - logits).abs().max() <= 1e-12 * logits.abs().max().clamp_min(1e3)


@pytest.mark.parametrize("name", MODELS)
def test_equal_calls_give_equal_bits_and_any_batch_size_works(name: str) -> None:
    x = images(1, 28, count=7)

    def trained() -> list[Tensor]:
        net = built(name)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
        for first, last in itertools.pairwise((0, 3, 6, 7)):  # the last of one image
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(net(x[first:last]), torch.arange(first, last)))
            optimizer.step()
        return [tensor.clone() for tensor in net.state_dict().values()]

    once, twice = trained(), trained()
    assert all(map(torch.equal, once, twice))
    assert all(bool(tensor.isfinite().all()) for tensor in once)


@pytest.mark.parametrize("name", MODELS)
def test_bf16_changes_the_logits_by_rounding_alone(name: str) -> None:
    net, x = built(name).eval(), images(1, 28)
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(x).float()
    exact = net(x)
    assert (rough - exact).norm() <= 0.03 * exact.norm() + 0.01


def test_constant_maps_give_an_srm_block_finite_gradients() -> None:
    block, x = SRMBlock(4), torch.zeros(3, 4, 5, 5, requires_grad=True)
    torch.autograd.backward(block(x).sum() + block.gate(x).square().sum())
    assert x.grad is not None and bool(x.grad.isfinite().all())
    assert block.cfc.grad is not None and bool(block.cfc.grad.isfinite().all())
