"""Replaces a trained network's gates, and measures how its predictions change.

The first convolution is computed twice, the second once for every replacement of the first layer's gates. A
replacement in the second layer costs next to nothing: what the classifier reads is linear in those gates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from tui_attn.models import ChannelGate, GatedTrunk
from tui_attn.train import rng
from tui_attn.train.feature_maps import Answers, FeatureMaps, another_image

DRAWS = 3
"""Draws of each random intervention. In each, every image has its own draw, so that 3 are thousands."""
KNOCKED_OUT = 4
"""Channels whose gates are set to 0 at once."""
KEPT = 1 << 26
"""The most bytes that are kept between the two passes over the images."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The predictions under one intervention."""

    kind: str
    layer: str
    answers: Answers
    """Of each draw."""
    channels: tuple[int, ...] | None = None

    @property
    def right(self) -> Tensor:
        """bool (D, M): whether image M is classified correctly in draw D."""
        return self.answers.right


@dataclass(frozen=True, slots=True)
class _Replacement:
    """Gates to use in the place of a layer's own."""

    gates: Tensor
    """(M, C), or (1, C) for the same in all images."""
    channels: tuple[int, ...] | None = None

    def of(self, block: slice) -> Tensor:
        """Those of a block, (B, C) or (1, C)."""
        return self.gates if len(self.gates) == 1 else self.gates[block]


Replacements = dict[str, list[_Replacement]]
"""By kind of intervention, one for each draw."""


@torch.inference_mode()
def gate_interventions(
    maps: FeatureMaps[GatedTrunk], seed: int, tick: Callable[[], object]
) -> tuple[Answers, list[Outcome]]:
    """The network's answers for each test image, as it is and under every intervention.

    The name of a layer replaces its gates and lets the other compute its own from the maps it then sees; "all"
    replaces both, each as when it is replaced alone. `tick` is called now and then. Weights and global random streams
    stay as they are.
    """
    maps.model.eval()
    own, parts = _own_gates(maps, tick)
    first, second = (
        _replacements(gates, seed, layer) for gates, layer in zip(own, maps.model.GATE_LAYERS, strict=True)
    )
    before, found = _replaced(maps, own, parts, first, second, tick)
    alone = dict(zip(maps.model.GATE_LAYERS, (first, second), strict=True))
    outcomes = [
        Outcome(kind, layer, Answers(draws), alone[layer][kind][0].channels if layer in alone else None)
        for (kind, layer), draws in found.items()
    ]
    return Answers(before), outcomes


def _own_gates(maps: FeatureMaps[GatedTrunk], tick: Callable[[], object]) -> tuple[tuple[Tensor, Tensor], list[Tensor]]:
    """The gates of both layers, (M, 32) and (M, 64), and by block `_Classifier.parts` where they are small enough."""
    blocks, classify = maps.model.gate_blocks, _Classifier(maps.model)
    size = 4 * len(maps.data) * maps.model.num_classes * maps.model.conv2.out_channels
    keeps = multiplies(maps.model) and size <= KEPT
    gates: tuple[list[Tensor], list[Tensor]] = ([], [])
    parts = []
    for block in maps.blocks:
        first = maps.first(block)
        gates[0].append(blocks[0].gate(first.float()))
        second = maps.second(_gated(blocks[0], first, gates[0][-1]))
        gates[1].append(blocks[1].gate(second))
        parts += [classify.parts(second)] if keeps else []
        tick()
    return (torch.cat(gates[0]), torch.cat(gates[1])), parts


def _replaced(
    maps: FeatureMaps[GatedTrunk],
    own: tuple[Tensor, Tensor],
    known: Sequence[Tensor],
    first: Replacements,
    second: Replacements,
    tick: Callable[[], object],
) -> tuple[Tensor, dict[tuple[str, str], Tensor]]:
    """The answers of the network as it is, (3, M), and those under replacements, (D, 3, M) by (kind, layer)."""
    model, layers = maps.model, maps.model.GATE_LAYERS
    block_before, block_after = model.gate_blocks
    linear = multiplies(model)
    classify = _Classifier(model)
    before: list[Tensor] = []
    found: dict[tuple[str, str], list[list[Tensor]]] = {
        (kind, layer): [[] for _ in items] for kind, items in first.items() for layer in (*layers, "all")
    }
    bias = 0.0 if model.conv2.bias is None else model.conv2.bias[:, None, None]
    for number, block in enumerate(maps.blocks):
        features = maps.first(block)
        if known:
            logits_of = partial(classify.sum, known[number])
        else:
            unchanged = maps.second(_gated(block_before, features, own[0][block]))
            logits_of = partial(classify.sum, classify.parts(unchanged)) if linear else partial(classify, unchanged)
        before.append(maps.answers(logits_of(own[1][block]), block))
        whole: Tensor | None = None
        for kind, draw, replacement, other in _pairs(first, second):
            if kind == "half" and whole is not None:  # half of what the convolution gives with gates of 1
                pooled = ((whole + bias) / 2).to(whole.dtype)
            else:
                pooled = maps.before_relu(_gated(block_before, features, replacement.of(block)))
            whole = pooled if kind == "ones" and linear else whole
            changed = pooled.relu().float()
            logits = {
                layers[0]: classify(changed, block_after.gate(changed)),
                layers[1]: logits_of(other.of(block)),
                "all": classify(changed, other.of(block)),
            }
            for layer, values in logits.items():
                found[kind, layer][draw].append(maps.answers(values, block))
        tick()
    after = {key: torch.stack([torch.cat(blocks, 1) for blocks in draws]) for key, draws in found.items()}
    return torch.cat(before, 1), after


def answers_with_gates(maps: FeatureMaps[GatedTrunk], first: Tensor, second: Tensor) -> Tensor:
    """The rows (3, M) of `Answers` of the network with gates (1, 32) and (1, 64) for all images."""
    before, classify = maps.model.gate_blocks[0], _Classifier(maps.model)
    found = [
        maps.answers(classify(maps.second(_gated(before, maps.first(block), first)), second), block)
        for block in maps.blocks
    ]
    return torch.cat(found, 1)


def multiplies(model: GatedTrunk) -> bool:
    """Whether the blocks only multiply each map by its gate."""
    return all(type(block).forward is ChannelGate.forward for block in model.gate_blocks)


class _Classifier:
    """A network's classifier on gated maps, which it reads in their memory layout, channels last."""

    def __init__(self, model: GatedTrunk) -> None:
        self._block, self._classify = model.gate_blocks[1], model.classify
        self._linear = multiplies(model)
        weights = model.fc.weight.view(model.num_classes, -1, model.pixels)  # (classes, 64, N)
        self._weights = weights.transpose(1, 2).contiguous()  # (classes, N, 64)
        self._bias = model.fc.bias

    def __call__(self, maps: Tensor, gates: Tensor) -> Tensor:
        """The logits (B, classes) of maps (B, 64, H/4, W/4) and gates (B, 64) or (1, 64)."""
        if not self._linear:
            return self._classify(self._block(maps, gates))
        gated = (_pixels(maps) * gates[:, None]).flatten(1)  # (B, N, 64) -> (B, N * 64)
        return torch.nn.functional.linear(gated, self._weights.flatten(1), self._bias)

    def parts(self, maps: Tensor) -> Tensor:
        """The contribution of each channel to the logits if its gate is 1: (B, classes, 64)."""
        return torch.einsum("bnc,knc->bkc", _pixels(maps), self._weights)

    def sum(self, parts: Tensor, gates: Tensor) -> Tensor:
        """The logits (B, classes) of `parts` under gates (B, 64) or (1, 64)."""
        return (parts * gates[:, None]).sum(-1) + self._bias


def _gated(block: ChannelGate, maps: Tensor, gates: Tensor) -> Tensor:
    """The output of `block` for maps (B, C, H, W) with these gates, (B, C) or (1, C)."""
    if type(block).forward is ChannelGate.forward:
        return maps * gates.to(maps.dtype)[..., None, None]
    found: Tensor = block(maps.float(), gates)
    return found.to(maps.dtype)


def _pixels(maps: Tensor) -> Tensor:
    """Maps (B, C, H, W) as (B, N, C)."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def _pairs(first: Replacements, second: Replacements) -> Iterator[tuple[str, int, _Replacement, _Replacement]]:
    for kind, items in first.items():
        for draw, pair in enumerate(zip(items, second[kind], strict=True)):
            yield kind, draw, *pair


def _replacements(gates: Tensor, seed: int, layer: str) -> Replacements:
    """All replacements of a layer's own gates (M, C)."""
    count, channels = gates.shape
    mean = gates.mean(0, keepdim=True)
    order = mean[0].argsort(descending=True, stable=True).tolist()
    off = min(KNOCKED_OUT, channels)

    def draws(kind: str, draw: Callable[[torch.Generator], Tensor]) -> list[_Replacement]:
        seeds = (rng.derive_seed(seed, "interventions", kind, layer, number) for number in range(DRAWS))
        return [_Replacement(draw(torch.Generator().manual_seed(number))) for number in seeds]

    def shuffled_images(generator: torch.Generator) -> Tensor:
        return gates[another_image(count, generator).to(gates.device)]

    def shuffled_channels(generator: torch.Generator) -> Tensor:
        return gates.gather(1, torch.rand(count, channels, generator=generator).argsort(1).to(gates.device))

    def random_off(generator: torch.Generator) -> Tensor:
        chosen = torch.rand(count, channels, generator=generator).argsort(1)[:, :off].to(gates.device)
        return gates.scatter(1, chosen, 0.0)

    def knocked_out(chosen: list[int]) -> list[_Replacement]:
        without = gates.clone()
        without[:, chosen] = 0
        return [_Replacement(without, tuple(sorted(chosen)))]

    return {
        "mean": [_Replacement(mean)],
        "ones": [_Replacement(torch.ones_like(mean))],
        "half": [_Replacement(torch.full_like(mean, 0.5))],
        "shuffled-images": draws("shuffled-images", shuffled_images),
        "shuffled-channels": draws("shuffled-channels", shuffled_channels),
        "most-open-off": knocked_out(order[:off]),
        "random-off": draws("random-off", random_off),
        "least-open-off": knocked_out(order[-off:]),
    }
