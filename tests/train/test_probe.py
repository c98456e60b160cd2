"""What a probe costs on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.pretended_cuda.device import pretend
from tui_attn.models import MODELS, SEBlock
from tui_attn.train import probe


@pytest.mark.parametrize("name", ["base", "se", "self-attention", "xca"])
def test_a_probe_reads_from_the_device_but_once_and_says_what_it_says_on_the_cpu(name: str) -> None:
    torch.manual_seed(0)
    images, labels, network = torch.randn(30, 1, 28, 28), torch.arange(30) % 4, MODELS[name]()
    wanted, glance = probe.compute(network, probe.ProbeSet(images, labels, 5), whole=True)()
    with pretend() as cuda:
        there = probe.ProbeSet(images.to("cuda"), labels.to("cuda"), 5)
        network.to("cuda")
        cuda.clear()
        with torch.no_grad():  # in inference mode the pretended device counts no copies to the host
            read = probe.compute.__wrapped__(network, there, whole=True)  # type: ignore[attr-defined]
        assert cuda.stats.syncs == cuda.stats.events == 0
        found, seen = read()
        assert (cuda.stats.syncs, cuda.stats.events) == (0, 1 if wanted else 0)
    assert seen == glance
    assert set(found) == set(wanted)
    for key, array in wanted.items():
        # CUDA adds the bias of a convolution separately, which rounds once more: float16 may differ in its last bit.
        assert np.allclose(found[key], array, rtol=max(1e-6, np.finfo(array.dtype).eps), atol=1e-7), key


class ChangesItsInput(nn.Module):
    """As a custom model may."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = SEBlock(8)

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.gate(x.add_(1))
        return gated.mean((2, 3))


def test_a_model_that_changes_its_input_sees_the_same_images_in_every_probe() -> None:
    torch.manual_seed(0)
    images = probe.ProbeSet(torch.randn(30, 8, 6, 6), torch.arange(30) % 4, 4)
    network = ChangesItsInput()
    first, _ = probe.compute(network, images)()
    second, _ = probe.compute(network, images)()
    assert any(name.startswith("gate/") for name in first)
    assert all(np.array_equal(first[name], second[name]) for name in first)
