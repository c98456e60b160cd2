"""`tui-attn explain`: it trains what is missing, pairs by seed, and writes its page."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tui_attn.compare.explanation import CONTRASTS, MODELS, explain
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.follower import read_state


def program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "tui_attn", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ))


def test_what_is_missing_is_trained_and_explained(tmp_path: Path) -> None:
    small = ("--dataset", "synthetic", "--epochs", "1", "--train-limit", "300", "--test-limit", "100", "--seeds", "2")
    assert program(tmp_path, "--no-ui", "--models", "base,se", *small).returncode == 0
    [first] = experiments(tmp_path / "runs")

    planned = program(tmp_path, "explain", "--dry-run")
    assert planned.returncode == 0
    assert (
        "half, static, se2x, self-attention-lab, self-attention, self-attention-static, 2 seeds each" in planned.stderr
    )
    assert [folder.id for folder in experiments(tmp_path / "runs")] == [first.id]

    done = program(tmp_path, "explain", first.id, "--no-ui")
    assert done.returncode == 0, done.stderr
    second, again = experiments(tmp_path / "runs")
    assert again.id == first.id
    theirs = second.manifest_data().config
    assert (theirs.name, theirs.seeds) == (f"explain {first.id}", 2)
    assert set(theirs.models) == set(MODELS) - {"base", "se"}
    page = (tmp_path / "reports" / f"explain-{first.id}" / "explain.html").read_text(encoding="utf-8")
    for one, other, what in CONTRASTS:
        assert f"{one} - {other}" in done.stdout
        assert what in page
    assert "effective rank of the tokens" in page
    assert "spread of the gates, se1" in page

    found = explain([first, second], first.manifest_data().config, 2)
    accuracy = {
        (run.model, run.seed): run.epochs[-1].test_accuracy
        for folder in (first, second)
        for run in read_state(folder).state.runs.values()
    }
    for contrast in found.contrasts:
        deltas = [accuracy[contrast.first, seed] - accuracy[contrast.second, seed] for seed in (0, 1)]
        assert contrast.pairs == 2
        assert contrast.delta == pytest.approx(sum(deltas) / 2)
        assert contrast.ci95 is not None
    entropies = [each for each in found.developments if "entropy" in each.what]
    assert {each.model for each in entropies} == {
        "self-attention",
        "self-attention-lab",
        "self-attention-static",
    }
    for each in entropies:
        assert all(0.0 < value <= 1.0001 for value in each.values.values())
        if each.model == "self-attention-static":
            assert each.values[0] == pytest.approx(1.0)

    nothing = program(tmp_path, "explain", first.id, "--dry-run")
    assert "nothing to train" in nothing.stderr


def test_without_an_experiment_it_says_so_in_a_line(tmp_path: Path) -> None:
    done = program(tmp_path, "explain")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
