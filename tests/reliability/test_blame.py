"""A custom model that takes its worker down with it: it fails, and what was trained beside it doesn't."""

from pathlib import Path

import pytest

from tests.reliability.conftest import Lab
from tests.reliability.invariants import leftovers
from tui_attn.experiment import trust
from tui_attn.experiment.custom_model import CustomModel, sha256
from tui_attn.experiment.follower import read_state
from tui_attn.launch.custom_models import Source, keep

DEADLY = b"""
import os, signal
from torch import nn


class Net(nn.Module):
    def __init__(self, in_channels=1, image_size=28, num_classes=10):
        super().__init__()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_is_blamed_alone(lab: Lab, state_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(state_home))
    trust.trust(sha256(DEADLY))
    model = CustomModel(name="deadly-net", file="/nets/deadly.py", class_name="Net", sha256=sha256(DEADLY))
    experiment = lab.make(models=("deadly-net", "base", "se"), custom_models=(model,), epochs=1)
    keep(experiment, [Source(model, DEADLY)])
    lab.start(experiment)
    lab.await_end(experiment)
    runs = read_state(experiment).state.runs
    assert {run.id: run.state for run in runs.values()} == {
        "deadly-net-s0": "failed",
        "base-s0": "finished",
        "se-s0": "finished",
    }
    assert "its worker was killed by SIGKILL" in (runs["deadly-net-s0"].reason or "")
    assert "restarting it 3 times did not help" in (runs["deadly-net-s0"].reason or "")
    assert leftovers(experiment) == []
