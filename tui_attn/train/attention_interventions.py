"""Replaces a trained network's attention weights, and measures how its predictions change.

Weights that are the same for every image fold into the classifier (`fold_attention`), so that each costs a product of
the feature maps with one matrix. The effect of another image's weights is computed in the same pass as the network's
own.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tui_attn.models import MixingTrunk, fold_attention
from tui_attn.train import rng
from tui_attn.train.feature_maps import Answers, FeatureMaps
from tui_attn.train.gate_interventions import DRAWS, Outcome

LAYER = "attention"


@torch.inference_mode()
def attention_interventions(
    maps: FeatureMaps[MixingTrunk], seed: int, tick: Callable[[], object]
) -> tuple[Answers, list[Outcome]]:
    """The network's answers for each test image, as it is and under every intervention.

    Means and other images' weights are taken head by head. `tick` is called now and then. Weights and global random
    streams stay as they are.
    """
    model = maps.model.eval()
    before, mean, shuffled = _own_and_another_images(maps, seed, tick)
    channels = mean.shape[-1]
    constant = {
        "mean": mean,
        "uniform": torch.full_like(mean[0], 1 / channels),
        "identity": torch.eye(channels, device=mean.device),
    }
    found: dict[str, list[Tensor]] = {kind: [] for kind in constant}
    classifiers = {kind: fold_attention(model, weights).fc for kind, weights in constant.items()}
    for block in maps.blocks:
        features = maps.second(maps.first(block)).flatten(1)  # (B, 64 * N)
        for kind, classifier in classifiers.items():
            found[kind].append(maps.answers(classifier(features), block))
        tick()
    outcomes = [Outcome(kind, LAYER, Answers(torch.cat(found[kind], 1)[None])) for kind in constant]
    return Answers(before), [*outcomes, Outcome("shuffled-images", LAYER, Answers(torch.stack(shuffled)))]


def _own_and_another_images(
    maps: FeatureMaps[MixingTrunk], seed: int, tick: Callable[[], object]
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Answers (3, M) by the own weights, the mean weights (A, 64, 64), and answers by another image's.

    The images come in a random order, and within a block each takes the weights of the one some places before it, so
    that every other image is equally likely.
    """
    model, count = maps.model, len(maps.data)
    attn = model.attn.merged()
    generator = torch.Generator().manual_seed(rng.derive_seed(seed, "interventions", "shuffled-images", LAYER))
    order = torch.randperm(count, generator=generator)
    own: list[Tensor] = []
    shuffled: list[list[Tensor]] = [[] for _ in range(DRAWS)]
    total = torch.zeros(model.attn.shape, dtype=torch.float64)
    for index in order.tensor_split(-(-count // maps.block)):  # blocks of one image would have no other
        block = index.to(maps.device)
        features = maps.second(maps.first(block)).flatten(2)  # (B, 64, N)
        weights, value = attn.weights_and_values(features)
        total += weights.sum(0).cpu()
        own.append(maps.answers(model.classify(attn.combine(features, weights @ value)), block))
        for draw, found in enumerate(shuffled):
            shift = 1 + draw * max(1, (len(block) - 1) // DRAWS)
            # Image i takes the weights of image i - shift; the values are moved, as they are smaller.
            mixed = (weights @ value.roll(-shift, 0)).roll(shift, 0)
            found.append(maps.answers(model.classify(attn.combine(features, mixed)), block))
        tick()

    def in_order(parts: list[Tensor]) -> Tensor:
        found = torch.empty(3, count)
        found[:, order] = torch.cat(parts, 1)
        return found

    mean = (total / count).float().to(maps.device)
    return in_order(own), mean, [in_order(parts) for parts in shuffled]
