"""SIGKILL of the worker, the supervisor, a dashboard and all of them at seeded points of the training: nothing is lost.

The worker freezes at the point, so that who is killed is killed exactly there.
"""

import os
import random
import signal

import pytest

from tests.reliability.conftest import Lab, gone, kill
from tests.reliability.invariants import Reference, processes, violations
from tests.ui.terminal import opened
from tests.waiting import eventually
from tui_attn.experiment.event_log import LogReader
from tui_attn.system import liveness

# How often a worker passes each point when nothing interrupts it: two models, two epochs of five steps.
POINTS = {
    "start": 2,
    "forward": 20,
    "append": 20,
    "checkpoint-before-write": 4,
    "checkpoint-before-rename": 4,
    "checkpoint-after-rename": 4,
    "end": 2,
}
CASES = [(point, victim) for point in POINTS for victim in ("worker", "supervisor", "dashboard", "all")]


def seeded(point: str, victim: str) -> int:
    """Which of the passes of `point` is the deadly one."""
    return random.Random(f"{point}/{victim}").randint(1, POINTS[point])


@pytest.mark.parametrize(("point", "victim"), CASES)
def test_nothing_is_lost(lab: Lab, undisturbed: dict[str, Reference], point: str, victim: str) -> None:
    experiment = lab.make()
    supervisor = lab.start(experiment, worker_faults=(f"{point}:{seeded(point, victim)}:stop",))
    worker = lab.await_frozen(experiment)
    if victim == "worker":
        kill(worker)
        lab.await_end(experiment)
    elif victim == "supervisor":
        kill(supervisor)
        lab.start(experiment)  # while the worker of the dead one still holds its runs
        os.kill(worker, signal.SIGCONT)
        lab.await_end(experiment)
    else:
        with opened(experiment) as dashboard:
            dashboard.until("base-s0")
            for pid in (dashboard.pid, supervisor, worker) if victim == "all" else (dashboard.pid,):
                os.kill(pid, signal.SIGKILL)
            assert dashboard.wait() == -signal.SIGKILL
        if victim == "all":
            eventually(lambda: gone(supervisor) and gone(worker), "the end of both")
            lab.finish(experiment)
        else:
            os.kill(worker, signal.SIGCONT)
            lab.await_end(experiment)
    assert violations(experiment, undisturbed) == []


@pytest.mark.parametrize("point", ["queue", "hand-out:2", "bury", "record-end:1", "record-end:2", "finish"])
def test_a_supervisor_killed_over_its_own_work_loses_nothing(
    lab: Lab, undisturbed: dict[str, Reference], point: str
) -> None:
    """Between what it decided and what it recorded of it."""
    experiment = lab.make()
    dying_worker = ("forward:7",) if point == "bury" else ()
    supervisor = lab.start(experiment, fault=point, worker_faults=dying_worker)
    eventually(lambda: liveness.process_start_time(supervisor) is None, "the death of the supervisor")
    lab.finish(experiment)
    assert violations(experiment, undisturbed) == []


def test_a_line_torn_by_the_death_of_the_machine_is_cut_and_trained_again(
    lab: Lab, undisturbed: dict[str, Reference]
) -> None:
    """A process's death can't tear a line, because one write appends it; a power loss can."""
    experiment = lab.make()
    supervisor = lab.start(experiment, worker_faults=("append:13:stop",))
    worker = lab.await_frozen(experiment)
    kill(supervisor)
    kill(worker)
    for log in (experiment.run("base-s0").events, experiment.run("se-s0").events, experiment.events):
        data = log.read_bytes()
        log.write_bytes(data[: len(data) - random.Random(str(log.name)).randint(1, 60)])
    lab.finish(experiment)
    assert violations(experiment, undisturbed) == []


def test_killed_again_and_again_it_gets_through(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    """Every worker dies a few steps after it began, and the supervisor starts another each time."""
    experiment = lab.make()
    faults = ("forward:8", "forward:4", "checkpoint-before-rename:1", "end:1")
    lab.start(experiment, worker_faults=faults)
    lab.await_end(experiment)
    assert violations(experiment, undisturbed) == []
    workers = {event["worker"] for event in LogReader(experiment.events).read() if event.type == "run_started"}
    assert len(workers) == len(faults) + 1


def test_a_run_that_takes_its_worker_down_at_the_same_step_every_time_is_failed_and_the_others_finish(
    lab: Lab, undisturbed: dict[str, Reference]
) -> None:
    experiment = lab.make(models=("base",))
    lab.start(experiment, worker_faults=("forward:3",) * 10)
    lab.await_end(experiment)
    told = LogReader(experiment.events).read()
    assert [event.type for event in told].count("run_restarted") == 3
    (end,) = [event for event in told if event.type == "run_ended"]
    assert end["state"] == "failed"
    assert "SIGKILL" in end["reason"]
    lab.finish(experiment)  # failed runs are taken up too
    assert violations(experiment, {"base-s0": undisturbed["base-s0"]}) == []
    assert processes(experiment.path) == []
