"""Efficient Channel Attention against its formula; and trained, probed, intervened on and reported like any gate."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

from tui_attn.models import CNN_ECA, CNN_Base, ECABlock, fold_gates, macs

from .test_trunk import images


def test_a_gate_is_the_sigmoid_of_a_convolution_over_three_neighbouring_averages() -> None:
    torch.manual_seed(0)
    block, x = ECABlock(), torch.randn(5, 32, 14, 10)
    left, middle, right = block.conv.weight.flatten().tolist()
    averages = F.pad(x.mean((2, 3)), (1, 1))  # (B, C + 2)
    expected = (left * averages[:, :-2] + middle * averages[:, 1:-1] + right * averages[:, 2:]).sigmoid()
    assert torch.allclose(block.gate(x), expected, atol=1e-6)
    assert torch.allclose(block(x), x * expected[:, :, None, None], atol=1e-6)


def test_it_adds_three_weights_a_layer_to_the_same_start() -> None:
    torch.manual_seed(0)
    base = CNN_Base().state_dict()
    torch.manual_seed(0)
    eca = CNN_ECA().state_dict()
    assert all(torch.equal(eca[name], weight) for name, weight in base.items())
    assert {name: weight.numel() for name, weight in eca.items() if name not in base} == {
        "eca1.conv.weight": 3,
        "eca2.conv.weight": 3,
    }
    assert macs("eca") == macs("base") + 3 * (32 + 64)


def test_constant_gates_fold_into_the_convolutions() -> None:
    torch.manual_seed(0)
    net, x = CNN_ECA().eval(), images(1, 28, count=6)
    gates = {name: gate.mean(0) for name, gate in net.gates(x).items()}
    assert torch.allclose(net(x, gates=dict(gates)), fold_gates(net, gates)(x), atol=1e-4)


def program(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-P", "-m", "tui_attn", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, env=dict(os.environ))
    return done.stdout


def test_it_is_trained_probed_intervened_on_and_reported(tmp_path: Path) -> None:
    small = ("--dataset", "synthetic", "--epochs", "1", "--train-limit", "300", "--test-limit", "100")
    program(tmp_path, "--no-ui", "--models", "base,eca", *small)
    found = json.loads(program(tmp_path, "compare", "--json"))
    assert [(model["model"], model["class"]) for model in found["models"]] == [("base", "CNN_Base"), ("eca", "CNN_ECA")]
    run = next((tmp_path / "runs").glob("*/eca-s0"))
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    probed = [event for event in events if event["type"] == "probe"]
    assert {layer: len(gates) for layer, gates in probed[-1]["gates"].items()} == {"eca1": 32, "eca2": 64}
    [effects] = json.loads(program(tmp_path, "probe", "--json"))["models"]
    assert effects["model"] == "eca"
    assert {item["layer"] for item in effects["interventions"]} == {"eca1", "eca2", "all"}
    program(tmp_path, "compare", "--report", "report")
    page = (tmp_path / "report" / "report.html").read_text()
    assert 'data-ink="eca"' in page and "--eca: #3806f3" in page
    assert list((tmp_path / "report" / "pictures").glob("gates-eca-s0-eca*.png"))
