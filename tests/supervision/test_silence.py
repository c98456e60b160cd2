"""A worker trains its runs in turns: one that waits for its turn is running, not stalled."""

import os
from pathlib import Path

import pytest

from tests.recorded import record, supervised
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.ownership import STALLED_AFTER


def touch(folder: ExperimentDir, run: str, seconds_ago: float) -> None:
    beat = folder.run(run).heartbeat
    beat.touch()
    then = beat.stat().st_mtime - seconds_ago
    os.utime(beat, (then, then))


@pytest.mark.parametrize(("se", "expected"), [(0.0, "running"), (2 * STALLED_AFTER, "stalled")])
def test_a_run_is_stalled_only_with_its_whole_worker(tmp_path: Path, se: float, expected: str) -> None:
    folder = record(tmp_path, states=dict.fromkeys(("base-s0", "se-s0", "self-attention-s0"), "running"))
    for run, ago in (("base-s0", 3 * STALLED_AFTER), ("se-s0", se), ("self-attention-s0", 5 * STALLED_AFTER)):
        touch(folder, run, ago)
    with supervised(folder):
        follower = read_state(folder)
        for folded in follower.state.runs.values():
            folded.worker = 1
        assert set(follower.situation().runs.values()) == {expected}
