"""Self-attention between channels: equal to PyTorch's module, equivariant, and open to interventions."""

import pytest
import torch

from tui_attn.models import ChannelSelfAttention, CNN_SelfAttention, ImageSize

from .test_trunk import SIZES, images

PIXELS = [49, 64, 60]


def block_and_maps(pixels: int, residual: bool = True) -> tuple[ChannelSelfAttention, torch.Tensor]:
    torch.manual_seed(0)
    block = ChannelSelfAttention(pixels, residual=residual).eval()
    with torch.no_grad():  # weights far from their start, where the attention is nearly uniform
        block.mha.in_proj_weight.mul_(4)
        assert block.mha.in_proj_bias is not None
        block.mha.in_proj_bias.normal_()
    return block, torch.randn(3, 64, pixels)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("pixels", PIXELS)
def test_equals_multi_head_attention(pixels: int, residual: bool) -> None:
    block, maps = block_and_maps(pixels, residual)
    tokens = block.to_token(maps)
    mixed, weights = block.mha(tokens, tokens, tokens, average_attn_weights=False)
    expected = block.to_map(mixed) + (maps if residual else 0)
    assert (block(maps) - expected).abs().max() <= 1e-5
    assert (block.attention(maps) - weights).abs().max() <= 1e-5


@pytest.mark.parametrize("pixels", PIXELS)
def test_its_gradients_equal_those_of_multi_head_attention(pixels: int) -> None:
    block, maps = block_and_maps(pixels)
    block.double()
    maps = maps.double()
    tokens = block.to_token(maps)
    module = maps + block.to_map(block.mha(tokens, tokens, tokens)[0])
    parameters = dict(block.named_parameters())
    ours = torch.autograd.grad(block(maps).square().mean(), list(parameters.values()))
    theirs = torch.autograd.grad(module.square().mean(), list(parameters.values()))
    for name, own, reference in zip(parameters, ours, theirs, strict=True):
        assert torch.allclose(own, reference, rtol=1e-9, atol=1e-12), name


def test_permuting_the_channels_permutes_the_result() -> None:
    block, maps = block_and_maps(49)
    order = torch.randperm(64)
    assert (block(maps[:, order]) - block(maps)[:, order]).abs().max() <= 1e-5
    assert not torch.allclose(block(maps[:, order]), block(maps))


def test_a_token_is_made_from_its_own_channel_alone() -> None:
    block, maps = block_and_maps(49)
    changed = maps.clone()
    changed[:, 7] += 1
    same = (block.to_token(changed) == block.to_token(maps)).all(-1).all(0)
    assert same.tolist() == [channel != 7 for channel in range(64)]
    # and the attention itself never mixes pixels: with the identity each channel sees its own map only
    only_own = (block(changed, torch.eye(64)) == block(maps, torch.eye(64))).all(-1).all(0)
    assert only_own.tolist() == [channel != 7 for channel in range(64)]
    assert not (block(changed) == block(maps)).all(-1).all(0).any()


@pytest.mark.parametrize(("in_channels", "image_size"), SIZES)
def test_rows_of_the_attention_sum_to_1(in_channels: int, image_size: ImageSize) -> None:
    torch.manual_seed(0)
    weights = CNN_SelfAttention(in_channels, image_size).attention(images(in_channels, image_size))
    assert weights.shape == (3, 8, 64, 64)
    assert (weights >= 0).all()
    assert (weights.sum(-1) - 1).abs().max() <= 1e-5


def test_without_the_residual_nothing_passes_around_the_attention() -> None:
    torch.manual_seed(0)
    with_sum, without = CNN_SelfAttention(), CNN_SelfAttention(residual=False)
    without.load_state_dict(with_sum.state_dict())
    maps = with_sum.maps(images(1, 28))
    assert torch.allclose(with_sum.attn(maps), maps + without.attn(maps), atol=1e-6)


def test_other_weights_can_stand_in_for_the_computed_ones() -> None:
    torch.manual_seed(0)
    net, x = CNN_SelfAttention().eval(), images(1, 28)
    logits, weights = net(x), net.attention(x)
    assert torch.equal(net(x, attention=weights), logits)
    assert torch.equal(net(x, attention=lambda own: own), logits)
    mean = net(x, attention=weights.mean(0))
    assert torch.allclose(mean, net(x, attention=lambda own: own.mean(0)), atol=1e-6)
    assert not torch.equal(net(x, attention=torch.full((64, 64), 1 / 64)), logits)
    # identity: each token is its own value, and no channel learns of another
    value = net.attn.project(net.attn.to_token(net.maps(x)))[2].transpose(1, 2).flatten(2)
    expected = net.maps(x) + net.attn.to_map(net.attn.mha.out_proj(value))
    assert torch.allclose(net(x, attention=torch.eye(64)), net.classify(expected), atol=1e-5)
