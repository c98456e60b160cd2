"""Signals at any moment and in any number: a process ends or goes on within a bound, and never hangs."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.processes import python, run_python, said
from tests.recorded import record
from tests.reliability.conftest import Lab, frozen, gone
from tests.reliability.invariants import processes
from tests.reliability.test_real_program import SMALL, Program, program
from tests.waiting import eventually
from tui_attn.cli import lines, watching
from tui_attn.engines.pipe import LocalLauncher
from tui_attn.engines.workers import TERMINATED, Slot, Worker
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.launch import control
from tui_attn.supervision.restarts import GRACE
from tui_attn.supervision.worker_pool import WorkerPool
from tui_attn.system import children
from tui_attn.system.files import Reserve
from tui_attn.system.signals import Signals

assert program

COUNTER = """
import signal, sys
from tui_attn.system.signals import Signals

with Signals([signal.SIGTERM, signal.SIGINT]) as signals:
    print("ready", flush=True)
    while signal.SIGINT not in signals.received:
        signals.wait(600.0)
    print(len(signals.received) > 1, flush=True)
"""


AT_EVERY_BYTECODE = """
import faulthandler, signal, sys
from tui_attn.system.signals import Signals

left = 0

def look(frame, event, argument):
    global left
    frame.f_trace_opcodes = True
    left -= event == "opcode"
    if event == "opcode" and left == 0:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    return look

faulthandler.dump_traceback_later(600, exit=True)
with Signals([signal.SIGTERM]) as signals:
    bytecodes = 0
    while left <= 0:
        bytecodes += 1
        left = bytecodes
        sys.settrace(look)
        signals.wait(0.0)
        sys.settrace(None)
    print(bytecodes, len(signals.received), flush=True)
"""


def test_a_signal_at_any_bytecode_of_the_wait_for_it_deadlocks_nothing() -> None:
    done = run_python(AT_EVERY_BYTECODE)
    assert done.returncode == 0, done.stderr
    bytecodes, received = map(int, done.stdout.split())
    assert bytecodes > 10
    assert received >= bytecodes - 1


def test_bursts_never_deadlock_whoever_waits_for_them() -> None:
    with python(COUNTER) as process:
        assert said(process) == "ready"
        for _ in range(2000):
            os.kill(process.pid, signal.SIGTERM)
        os.kill(process.pid, signal.SIGINT)
        assert said(process) == "True"


@pytest.mark.parametrize("number", [2, 3, 20])
def test_quick_signals_end_supervisor_and_worker(lab: Lab, number: int) -> None:
    experiment = lab.make(epochs=200)
    supervisor = lab.start(experiment)
    eventually(lambda: any(run.step for run in read_state(experiment).state.runs.values()), "a step")
    for _ in range(number):
        for pid in processes(experiment.path):
            with contextlib.suppress(ProcessLookupError):  # the signals before have ended it
                os.kill(pid, signal.SIGTERM)
    eventually(lambda: gone(supervisor), "the end of the supervisor")
    eventually(lambda: not processes(experiment.path), "the end of its worker")
    assert read_state(experiment).state.state == "stopped"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("number", [1, 3])
def test_a_start_that_is_broken_off_leaves_nothing(program: Program, signum: int, code: int, number: int) -> None:
    front = program.start("--no-ui", *SMALL, fault="queue:1:stop")
    experiment = eventually(lambda: next(iter(experiments(program.runs)), None), "an experiment")
    supervisor = eventually(lambda: frozen(experiment), "a frozen supervisor")
    for _ in range(number):
        os.kill(front.pid, signum)
    # The supervisor gets its signal while it is frozen, and ends when it may go on.
    eventually(lambda: _pending(supervisor), "SIGTERM to the supervisor")
    os.kill(supervisor, signal.SIGCONT)
    out, err = front.communicate(timeout=240)
    assert (front.returncode, out) == (code, ""), err
    assert "Traceback" not in err
    assert list(program.runs.iterdir()) == []
    assert gone(supervisor)


def test_a_signal_to_a_supervisor_in_its_first_moments_stops_it_as_a_later_one_does(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = lab.make()
    begin, begun = children.python, list[subprocess.Popen[bytes]]()

    def and_interrupt(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        begun.append(begin(*arguments, **options))
        begun[0].send_signal(signal.SIGINT)
        return begun[0]

    monkeypatch.setattr(children, "python", and_interrupt)
    with contextlib.suppress(control.LaunchError):  # it may have stopped before it is seen
        control.start_supervisor(experiment)
    assert begun[0].wait(240) == 0
    assert experiment.supervisor_log.read_bytes() == b""
    assert read_state(experiment).state.state == "stopped"


def test_a_signal_to_a_worker_in_its_first_moments_ends_it_as_a_later_one_does(lab: Lab) -> None:
    experiment = lab.make()
    experiment.run("base-s0").path.mkdir()
    worker = LocalLauncher(experiment).start(Slot("cpu", 0), experiment.run("base-s0"))
    worker.kill(signal.SIGINT)  # means nothing to it
    worker.kill(signal.SIGTERM)
    assert eventually(worker.exit_code, "the end of the worker") == TERMINATED
    worker.close()
    assert experiment.run("base-s0").worker_log.read_bytes() == b""


@pytest.mark.parametrize("detach", [True, False])
def test_a_signal_between_the_start_and_the_dashboard_stops_the_training(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, detach: bool
) -> None:
    signals, watched = Signals([]), list[Signals]()
    signals.received.append(signal.SIGINT)
    monkeypatch.setattr(watching, "full_screen", lambda: True)

    def watch(folder: ExperimentDir, *, signals: Signals, **_: object) -> int:
        watched.append(signals)
        return 130

    monkeypatch.setattr(lines, "watch", watch)
    context = typer.Context(typer.core.TyperGroup())
    context.params = {"detach": detach}
    assert watching.show(context, lab.make(), signals=signals) == 130
    assert watched == [signals]


def test_ending_everything_at_once_leaves_no_reserve(lab: Lab) -> None:
    experiment = lab.make()
    assert Reserve(experiment.path).room()
    assert (experiment.path / ".reserve").exists()
    control.kill(experiment)
    assert not (experiment.path / ".reserve").exists()


def _pending(pid: int) -> bool:
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    return bool(int(status["ShdPnd"], 16) >> (signal.SIGTERM - 1) & 1)


class Deaf(Worker):
    """A worker that no signal but SIGKILL ends."""

    def __init__(self) -> None:
        self.slot, self.held, self.token = Slot("cpu", 0), ["se-s0"], 1
        self.heard: list[int] = []

    def tell(self, do: str, run: str | None = None) -> None: ...

    def exit_code(self) -> int | None:
        return None

    def kill(self, signum: int) -> None:
        self.heard.append(signum)

    def close(self) -> None: ...


def test_a_worker_is_sent_sigterm_once_however_long_it_takes(tmp_path: Path) -> None:
    now, worker = [0.0], Deaf()
    pool = WorkerPool([], LocalLauncher(record(tmp_path)), lambda: now[0], Signals([]))
    pool.workers.append(worker)
    pool.begin_stop()
    for _ in range(5):
        now[0] = GRACE + 1
        pool.press_on()
    assert worker.heard == [signal.SIGTERM]
