"""Standard streams that are closed, in any combination: nothing fails, and nothing is written into other files."""

import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.program.conftest import SMALL, Done, Program
from tui_attn.experiment.follower import read_state

CLOSED = {0: "<&-", 1: ">&-", 2: "2>&-"}
COMBINATIONS = [chosen for size in (1, 2, 3) for chosen in itertools.combinations(CLOSED, size)]


def call(program: Program, closed: Sequence[int], *arguments: str) -> Done:
    line = f'exec "$@" {" ".join(CLOSED[fd] for fd in closed)}'
    command = ["sh", "-c", line, "sh", sys.executable, "-P", "-m", "tui_attn", *arguments]
    done = subprocess.run(
        command, cwd=program.folder, env=program.environment, capture_output=True, text=True, timeout=300, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("closed", COMBINATIONS)
def test_what_only_reads_ends_as_ever(finished: Program, tmp_path: Path, closed: tuple[int, ...]) -> None:
    before = finished.newest().events.read_bytes()
    exported = ("export", "--csv", "--out", str(tmp_path / "tables"))
    for arguments in (("ls",), ("compare",), ("attach", "--no-ui"), exported, ("data", "--json")):
        done = call(finished, closed, *arguments)
        assert (done.code, done.err) == (0, ""), arguments
        assert bool(done.out) == (1 not in closed), arguments
    assert len(list((tmp_path / "tables").iterdir())) > 1
    assert call(finished, closed, "attach", "nothing-here").code == 2
    assert finished.newest().events.read_bytes() == before


@pytest.mark.parametrize("closed", [(0, 1, 2), (1,)])
def test_a_start_trains_to_its_end(program: Program, closed: tuple[int, ...]) -> None:
    done = call(program, closed, "--no-ui", *SMALL, "--models", "base", "--epochs", "1")
    assert (done.code, done.out) == (0, "")
    assert "Traceback" not in done.err
    follower = read_state(program.newest())
    assert follower.state.state == "finished"
    assert follower.troubles() == []
