"""Plausible courses of training for recorded experiments: seeded, smooth where networks are, noisy where they are."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FINAL_ACCURACY = {
    "fashion-mnist": {"base": 0.9135, "se": 0.9150, "self-attention": 0.9060},
    "cifar10": {"base": 0.701, "se": 0.712, "self-attention": 0.668},
}
"""Test accuracies around which the runs of a model end, by data set; others as Fashion-MNIST."""

PARAMETERS = {
    1: {"base": 50_186, "se": 53_258, "self-attention": 128_955},
    3: {"base": 60_362, "se": 63_434, "self-attention": 142_986},
}
MACS = {
    1: {"base": 3_869_824, "se": 3_872_896, "self-attention": 9_915_520},
    3: {"base": 5_644_288, "se": 5_647_360, "self-attention": 11_935_744},
}
"""By channels of an image, then model."""

IMAGES_PER_SECOND = {"base": 24_000.0, "se": 22_000.0, "self-attention": 9_000.0}

CLASS_NAMES = {
    "fashion-mnist": [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Boot",
    ],
    "cifar10": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
}

GATES = {"se1": 32, "se2": 64}
"""Channels of each SE layer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What one whole run measured. Accuracies are fractions."""

    steps: list[int]
    losses: list[float]
    accuracies: list[float]
    """Per logged point, as `steps` and `losses`."""
    train_loss: list[float]
    train_accuracy: list[float]
    test_loss: list[float]
    test_accuracy: list[float]
    """Per epoch, as the three before."""


def generator(*parts: object) -> np.random.Generator:
    """A generator that depends on `parts` alone."""
    return np.random.default_rng(zlib.crc32(repr(parts).encode()))


def final_accuracy(dataset: str, model: str, seed: int, test_size: int) -> float:
    """The test accuracy a run ends with: a model's usual one, a share common to the seed, and luck."""
    usual = FINAL_ACCURACY.get(dataset, FINAL_ACCURACY["fashion-mnist"]).get(model, 0.915)
    common = generator(dataset, seed).normal(0, 0.001)
    own = generator(dataset, model, seed).normal(0, 0.0015)
    return round((usual + common + own) * test_size) / test_size


def course(
    model: str, seed: int, *, final: float, epochs: int, steps_per_epoch: int, points_per_epoch: int, test_size: int
) -> Course:
    """A run of `epochs` epochs that ends with test accuracy `final`, whatever the data set."""
    rng = generator("course", model, seed)
    count = min(points_per_epoch, steps_per_epoch)
    per_epoch = np.unique(np.linspace(0, steps_per_epoch, count + 1).round().astype(int)[1:])
    steps = (np.arange(epochs)[:, None] * steps_per_epoch + per_epoch).ravel()
    at = steps / steps_per_epoch
    floor = 2.4 * (1 - final)
    losses = floor + 0.7 * np.exp(-at / 1.2) + 1.3 * np.exp(-at * 12) + rng.normal(0, 0.03, at.size)
    rise = 1 - 0.25 * np.exp(-at / 1.2) - 0.6 * np.exp(-at * 12)
    accuracies = np.clip((final + 0.01) * rise + rng.normal(0, 0.012, at.size), 0, 1)
    ends = np.arange(1, epochs + 1)
    rise = (1 - 0.12 * np.exp(-ends / 2.5)) / (1 - 0.12 * np.exp(-epochs / 2.5))
    test = np.round((final * rise + rng.normal(0, 0.002, epochs)) * test_size) / test_size
    test[-1] = final
    by_epoch = losses.reshape(epochs, -1).mean(axis=1)
    return Course(
        steps=steps.tolist(),
        losses=np.maximum(losses, 0.01).round(5).tolist(),
        accuracies=accuracies.round(5).tolist(),
        train_loss=by_epoch.round(5).tolist(),
        train_accuracy=accuracies.reshape(epochs, -1).mean(axis=1).round(5).tolist(),
        test_loss=(floor + 0.5 * np.exp(-ends / 1.5) + 0.02 * rng.random(epochs)).round(5).tolist(),
        test_accuracy=np.clip(test, 0, 1).tolist(),
    )


def gates(seed: int, epoch: int, classes: int) -> dict[str, NDArray[np.float32]]:
    """Mean gates [class, channel] by SE layer: all at 0.5 at first, spreading with the epochs, more in the second."""
    found = {}
    for index, (layer, channels) in enumerate(GATES.items()):
        rng = generator("gates", seed, layer)
        lean = rng.normal(0, 1.2, channels) + rng.normal(0, 0.2 + 0.6 * index, (classes, channels))
        found[layer] = (1 / (1 + np.exp(-lean * (1 - np.exp(-epoch / 4))))).astype(np.float32)
    return found


def probe(
    model: str, seed: int, epoch: int, classes: int
) -> tuple[dict[str, NDArray[np.float32]], dict[str, list[float]]]:
    """The arrays of a probe after `epoch` epochs, and the mean gate of every channel by SE layer."""
    if model == "self-attention":
        return _attention(seed, epoch, classes), {}
    if model != "se":
        return {}, {}
    arrays: dict[str, NDArray[np.float32]] = {}
    by_layer = gates(seed, epoch, classes)
    for layer, values in by_layer.items():
        arrays[f"{layer}/by_class"] = values
        arrays[f"{layer}/within"] = (values * (1 - values) * 0.4).astype(np.float32)
        arrays[f"{layer}/saturated"] = np.array([(values < 0.05).mean(), (values > 0.95).mean()], dtype=np.float32)
    return arrays, {layer: values.mean(axis=0).round(4).tolist() for layer, values in by_layer.items()}


@lru_cache(maxsize=4)
def _leanings(seed: int, kind: str, count: int) -> NDArray[np.float32]:
    """How much each channel leans towards each other one, [count, 64, 64]."""
    rng = generator("attention", seed, kind)
    leanings = 0.5 * rng.standard_normal((count, 64, 64)) + rng.standard_normal((1, 1, 64))
    return leanings.astype(np.float32)


def _attention(seed: int, epoch: int, classes: int) -> dict[str, NDArray[np.float32]]:
    """Attention between the 64 channels, rows that sum to 1: uniform at first, then with preferred channels."""

    def rows(kind: str, count: int) -> NDArray[np.float32]:
        weights = np.exp(_leanings(seed, kind, count) * (1 - math.exp(-epoch / 4)))
        shares: NDArray[np.float32] = weights / weights.sum(axis=-1, keepdims=True)
        return shares

    return {"attention/by_head": rows("head", 8), "attention/by_class": rows("class", classes)}


def labels(test_size: int, classes: int) -> NDArray[np.int64]:
    """The test set's labels, all classes equally often."""
    return generator("labels", test_size, classes).permutation(np.arange(test_size) % classes).astype(np.int64)


def logits(model: str, seed: int, *, accuracy: float, truth: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Logits [N, K] that are right on exactly `accuracy` of the images; mostly the same images are hard for all."""
    rng = generator("logits", model, seed)
    size = truth.size
    hard = generator("hard", size).normal(0, 1, size) + rng.normal(0, 0.35, size)
    wrong = np.argsort(-hard)[: size - round(accuracy * size)]
    chosen = truth.copy()
    chosen[wrong] = (chosen[wrong] + 1 + rng.integers(0, classes - 1, wrong.size)) % classes
    values = rng.normal(0, 1, (size, classes))
    rows = np.arange(size)
    values[rows, chosen] = values.max(axis=1) + np.exp(rng.normal(0.5, 0.7, size)) + 0.01
    return values.astype(np.float32)
