"""The program as users run it: its front, its supervisor and its worker killed, and taken up again."""

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.conftest import ROOT, ended, frozen, kill
from tests.reliability.invariants import Reference, processes, violations
from tests.waiting import eventually
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.system import liveness

# As the experiments of conftest.py, so that the weights must be the same.
SMALL = ["--models", "base,se", "--dataset", "synthetic", "--epochs", "2", "--train-limit", "80"]
SMALL += ["--batch-size", "16", "--test-limit", "50", "--device", "cpu", "--precision", "fp32"]


class Program:
    """Runs `tui-attn` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        self._environment = os.environ | {
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
        }

    def start(self, *arguments: str, fault: str = "", terminal: int | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "tui_attn", *arguments, "--runs-dir", str(self.runs)],
            env=self._environment | ({"TUI_ATTN_FAULT": fault} if fault else {}),
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.PIPE if terminal is None else terminal,
            start_new_session=True,
            text=True,
        )

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=900)
        return process.returncode, out, err

    def experiment(self) -> ExperimentDir:
        """The one there is, once its worker is frozen."""
        eventually(lambda: list(experiments(self.runs)), "an experiment")
        self.frozen()
        return next(experiments(self.runs))

    def frozen(self) -> int:
        """The pid of the frozen worker of the one experiment there is, once it is frozen."""
        return int(eventually(lambda: frozen(next(experiments(self.runs))), "a frozen worker"))


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    yield Program(tmp_path)
    for pid in processes(tmp_path):
        os.kill(pid, signal.SIGKILL)


def test_the_dashboard_killed(program: Program, undisturbed: dict[str, Reference]) -> None:
    """The training doesn't notice, and ends by itself."""
    parent, child = pty.openpty()
    dashboard = program.start(*SMALL, fault="forward:7:stop", terminal=child)
    os.close(child)
    reader = threading.Thread(target=_read_all, args=(parent,))
    reader.start()
    experiment = program.experiment()
    assert dashboard.poll() is None
    os.kill(dashboard.pid, signal.SIGKILL)
    dashboard.wait()
    os.kill(frozen(experiment), signal.SIGCONT)
    eventually(lambda: ended(experiment) and not processes(experiment.path), "the end")
    reader.join()
    os.close(parent)
    assert violations(experiment, undisturbed) == []


def _read_all(fd: int) -> None:
    """What a terminal does, until nobody writes any more."""
    try:
        while os.read(fd, 65536):
            pass
    except OSError:  # the other end is closed
        return


def test_all_killed_at_the_same_moment_and_taken_up_by_two_at_once(
    program: Program, undisturbed: dict[str, Reference]
) -> None:
    front = program.start("--no-ui", *SMALL, fault="append:8:stop")
    experiment = program.experiment()
    supervisor = liveness.holder(experiment.supervisor_lock)
    assert supervisor
    worker = frozen(experiment)
    for pid in (front.pid, supervisor, worker):
        os.kill(pid, signal.SIGKILL)
    front.communicate()
    kill_rest = [pid for pid in (supervisor, worker) if liveness.process_start_time(pid) is not None]
    for pid in kill_rest:
        kill(pid)
    code, out, err = program("ls")
    assert code == 0
    assert f"{experiment.id}  lost" in out
    assert f"'tui-attn resume {experiment.id} --runs-dir {program.runs}' continues it" in err
    code, _, err = program("attach", "--no-ui")
    assert code == 1
    assert "the supervisor of" in err
    both = [program.start("resume", "--no-ui", fault="forward:1:stop") for _ in range(2)]
    eventually(lambda: any(process.poll() is not None for process in both), "the end of one of them")
    os.kill(program.frozen(), signal.SIGCONT)
    said = [process.communicate(timeout=900) for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    (refused,) = [err for process, (_, err) in zip(both, said, strict=True) if process.returncode == 2]
    assert "running already" in refused or "another supervisor owns this experiment" in refused
    assert violations(experiment, undisturbed) == []
