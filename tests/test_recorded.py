"""Recorded experiments read as what they were asked to be."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from tests.recorded import RUN_STATES, SCENES, T0, damage, record, scene, silence, supervised
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.finding import find_experiment
from tui_attn.experiment.follower import read_state


@pytest.mark.parametrize("state", RUN_STATES)
def test_a_run_is_left_in_the_state_that_was_asked_for(tmp_path: Path, state: str) -> None:
    folder = record(tmp_path, states={"se-s0": state})
    with supervised(folder):
        follower = read_state(folder)
        situation = follower.situation()
    expected = "running" if state == "resumed" else state
    assert situation.runs == {"base-s0": "finished", "se-s0": expected, "self-attention-s0": "finished"}
    assert follower.damaged == {}
    run = follower.state.runs["se-s0"]
    assert (run.traceback is not None) == (state == "failed")
    assert (run.resumed_from is not None) == (state == "resumed")
    steps = list(run.steps)
    assert steps == sorted(set(steps))
    assert run.epoch == {"finished": 5, "queued": 0, "starting": 0, "skipped": 0}.get(state, 2)


@pytest.mark.parametrize("name", SCENES)
def test_scenes_are_experiments(tmp_path: Path, name: str) -> None:
    folder = scene(tmp_path, name)
    assert find_experiment(tmp_path, None) == folder
    with supervised(folder):
        live = read_state(folder).situation()
    dead = read_state(folder).situation()
    ended = {"finished": "finished", "stopped": "stopped", "skipped": "finished", "failed": "failed"}
    assert dead.experiment == ended.get(name, "lost")
    assert live.experiment == {"empty": "starting", "lost": "running", **ended}.get(name, name)


def test_a_silent_worker_reads_as_stalled(tmp_path: Path) -> None:
    folder = scene(tmp_path, "running")
    silence(folder, "se-s0")
    with supervised(folder):
        assert read_state(folder).situation().runs["se-s0"] == "stalled"


def test_equal_arguments_write_equal_logs(tmp_path: Path) -> None:
    one, two = (record(tmp_path / name, config=ExperimentConfig(epochs=2, seeds=2)) for name in "ab")
    for file in ("events.jsonl", "se-s1/events.jsonl"):
        assert (one.path / file).read_bytes() == (two.path / file).read_bytes()
    assert read_state(one).state.started_at == T0


def test_what_was_measured_is_what_was_asked_for(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, seeds=2, seed=5, models=("base", "se"), test_limit=1_000)
    folder = record(tmp_path, config=config, accuracies={"se": [0.75, 0.875]})
    state = read_state(folder).state
    assert [state.runs[f"se-s{seed}"].epochs[-1].test_accuracy for seed in (5, 6)] == [0.75, 0.875]
    with np.load(folder.run("se-s6").predictions) as arrays:
        assert (arrays["logits"].argmax(axis=1) == arrays["labels"]).mean() == 0.875


def test_folders_are_private_and_probes_are_there(tmp_path: Path) -> None:
    folder = record(tmp_path, config=ExperimentConfig(epochs=2))
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.events.stat().st_mode) == 0o600
    run = read_state(folder).state.runs["se-s0"]
    assert [epoch for epoch, _ in run.probes] == [0, 1, 2]
    with np.load(folder.run("se-s0").probes / run.probes[-1][1]) as arrays:
        assert arrays["se2/by_class"].shape == (10, 64)
        assert run.gates["se2"] == pytest.approx(arrays["se2/by_class"].mean(axis=0), abs=1e-4)


def test_damage_is_noticed(tmp_path: Path) -> None:
    folder = record(tmp_path)
    damage(folder.run("base-s0").events, at=700)
    assert read_state(folder).damaged == {"base-s0/events.jsonl": 1}


def test_unknown_states_and_scenes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="asleep"):
        record(tmp_path, states="asleep")
    with pytest.raises(ValueError, match="nowhere"):
        scene(tmp_path, "nowhere")
