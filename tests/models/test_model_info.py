"""What the program says of the built-in models without torch is true of the networks."""

import itertools

import pytest
import torch

from tui_attn.experiment.model_info import CUSTOM_STYLES, DEFAULT_MODELS, MODELS
from tui_attn.models import MODELS as NETWORKS
from tui_attn.models import CNN_SelfAttention, GatedTrunk


def test_every_network_has_its_info_in_the_same_order() -> None:
    assert list(MODELS) == list(NETWORKS)
    assert DEFAULT_MODELS == ("base", "se", "self-attention")


@pytest.mark.parametrize("name", MODELS)
def test_class_parameters_and_kind_of_attention_are_the_networks(name: str) -> None:
    info, network = MODELS[name], NETWORKS[name]()
    assert type(network).__name__ == info.class_name
    assert sum(parameter.numel() for parameter in network.parameters()) == info.parameters
    assert isinstance(network, GatedTrunk) == (info.attention == "channel gates")
    assert isinstance(network, CNN_SelfAttention) == (info.attention == "channel matrix")
    if isinstance(network, GatedTrunk):
        assert tuple(network.gates(torch.zeros(1, 1, 28, 28))) == info.layers


def test_no_two_models_look_alike() -> None:
    styles = [*(info.style for info in MODELS.values()), *CUSTOM_STYLES]
    for one, other in itertools.combinations(styles, 2):
        assert one.dark != other.dark and one.light != other.light
        assert one.marker != other.marker and one.ascii_marker != other.ascii_marker
        assert one.plot_marker != other.plot_marker
