"""Constants tuned on training images in the place of a trained network's attention: the fair zero of interventions.

The mean over images is one constant, not the best one. Here all other weights stay, and the constants, the same for
every image, are fitted by Adam to the training images of the run. What the network loses with them on test images is
what computing its attention anew for each image is worth to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from tui_attn.models import GatedTrunk, MixingTrunk, fold_attention
from tui_attn.train import rng
from tui_attn.train.attention_interventions import LAYER
from tui_attn.train.feature_maps import Answers, FeatureMaps, LabelledImages
from tui_attn.train.gate_interventions import Outcome, answers_with_gates, multiplies
from tui_attn.train.optimiser import adam

KIND = "tuned"
STEPS, BATCH = 200, 128
RATES = {GatedTrunk: 0.02, MixingTrunk: 0.05}
"""Adam's learning rate at the first step; it falls linearly to 0."""
SMALLEST = 1e-6
"""The smallest start value of gates and weights, whose logarithms are tuned."""


def tuned_constants(
    maps: FeatureMaps[GatedTrunk] | FeatureMaps[MixingTrunk],
    training: LabelledImages,
    seed: int,
    tick: Callable[[], object],
) -> Outcome:
    """The answers of the network of `maps` with constants that are tuned on `training`, in all layers at once.

    Weights and global random streams stay as they are.
    """
    model = maps.model.eval()
    generator = torch.Generator().manual_seed(rng.derive_seed(seed, "interventions", KIND))
    batches = _batches(training, generator)
    shown = maps.of(training)
    with torch.inference_mode():
        start = _means(model, shown.pixels(torch.cat([next(batches) for _ in range(4)])))
    logs = {layer: value.clone().clamp_min(SMALLEST).log().requires_grad_() for layer, value in start.items()}
    rate = next(rate for kind, rate in RATES.items() if isinstance(model, kind))
    optimizer = adam(logs.values(), lr=rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
    for _ in range(STEPS):
        chosen = next(batches)
        logits = _forward(shown, chosen, _constants(model, logs))
        loss = F.cross_entropy(logits, training.labels[chosen])
        for log, gradient in zip(logs.values(), torch.autograd.grad(loss, list(logs.values())), strict=True):
            log.grad = gradient
        optimizer.step()
        schedule.step()
        tick()
    with torch.inference_mode():
        return _outcome(maps, {layer: value.detach() for layer, value in _constants(model, logs).items()})


def _batches(training: LabelledImages, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of images, in another order in each pass."""
    while True:
        order = torch.randperm(len(training), generator=generator).to(training.labels.device)
        yield from torch.split(order, BATCH)


def _means(model: GatedTrunk | MixingTrunk, x: Tensor) -> dict[str, Tensor]:
    """The means of the network's own gates or attention weights."""
    if isinstance(model, GatedTrunk):
        return {layer: gates.mean(0) for layer, gates in model.gates(x).items()}
    return {LAYER: model.attention(x).mean(0)}


def _constants(model: GatedTrunk | MixingTrunk, logs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gates above 0, or attention weights whose rows sum to 1, from the tuned logarithms."""
    return {layer: log.exp() if isinstance(model, GatedTrunk) else log.softmax(-1) for layer, log in logs.items()}


def _forward(
    shown: FeatureMaps[GatedTrunk] | FeatureMaps[MixingTrunk], chosen: Tensor, constants: Mapping[str, Tensor]
) -> Tensor:
    """The logits of some images."""
    model: GatedTrunk | MixingTrunk = shown.model
    logits: Tensor
    if isinstance(model, MixingTrunk):
        logits = model(shown.pixels(chosen), attention=constants[LAYER])
    elif multiplies(model):
        # Gates multiply what the next layer reads, so they multiply its weights instead of all maps.
        before, after = (constants[layer] for layer in model.GATE_LAYERS)
        with torch.no_grad():
            first = shown.first(chosen)
        maps = shown.second(first, model.conv2.weight * before[:, None, None])
        weight = model.fc.weight.view(model.num_classes, -1, model.pixels) * after[:, None]
        logits = F.linear(maps.flatten(1), weight.flatten(1), model.fc.bias)
    else:
        logits = model(shown.pixels(chosen), gates=dict(constants))
    return logits


def _outcome(maps: FeatureMaps[GatedTrunk] | FeatureMaps[MixingTrunk], constants: Mapping[str, Tensor]) -> Outcome:
    model = maps.model
    if isinstance(model, GatedTrunk):
        first, second = (constants[layer][None] for layer in model.GATE_LAYERS)
        return Outcome(KIND, "all", Answers(answers_with_gates(maps, first, second)[None]))  # type: ignore[arg-type]
    classifier = fold_attention(model, constants[LAYER]).fc
    rows = [maps.answers(classifier(maps.second(maps.first(block)).flatten(1)), block) for block in maps.blocks]
    return Outcome(KIND, LAYER, Answers(torch.cat(rows, 1)[None]))
