"""Folds attention that is the same for every image into the weights of a network without attention."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .baseline import CNN_Base
from .gates import ChannelGate, GatedTrunk
from .mixing import MixingTrunk
from .trunk import Trunk


@torch.no_grad()
def fold_gates(model: GatedTrunk, gates: Mapping[str, Tensor]) -> CNN_Base:
    """The network without attention that computes what `model` does with the same gates for every image.

    `gates`: (32,) and (64,) by the names of the layers, all of them 0 or above. The logits are those of
    `model(x, gates=gates)`, but for rounding: a factor that isn't negative passes through ReLU and max pooling
    into the weights and the bias of the convolution before. Hence whatever a network gains by its gates, beyond what
    they do for the training, it gains by computing them anew for every image.

    ValueError for a layer that is missing, for gates that are negative or of another shape, and for a block that does
    more than multiply each map by its gate.
    """
    if any(type(block).forward is not ChannelGate.forward for block in model.gate_blocks):
        raise ValueError(f"{type(model).__name__} does more than multiply each map by its gate")
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


def fold_attention(model: MixingTrunk, weights: Tensor) -> CNN_Base:
    """The network without attention that computes what `model` does with the same weights for every image.

    `weights` broadcasts to `model.attn.shape`, (A, 64, 64) for self-attention: one matrix for each head, or one for
    all. The logits are those of `model(x, attention=weights)`, but for rounding: with constant weights everything
    from the last feature maps to the logits is one affine function, and so its value at 0 and its gradients are it.

    ValueError for weights of another shape.
    """
    folded = _without_attention(model)
    try:
        weights = weights.broadcast_to(model.attn.shape)
    except RuntimeError:
        raise ValueError(f"the weights must broadcast to {model.attn.shape}") from None
    with torch.inference_mode(mode=False), torch.enable_grad():
        fixed = weights.detach().clone().to(model.fc.weight)
        maps = model.fc.weight.new_zeros(model.num_classes, model.fc.in_features // model.pixels, model.pixels)
        logits = model.classify(model.attn(maps.requires_grad_(), fixed))  # (classes, classes): equal rows
        (gradient,) = torch.autograd.grad(logits.trace(), maps)  # (classes, 64, N): that of each logit
    with torch.no_grad():
        folded.fc.weight.copy_(gradient.flatten(1))
        folded.fc.bias.copy_(logits[0])
    return folded


def _without_attention(model: Trunk) -> CNN_Base:
    """A CNN_Base with copies of the convolutions and the classifier of `model`."""
    with torch.device("meta"):  # makes no weights and draws no random number
        folded = CNN_Base(model.in_channels, (model.height, model.width), model.num_classes)
    folded.to_empty(device=model.fc.weight.device).to(model.fc.weight.dtype)
    own = model.state_dict()
    folded.load_state_dict({name: own[name] for name in folded.state_dict()})
    return folded.train(model.training)
