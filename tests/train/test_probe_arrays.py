"""What a probe keeps of a run."""

from pathlib import Path

import numpy as np
import torch

from tests.train.sessions import context, make, train
from tui_attn.models import CNN_SelfAttention
from tui_attn.train.probe import ProbeSet, compute

MODELS = ("base", "se", "self-attention")


def test_probes_have_the_documented_arrays(tmp_path: Path) -> None:
    experiment = make(tmp_path, epochs=1)
    made = context(experiment)
    for model in MODELS:
        train(made, f"{model}-s0")
    assert list(experiment.run("base-s0").probes.iterdir()) == []
    with np.load(experiment.run("se-s0").probes / "epoch-00001.npz", allow_pickle=False) as arrays:
        assert arrays["se1/by_class"].shape == (10, 32)
        assert arrays["se2/by_class"].shape == (10, 64)
        assert 0 < arrays["se2/by_class"].min() < arrays["se2/by_class"].max() < 1
    with np.load(experiment.run("self-attention-s0").probes / "epoch-00001.npz", allow_pickle=False) as arrays:
        assert arrays["attention/by_head"].shape == (8, 64, 64)
        assert arrays["attention/by_class"].shape == (10, 64, 64)
        np.testing.assert_allclose(arrays["attention/by_head"].sum(-1), 1, atol=1e-4)
    assert (experiment.run("se-s0").probes / "epoch-00000.npz").exists()  # the untrained network


def test_attention_by_class_and_head_is_kept_of_the_untrained_and_the_trained_network(tmp_path: Path) -> None:
    experiment = make(tmp_path, epochs=2)
    made = context(experiment)
    train(made, "self-attention-s0")
    whole = {}
    for epoch in range(3):
        with np.load(
            experiment.run("self-attention-s0").probes / f"epoch-{epoch:05d}.npz", allow_pickle=False
        ) as arrays:
            if "attention/by_class_and_head" in arrays:
                whole[epoch] = arrays["attention/by_class_and_head"]
                images = arrays["classes/images"] / arrays["classes/images"].sum()
                by_class, by_head = arrays["attention/by_class"], arrays["attention/by_head"]
    assert sorted(whole) == [0, 2]
    assert (whole[2].shape, whole[2].dtype) == ((10, 8, 64, 64), np.float16)
    np.testing.assert_allclose(whole[2].astype(float).mean(axis=1), by_class, atol=1e-3)
    np.testing.assert_allclose(np.tensordot(images, whole[2].astype(float), 1), by_head, atol=1e-3)


def test_attention_by_class_and_head_of_many_classes_is_not_kept() -> None:
    network = CNN_SelfAttention()
    few = ProbeSet(torch.zeros(20, 1, 28, 28), torch.arange(20) % 10, 10)
    many = ProbeSet(torch.zeros(100, 1, 28, 28), torch.arange(100), 100)
    assert "attention/by_class_and_head" in compute(network, few, whole=True)()[0]
    assert "attention/by_class_and_head" not in compute(network, few)()[0]
    assert "attention/by_class_and_head" not in compute(network, many, whole=True)()[0]
