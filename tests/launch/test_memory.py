"""The memory estimate of an experiment that isn't started yet."""

from __future__ import annotations

import pytest

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.launch.estimate import estimate_memory, parameters

LAB = (60_000, 10_000)


@pytest.mark.parametrize(
    ("model", "grey", "colour"),
    [("base", 50_186, 60_362), ("se", 53_258, 63_434), ("self-attention", 128_955, 142_986)],
)
def test_parameters_are_those_of_the_networks(model: str, grey: int, colour: int) -> None:
    assert (parameters(model, "fashion-mnist"), parameters(model, "cifar10")) == (grey, colour)


def test_the_parts_of_the_lab_on_one_device() -> None:
    found = estimate_memory(ExperimentConfig(models=("base",), batch_size=100), ["cpu"], LAB)
    assert found.images == 70_000 * (784 + 8)
    assert found.state == 16 * 50_186
    assert found.activations == 100 * 2 * 4 * (784 + 2 * 32 * 784 + 2 * 64 * 196)
    assert found.words() == (
        "about 117.1 MB on cpu, without torch itself: images 55.4 MB, activations 60.8 MB, weights and Adam 803.0 kB"
    )


def test_it_grows_with_batch_and_workers_and_not_with_seeds() -> None:
    config = ExperimentConfig(models=("base",), batch_size=64)
    one = estimate_memory(config, ["cuda:0"], LAB)
    more = estimate_memory(ExperimentConfig(models=("base",), batch_size=128, seeds=9), ["cuda:0"], LAB)
    assert (more.images, more.state, more.activations) == (one.images, one.state, 2 * one.activations)
    shared = estimate_memory(ExperimentConfig(models=("base",), batch_size=64, seeds=9, jobs=3), ["cuda:0"], LAB)
    assert shared.total == 3 * one.total
    assert shared.workers == 3


def test_half_the_bytes_in_bf16_and_more_for_attention_between_channels() -> None:
    full, half = (
        estimate_memory(ExperimentConfig(models=("base",), precision=precision), ["cuda:0"], LAB)
        for precision in ("fp32", "bf16")
    )
    assert full.activations == 2 * half.activations
    attention = estimate_memory(ExperimentConfig(models=("base", "self-attention"), precision="fp32"), ["cuda:0"], LAB)
    assert attention.activations > 1.5 * full.activations
