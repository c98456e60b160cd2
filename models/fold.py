"""Attention that is the same for every image is no attention: it folds into the weights of a network without any."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .baseline import CNN_Base
from .gates import GatedTrunk
from .self_attention import CNN_SelfAttention
from .trunk import Trunk


@torch.no_grad()
def fold_gates(model: GatedTrunk, gates: Mapping[str, Tensor]) -> CNN_Base:
    """The network without attention that computes what `model` does with the same gates for every image.

    `gates`: (32,) and (64,) by the names of the layers, all of them 0 or above. The logits are those of
    `model(x, gates=gates)`, but for rounding: a factor that isn't negative passes through ReLU and max pooling
    into the weights and the bias of the convolution before. Hence whatever a network gains by its gates, beyond what
    they do for the training, it gains by computing them anew for every image.

    ValueError for a layer that is missing, and for gates that are negative or of another shape.
    """
    folded = _without_attention(model)
    for layer, name in zip(model.GATE_LAYERS, ("conv1", "conv2"), strict=True):
        if layer not in gates:
            raise ValueError(f"there are no gates for {layer}")
        conv, gate = folded.get_submodule(name), gates[layer]
        weight, bias = conv.get_parameter("weight"), conv.get_parameter("bias")
        if gate.shape != bias.shape or not bool((gate >= 0).all()):
            raise ValueError(f"the gates of {layer} must be {len(bias)} numbers of at least 0")
        gate = gate.to(weight)
        weight.mul_(gate[:, None, None, None])  # (C_out, C_in, 3, 3)
        bias.mul_(gate)
    return folded


@torch.no_grad()
def fold_attention(model: CNN_SelfAttention, weights: Tensor) -> CNN_Base:
    """The network without attention that computes what `model` does with the same weights for every image.

    `weights` broadcasts to (A, 64, 64): one matrix for each head, or one for all. The logits are those of
    `model(x, attention=weights)`, but for rounding: values, weighted sums, `to_map` and the classifier are linear
    in the feature maps, one after the other, and a product of matrices is a matrix.

    ValueError for weights of another shape.
    """
    attn = model.attn
    folded = _without_attention(model)
    classes = model.num_classes
    channels = model.fc.in_features // model.pixels
    try:
        weights = weights.to(model.fc.weight).broadcast_to(attn.num_heads, channels, channels)
    except RuntimeError:
        raise ValueError(f"the weights must broadcast to {(attn.num_heads, channels, channels)}") from None
    # How a map's pixels become the value of its token, by head: (A, D, N) and (A, D)
    embed = attn.mha.embed_dim
    to_value, value_bias = attn.mha.in_proj_weight[2 * embed :], attn.mha.in_proj_bias[2 * embed :]
    enter = (to_value @ attn.to_token.weight).view(attn.num_heads, attn.head_dim, -1)
    enter_bias = (to_value @ attn.to_token.bias + value_bias).view(attn.num_heads, attn.head_dim)
    # How a mixed token becomes an update of its map: (N, A, D) and (N,)
    leave = (attn.to_map.weight @ attn.mha.out_proj.weight).view(-1, attn.num_heads, attn.head_dim)
    leave_bias = attn.to_map.weight @ attn.mha.out_proj.bias + attn.to_map.bias
    # What the classifier reads from the update of channel i: (classes, C, A, D)
    read = model.fc.weight.view(classes, channels, -1)
    heads = torch.einsum("kin,nad->kiad", read, leave)
    # ... and so, through the weights from i to j, from the map of channel j: (classes, C, N)
    from_maps = torch.einsum("kiad,aij,adn->kjn", heads, weights, enter)
    bias = model.fc.bias + torch.einsum("kin,n->k", read, leave_bias)
    bias += torch.einsum("kiad,aij,ad->k", heads, weights, enter_bias)
    folded.fc.weight.copy_((read + from_maps if attn.residual else from_maps).flatten(1))
    folded.fc.bias.copy_(bias)
    return folded


def _without_attention(model: Trunk) -> CNN_Base:
    """A CNN_Base with copies of the convolutions and the classifier of `model`."""
    with torch.device("meta"):  # makes no weights and draws no random number
        folded = CNN_Base(model.in_channels, (model.height, model.width), model.num_classes)
    folded.to_empty(device=model.fc.weight.device).to(model.fc.weight.dtype)
    own = model.state_dict()
    folded.load_state_dict({name: own[name] for name in folded.state_dict()})
    return folded.train(model.training)
