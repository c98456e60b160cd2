"""Is the picture real? Untrained lab networks can't be told apart from each other, a trained one can be."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from tui_attn import data
from tui_attn.compare.heatmaps import heatmap_facts
from tui_attn.models import CNN_SE, MODELS, CNN_SelfAttention
from tui_attn.train import rng, tensors
from tui_attn.train.probe import Arrays, ProbeSet, compute
from tui_attn.train.step import Stepper
from tui_attn.train.tensors import Images


@pytest.fixture(scope="module")
def images() -> Images:
    arrays = data.load(data.ensure("synthetic"), 3000, 400)
    return tensors.on_device("synthetic", arrays, torch.device("cpu"))


@pytest.fixture(scope="module")
def probe(images: Images) -> ProbeSet:
    whole = ProbeSet.of(images)
    return ProbeSet(whole.images[:120], whole.labels[:120], whole.classes)


def untrained(model: str, seed: int, images: Images) -> CNN_SE | CNN_SelfAttention:
    rng.seed_all(rng.derive_seed(seed, "init"))
    made = MODELS[model](images.channels, images.image_size, len(images.class_names))
    assert isinstance(made, CNN_SE | CNN_SelfAttention)
    return made


@pytest.mark.parametrize(("model", "networks"), [("se", 32), ("self-attention", 14)])
def test_untrained_networks_cannot_be_told_apart(model: str, networks: int, images: Images, probe: ProbeSet) -> None:
    """In at least 95 % of all pairs, in every layer, whichever of the two patterns is looked at."""
    found: list[Arrays] = [compute(untrained(model, seed, images), probe)()[0] for seed in range(networks)]
    told: dict[str, list[bool | None]] = {}
    for first, second in combinations(found, 2):
        for facts in heatmap_facts(first, second):
            told.setdefault(facts.layer, []).append(facts.learned)
    assert set(told) == ({"se1", "se2"} if model == "se" else {"attention"})
    for layer, pairs in told.items():
        assert np.mean([pair is True for pair in pairs]) <= 0.05, layer
        assert None not in pairs


@pytest.mark.parametrize("model", ["se", "self-attention"])
def test_a_trained_network_can_be_told_apart(model: str, images: Images, probe: ProbeSet) -> None:
    net = untrained(model, 0, images)
    before, _ = compute(net, probe)()
    stepper = Stepper(net, torch.device("cpu"), "fp32", lr=0.001, mean=images.mean, std=images.std)
    for epoch in range(2):
        order = rng.permutation(0, epoch, len(images.train_labels))
        for first in range(0, len(order), 64):
            chosen = order[first : first + 64]
            stepper.train_step(images.train_images[chosen], images.train_labels[chosen])
    after, _ = compute(net, probe)()
    facts = {facts.layer: facts for facts in heatmap_facts(after, before)}
    last = facts["se2" if model == "se" else "attention"]
    assert last.learned
    assert last.classes.ratio is not None
    assert last.classes.ratio > 3
    assert last.saturated is not None
    assert last.between is not None
    assert last.chance == pytest.approx(9 / 119)
