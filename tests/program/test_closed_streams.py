"""Standard streams that are closed, in any combination: nothing fails, and nothing is written into other files."""

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.processes import environment, run_python
from tests.program.conftest import SMALL, Done, Program
from tests.reliability.conftest import make_experiment
from tui_attn.experiment.event_log import LogReader, LogWriter
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


@pytest.mark.parametrize("closed", [(), *COMBINATIONS])
def test_a_supervisor_that_is_started_without_streams_records_its_end(tmp_path: Path, closed: tuple[int, ...]) -> None:
    experiment = make_experiment(tmp_path / "runs", models=("base",), epochs=1)
    log = LogWriter(experiment.events)
    log.append("run_queued", run="base-s0", model="base", seed=0)
    log.append("run_ended", run="base-s0", state="skipped", reason=None)
    log.close()
    line = f'exec "$@" {" ".join(CLOSED[fd] for fd in closed)}'
    command = ["sh", "-c", line, "sh", sys.executable, "-P", "-m", "tui_attn.supervision.process", str(experiment.path)]
    done = subprocess.run(command, cwd="/", env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    follower = read_state(experiment)
    assert follower.troubles() == []
    assert LogReader(experiment.events).read()[-1].type == "experiment_finished"


WORKERS = """
import json, os, sys
import tui_attn.train.worker_context  # torch, once for all of them
from tui_attn.train import worker

for folder, *closed in json.loads(sys.argv[1]):
    reading, writing = os.pipe()
    os.write(writing, b'{"do": "train", "run": "base-s0"}\\n{"do": "exit", "run": null}\\n')
    if pid := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        os.close(reading)
        os.close(writing)
        continue
    os.dup2(reading, 0)
    os.close(reading)
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if fd in closed:
            os.close(fd)
            setattr(sys, name, None)
    os._exit(worker.main([folder, "cpu", "experiment", "1"]))
"""


def test_a_worker_without_streams_trains_or_leaves(tmp_path: Path) -> None:
    """Without standard input it has no supervisor."""
    combinations = [(), *COMBINATIONS]
    made = [make_experiment(tmp_path / str(number), models=("base",), epochs=1) for number in range(len(combinations))]
    for experiment in made:
        experiment.run("base-s0").make()
    orders = [[str(experiment.path), *closed] for experiment, closed in zip(made, combinations, strict=True)]
    done = run_python(WORKERS, json.dumps(orders))
    assert done.stdout.split() == ["0"] * len(combinations), done.stderr
    for experiment, closed in zip(made, combinations, strict=True):
        log = LogReader(experiment.run("base-s0").events)
        types = [event.type for event in log.read()]
        assert not log.damaged
        assert (types[-1:] == ["ended"]) == (0 not in closed), closed
        assert types == [] or 0 not in closed
