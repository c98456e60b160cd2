"""Other gates in the place of a trained SE network's own: what becomes of its predictions.

The first convolution is computed twice, the second once for every replacement of the first layer's gates. A
replacement in the second layer costs next to nothing, since what the classifier reads is linear in those gates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tui_attn.models import CNN_SE
from tui_attn.train import rng
from tui_attn.train.feature_maps import FeatureMaps, another_image

DRAWS = 3
"""How often what is random is drawn. Each image has its own draw each time, so that 3 of them are thousands."""
KNOCKED_OUT = 4
"""Channels that are knocked out at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one intervention made of the predictions."""

    kind: str
    layer: str
    right: Tensor
    """bool (D, M): whether image M is classified rightly in draw D."""
    channels: tuple[int, ...] | None = None


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
    maps: FeatureMaps[CNN_SE], seed: int, tick: Callable[[], object]
) -> tuple[Tensor, list[Outcome]]:
    """Whether each test image is classified rightly, bool (M,), and the same under every intervention.

    "se1" and "se2" replace the gates of one layer and let the other compute its own from the maps it then sees; "all"
    replaces both, each by what it is replaced by alone. `tick` is called now and then. No weight is changed, and no
    global stream of random numbers is touched.
    """
    maps.model.eval()
    own = _Own(maps, tick)
    first, second = (
        _replacements(gates, seed, layer) for gates, layer in zip(own.gates, CNN_SE.SE_LAYERS, strict=True)
    )
    in_second = {kind: [own.with_second_gates(item) for item in items] for kind, items in second.items()}
    in_first, in_both = _with_first_gates(maps, first, second, tick)
    outcomes = [
        Outcome(kind, layer, torch.stack(found[kind]), replaced[kind][0].channels if replaced else None)
        for kind in first
        for layer, found, replaced in (("se1", in_first, first), ("se2", in_second, second), ("all", in_both, None))
    ]
    return own.right, outcomes


class _Own:
    """The network as it is: gates, predictions, and what the classifier reads from each channel."""

    def __init__(self, maps: FeatureMaps[CNN_SE], tick: Callable[[], object]) -> None:
        model, self._maps = maps.model, maps
        weights, bias = _channels_innermost(model)
        gates: tuple[list[Tensor], list[Tensor]] = ([], [])
        parts = []
        for block in maps.blocks:
            first = maps.first(block)
            gates[0].append(model.se1.gate(first))
            second = maps.second(first * gates[0][-1][..., None, None])
            gates[1].append(model.se2.gate(second))
            pixels = second.permute(0, 2, 3, 1).flatten(1, 2)  # (B, 64, H/4, W/4) -> (B, N, 64)
            parts.append(torch.einsum("bnc,knc->bkc", pixels, weights))
            tick()
        self.gates = torch.cat(gates[0]), torch.cat(gates[1])  # (M, 32), (M, 64)
        self._parts, self._bias = torch.cat(parts), bias  # (M, classes, 64), (classes,)
        self.right = self.with_second_gates(_Replacement(self.gates[1]))

    def with_second_gates(self, replacement: _Replacement) -> Tensor:
        """Whether each image is classified rightly, bool (M,), with other gates in the second layer."""
        logits = torch.matmul(self._parts, replacement.gates.expand(len(self._parts), -1)[..., None])[..., 0]
        return self._maps.right(logits + self._bias, slice(None))


def _with_first_gates(
    maps: FeatureMaps[CNN_SE], first: Replacements, second: Replacements, tick: Callable[[], object]
) -> tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]]:
    """What becomes of the predictions, bool (M,) each, with other gates in the first layer, and in both."""
    model = maps.model
    weights, bias = _channels_innermost(model)

    def right(pixels: Tensor, gates: Tensor, block: slice) -> Tensor:
        gated = (pixels * gates[:, None]).flatten(1)  # (B, N, 64) -> (B, N * 64)
        return maps.right(torch.nn.functional.linear(gated, weights.flatten(1), bias), block)

    alone: dict[str, list[list[Tensor]]] = {kind: [[] for _ in items] for kind, items in first.items()}
    together: dict[str, list[list[Tensor]]] = {kind: [[] for _ in items] for kind, items in first.items()}
    for block in maps.blocks:
        features = maps.first(block)
        for kind, draw, replacement, other in _pairs(first, second):
            after = maps.second(features * replacement.of(block)[..., None, None])
            pixels = after.permute(0, 2, 3, 1).flatten(1, 2)  # (B, N, 64)
            alone[kind][draw].append(right(pixels, model.se2.gate(after), block))
            together[kind][draw].append(right(pixels, other.of(block), block))
        tick()
    return (
        {kind: [torch.cat(parts) for parts in draws] for kind, draws in alone.items()},
        {kind: [torch.cat(parts) for parts in draws] for kind, draws in together.items()},
    )


def _pairs(first: Replacements, second: Replacements) -> Iterator[tuple[str, int, _Replacement, _Replacement]]:
    for kind, items in first.items():
        for draw, pair in enumerate(zip(items, second[kind], strict=True)):
            yield kind, draw, *pair


def _channels_innermost(model: CNN_SE) -> tuple[Tensor, Tensor]:
    """The classifier's weights in the order in which the maps lie in memory, (classes, N, 64), and its bias."""
    weights = model.fc.weight.view(model.num_classes, -1, model.pixels)  # (classes, 64, N)
    return weights.transpose(1, 2).contiguous(), model.fc.bias


def _replacements(gates: Tensor, seed: int, layer: str) -> Replacements:
    """All that takes the place of a layer's own gates (M, C)."""
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
