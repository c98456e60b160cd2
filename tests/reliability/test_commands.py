"""Commands to a supervisor that is killed while it obeys them: each answer matches what happened."""

import os
import signal

import pytest

from tests.reliability.conftest import Lab, ended, gone, kill
from tests.reliability.invariants import Reference
from tests.waiting import eventually
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.follower import read_state
from tui_attn.launch import control, starting
from tui_attn.supervision.control import TOO_LATE


@pytest.mark.parametrize("point", ["obey", "extended", "acknowledge"])
def test_an_extension_is_carried_out_and_acknowledged_wherever_its_supervisor_dies(
    lab: Lab, undisturbed: dict[str, Reference], point: str
) -> None:
    experiment = lab.make()
    supervisor = lab.start(experiment, fault=point, worker_faults=("forward:3:stop",))
    worker = lab.await_frozen(experiment)
    command = control.send(experiment, "extend", seeds=2)
    eventually(lambda: gone(supervisor), "the end of the supervisor")
    kill(worker)
    assert command not in read_state(experiment).state.acknowledged
    lab.finish(experiment)
    state = read_state(experiment).state
    assert state.acknowledged[command] == ("extend", "done")
    assert {run.id: run.state for run in state.runs.values()} == dict.fromkeys(
        ("base-s0", "se-s0", "base-s1", "se-s1"), "finished"
    )
    assert experiment.manifest_data().config.seeds == 2
    digests = {run.id: run.weights_sha256 for run in state.runs.values()}
    assert {run: digests[run] for run in undisturbed} == {run: kept.weights_sha256 for run, kept in undisturbed.items()}


@pytest.mark.parametrize("what", ["stop", "skip", "pause"])
@pytest.mark.parametrize("point", ["obey", "acknowledge"])
def test_the_answer_to_a_command_says_whether_it_took_effect(lab: Lab, what: str, point: str) -> None:
    """The run waits in the queue, so that the supervisor alone decides what becomes of it."""
    experiment = lab.make(models=("base",), seeds=2)
    supervisor = lab.start(experiment, fault=point, worker_faults=("forward:3:stop",))
    worker = lab.await_frozen(experiment)
    command = control.send(experiment, what, "base-s1")
    eventually(lambda: gone(supervisor), "the end of the supervisor")
    kill(worker)
    recorded = {"stop": "run_ended", "skip": "run_ended", "pause": "run_paused"}[what]
    took_effect = any(
        event.type == recorded and event["run"] == "base-s1" for event in LogReader(experiment.events).read()
    )
    assert took_effect == (point == "acknowledge")
    lab.finish(experiment)
    assert read_state(experiment).state.acknowledged[command] == (what, "done" if took_effect else TOO_LATE)


def test_an_older_stop_is_not_taken_for_the_effect_of_a_new_one(lab: Lab) -> None:
    experiment = lab.make(models=("base",))
    lab.start(experiment, worker_faults=("forward:3:stop",))
    worker = lab.await_frozen(experiment)
    control.send(experiment, "stop")
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: ended(experiment), "the end")
    lab.await_end(experiment)
    late = control.send(experiment, "stop")
    lab.finish(experiment)
    assert read_state(experiment).state.acknowledged[late] == ("stop", TOO_LATE)


def test_resuming_what_is_finished_starts_nothing_whoever_asks(lab: Lab) -> None:
    experiment = lab.make(models=("base",), epochs=1)
    lab.finish(experiment)
    before = experiment.events.read_bytes()
    with pytest.raises(starting.NothingToResumeError, match="is finished"):
        starting.resume(experiment)
    assert experiment.events.read_bytes() == before
