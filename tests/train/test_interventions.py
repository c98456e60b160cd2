"""Interventions on trained networks: each does what it says, and what can't be intervened on is told in a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tui_attn.compare.interventions import KINDS, LAYERS, TUNED
from tui_attn.models import CNN_SE, MODELS, CNN_SelfAttention, GatedTrunk, MixingTrunk, fold_gates
from tui_attn.train.attention_interventions import LAYER, attention_interventions
from tui_attn.train.feature_maps import FeatureMaps, LabelledImages, another_image
from tui_attn.train.gate_interventions import DRAWS, Outcome, gate_interventions
from tui_attn.train.tuned_constants import _forward, tuned_constants

RUNS = ("base-s0", "se-s0", "self-attention-s0", "se-s1")


Change = Callable[[Path], object]


def nothing() -> None:
    pass


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants are tuned for 20 steps, which is enough to be better than the mean."""
    monkeypatch.setattr("tui_attn.train.tuned_constants.STEPS", 20)


def labelled(channels: int, count: int = 60) -> LabelledImages:
    """Images of coarse patches, some dark and some bright, so that their gates differ."""
    generator = torch.Generator().manual_seed(1)
    patches = torch.rand(count, channels, 4, 4, generator=generator) * torch.rand(count, 1, 1, 1, generator=generator)
    images = (255 * patches).to(torch.uint8).repeat_interleave(7, 2).repeat_interleave(7, 3)
    return LabelledImages(images, torch.arange(count) % 10, (0.3,) * channels, (0.2,) * channels)


def normalised(shown: LabelledImages) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (shown.mean, shown.std))
    return (shown.images / 255 - mean) / std


def se_network(channels: int = 1) -> CNN_SE:
    """Untrained, with gates that differ from image to image and from channel to channel as if it weren't."""
    torch.manual_seed(0)
    net = CNN_SE(channels).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith("se"):
                parameter.mul_(4)
    return net


def told(net: torch.nn.Module, shown: LabelledImages) -> LabelledImages:
    """The same images, each labelled as the network classifies it, so that every change of mind shows."""
    with torch.inference_mode():
        return replace(shown, labels=net(normalised(shown)).argmax(1))


def by_name(outcomes: list[Outcome]) -> dict[tuple[str, str], Outcome]:
    return {(outcome.kind, outcome.layer): outcome for outcome in outcomes}


def rightly(net: torch.nn.Module, shown: LabelledImages, **replaced: object) -> Tensor:
    with torch.inference_mode():
        found: Tensor = net(normalised(shown), **replaced).argmax(1) == shown.labels
    return found


@pytest.mark.parametrize("name", ["se", "cbam", "self-attention", "xca"])
def test_constants_are_tuned_on_the_training_images_alone(name: str) -> None:
    torch.manual_seed(0)
    net = MODELS[name]().eval()
    assert isinstance(net, GatedTrunk | MixingTrunk)
    test, training = labelled(1), labelled(1, count=60)
    maps: FeatureMaps[Any] = FeatureMaps(net, test, "fp32")
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = torch.get_rng_state()
    found = tuned_constants(maps, training, 0, nothing)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert (found.kind, found.layer, len(found.right)) == (TUNED, LAYERS[name][-1], 1)

    # Other labels of the test images change what is right and no prediction; other training labels do the opposite.
    relabelled: FeatureMaps[Any] = FeatureMaps(net, replace(test, labels=(test.labels + 1) % 10), "fp32")
    again = tuned_constants(relabelled, training, 0, nothing)
    assert torch.equal(again.answers.predicted, found.answers.predicted)
    other = tuned_constants(maps, replace(training, labels=(training.labels + 1) % 10), 0, nothing)
    assert not torch.equal(other.answers.loss, found.answers.loss)
    # On the images that they are tuned on, they do better than the means.
    own: FeatureMaps[Any] = FeatureMaps(net, training, "fp32")
    tuned = tuned_constants(own, training, 0, nothing)
    interventions_of = gate_interventions if isinstance(net, GatedTrunk) else attention_interventions
    mean = by_name(interventions_of(own, 0, nothing)[1])["mean", LAYERS[name][-1]]
    assert tuned.answers.loss.mean() < mean.answers.loss.mean()


@pytest.mark.parametrize("name", ["se", "cbam", "self-attention"])
def test_constants_compute_what_the_network_does_with_them(name: str) -> None:
    """Whether or not they are folded into the weights behind them, in value and gradient."""
    torch.manual_seed(0)
    net = MODELS[name](3).eval()
    assert isinstance(net, GatedTrunk | MixingTrunk)
    shown, chosen = labelled(3), torch.arange(5, 25)
    x = normalised(shown)[chosen]
    if isinstance(net, GatedTrunk):
        constants = {layer: gates[0].detach().requires_grad_() for layer, gates in net.gates(x).items()}
        expected = net(x, gates=constants)
    else:
        constants = {LAYER: net.attention(x)[0].detach().requires_grad_()}
        expected = net(x, attention=constants[LAYER])
    maps: FeatureMaps[Any] = FeatureMaps(net, shown, "fp32")
    found = _forward(maps, chosen, constants)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    ours, theirs = (torch.autograd.grad(logits.square().sum(), [*constants.values()]) for logits in (found, expected))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("block", [60, 7])
def test_gate_interventions_are_the_networks_own_with_other_gates(
    channels: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if channels == 3:  # nothing is kept between the passes over the images
        monkeypatch.setattr("tui_attn.train.gate_interventions.KEPT", 0)
    net = se_network(channels)
    shown = told(net, labelled(channels))
    maps = FeatureMaps(net, shown, "fp32")
    maps.block = block
    before, outcomes = gate_interventions(maps, 0, nothing)
    found = by_name(outcomes)
    assert set(found) == {(kind, layer) for kind in KINDS["se"] for layer in LAYERS["se"] if kind != TUNED}
    assert torch.equal(before.right, rightly(net, shown))
    with torch.inference_mode():
        losses = torch.nn.functional.cross_entropy(net(normalised(shown)), shown.labels, reduction="none")
    torch.testing.assert_close(before.loss, losses)
    own = {layer: gates.detach() for layer, gates in net.gates(normalised(shown)).items()}
    order = {layer: gates.mean(0).argsort(descending=True) for layer, gates in own.items()}

    def without(layer: str, chosen: Tensor) -> Tensor:
        return own[layer].index_fill(1, chosen, 0)

    replaced = {
        "mean": {layer: gates.mean(0) for layer, gates in own.items()},
        "ones": {layer: torch.ones_like(gates) for layer, gates in own.items()},
        "half": {layer: torch.full_like(gates, 0.5) for layer, gates in own.items()},
        "most-open-off": {layer: without(layer, order[layer][:4]) for layer in own},
        "least-open-off": {layer: without(layer, order[layer][-4:]) for layer in own},
    }
    for kind, gates in replaced.items():
        for layer in ("se1", "se2"):
            expected = rightly(net, shown, gates={layer: gates[layer]})
            assert torch.equal(found[kind, layer].right, expected[None]), (kind, layer)
        assert torch.equal(found[kind, "all"].right, rightly(net, shown, gates=gates)[None]), kind
    assert found["most-open-off", "se2"].channels == tuple(sorted(order["se2"][:4].tolist()))
    assert found["least-open-off", "se1"].channels == tuple(sorted(order["se1"][-4:].tolist()))
    assert found["most-open-off", "all"].channels is None


def test_mean_gates_are_a_network_without_attention() -> None:
    net, shown = se_network(), labelled(1)
    _, outcomes = gate_interventions(FeatureMaps(net, shown, "fp32"), 0, nothing)
    means = {layer: gates.mean(0).detach() for layer, gates in net.gates(normalised(shown)).items()}
    expected = rightly(fold_gates(net, means), shown)
    assert torch.equal(by_name(outcomes)["mean", "all"].right[0], expected)


def test_random_interventions_draw_anew_for_every_image_and_draw_and_alike_for_a_seed() -> None:
    net, shown = se_network(), labelled(1, 300)
    random = ("shuffled-images", "shuffled-channels", "random-off")
    first, again, other = (
        by_name(gate_interventions(FeatureMaps(net, shown, "fp32"), seed, nothing)[1]) for seed in (0, 0, 1)
    )
    for kind in random:
        for layer in LAYERS["se"]:
            draws = first[kind, layer].right
            assert draws.shape == (DRAWS, 300)
            assert torch.equal(draws, again[kind, layer].right)
        assert len({tuple(draw.tolist()) for draw in first[kind, "all"].right}) == DRAWS
        assert not torch.equal(first[kind, "all"].right, other[kind, "all"].right)


def test_no_image_gets_its_own_gates_back() -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (2, 3, 10, 1000):
        partner = another_image(count, generator)
        assert sorted(partner.tolist()) == list(range(count))
        assert (partner != torch.arange(count)).all()
    drawn = torch.stack([another_image(4, generator)[0] for _ in range(3000)])
    assert torch.bincount(drawn, minlength=4)[1:].min() > 900  # a third each


def test_gates_that_are_the_same_in_all_images_can_be_shuffled_without_any_effect() -> None:
    net, shown = se_network(), labelled(1, 100)
    with torch.no_grad():
        for block in (net.se1, net.se2):
            block.fc[2].get_parameter("weight").zero_()  # sigmoid(0) everywhere
    before, outcomes = gate_interventions(FeatureMaps(net, shown, "fp32"), 0, nothing)
    for kind in ("mean", "half", "shuffled-images", "shuffled-channels"):
        for layer in LAYERS["se"]:
            assert (by_name(outcomes)[kind, layer].right == before.right).all(), (kind, layer)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("block", [60, 11])
def test_attention_interventions_are_the_networks_own_with_other_weights(residual: bool, block: int) -> None:
    torch.manual_seed(0)
    net = CNN_SelfAttention(1, residual=residual).eval()
    with torch.no_grad():
        net.attn.mha.in_proj_weight.mul_(10)
        net.attn.to_map.weight.mul_(10)
    shown = told(net, labelled(1))
    maps = FeatureMaps(net, shown, "fp32")
    maps.block = block
    before, outcomes = attention_interventions(maps, 0, nothing)
    found = by_name(outcomes)
    assert set(found) == {(kind, "attention") for kind in KINDS["self-attention"] if kind != TUNED}
    assert torch.equal(before.right, rightly(net, shown))
    own = net.attention(normalised(shown)).detach()
    replaced = {"mean": own.mean(0), "uniform": torch.full((64, 64), 1 / 64), "identity": torch.eye(64)}
    for kind, weights in replaced.items():
        expected = rightly(net, shown, attention=weights)
        assert torch.equal(found[kind, "attention"].right[0], expected), kind
    # With another image's weights: what it becomes for an image is one of what the others' weights make of it.
    possible = torch.stack([rightly(net, shown, attention=own.roll(shift, 0)) for shift in range(1, 60)])
    draws = found["shuffled-images", "attention"].right
    assert draws.shape == (DRAWS, 60)
    assert ((draws[:, None] == possible).any(1)).all()
    assert not draws.all(1).any()


def test_interventions_change_no_weight_and_draw_from_no_global_stream() -> None:
    net = se_network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"]
    gate_interventions(FeatureMaps(net, labelled(1), "fp32"), 0, nothing)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state(legacy=False)["state"]["key"] == numpy_state).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_bf16_differs_by_rounding_alone() -> None:
    net, shown = se_network(), labelled(1, 400)
    exact, _ = gate_interventions(FeatureMaps(net, shown, "fp32"), 0, nothing)
    rounded, _ = gate_interventions(FeatureMaps(net, shown, "bf16"), 0, nothing)
    assert (exact.right != rounded.right).float().mean() < 0.1  # of random images on a network that knows nothing


# ---- the process
