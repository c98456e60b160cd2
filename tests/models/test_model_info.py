"""What the program says of the built-in models without torch is true of the networks."""

import itertools

import pytest
import torch

from tui_attn.experiment.model_info import DEFAULT_MODELS, MODELS, TWINS, ModelInfo, further_style, has_gates
from tui_attn.models import MODELS as NETWORKS
from tui_attn.models import GatedTrunk, MixingTrunk


def test_every_network_has_its_info_in_the_same_order() -> None:
    assert list(MODELS) == list(NETWORKS)
    assert DEFAULT_MODELS == ("base", "se", "self-attention")


@pytest.mark.parametrize("name", MODELS)
def test_class_parameters_and_kind_of_attention_are_the_networks(name: str) -> None:
    info, network = MODELS[name], NETWORKS[name]()
    assert type(network).__name__ == info.class_name
    assert sum(parameter.numel() for parameter in network.parameters()) == info.parameters
    assert isinstance(network, GatedTrunk) == has_gates(name)
    assert isinstance(network, MixingTrunk) == (info.attention == "channel matrix")
    if isinstance(network, GatedTrunk):
        gates = network.eval().gates(torch.zeros(2, 1, 28, 28))
        assert tuple(gates) == info.layers
        for gate, block in zip(gates.values(), network.gate_blocks, strict=True):
            assert gate.dim() == (2 if info.attention == "channel gates" else 4)
            assert info.gate_range == block.RANGE


@pytest.mark.parametrize("name", [name for name, info in MODELS.items() if has_gates(name) and not info.control])
def test_models_whose_gates_start_near_one_half_say_so(name: str) -> None:
    torch.manual_seed(0)
    images, found = torch.rand(8, 1, 28, 28), []
    for _ in range(30):
        network = NETWORKS[name]().eval()
        assert isinstance(network, GatedTrunk)
        found.append(torch.stack([gate.mean() for gate in network.gates(images).values()]))
    near = (torch.stack(found).mean(0) - 0.5).abs() < 0.1  # by layer, mean over the seeds
    assert bool(near.all()) == MODELS[name].half_open


def test_no_two_models_look_alike() -> None:
    styles = [*(info.style for info in MODELS.values() if info.style is not None), *map(further_style, range(5))]
    for one, other in itertools.combinations(styles, 2):
        assert one.dark != other.dark and one.light != other.light
        assert one.marker != other.marker and one.ascii_marker != other.ascii_marker
        assert one.plot_marker != other.plot_marker


def test_further_styles_differ_until_colours_and_markers_are_used_up() -> None:
    looks = [(style.dark, style.marker) for style in map(further_style, range(25))]
    assert len(set(looks)) == 25


@pytest.mark.parametrize("info", [info for info in (*MODELS.values(), *TWINS.values()) if info.control])
def test_a_control_has_no_controls_and_nothing_of_the_labs_own(info: ModelInfo) -> None:
    assert (info.controls, info.blind_control, info.lab_accuracy, info.style) == ((), None, None, None)
