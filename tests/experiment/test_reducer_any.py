"""The fold against whatever a log may hold: any events in any order, as long as they can be decoded."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.strategies import RUNS, any_events, events
from tests.history.histories import fold
from tui_attn.experiment import events as codec
from tui_attn.experiment.durations import eta_seconds, experiment_eta
from tui_attn.experiment.events import EXPERIMENT_EVENTS, RUN_EVENTS, Event
from tui_attn.experiment.reducer import (
    EXPERIMENT_ENDED,
    RUN_ENDED,
    ExperimentState,
    RunState,
    derive,
)

LIKELY = st.tuples(st.none(), events(EXPERIMENT_EVENTS)) | st.tuples(st.sampled_from(RUNS), events(RUN_EVENTS))
TRAINING = {name: RUN_EVENTS[name] for name in ("metrics", "epoch", "probe", "checkpoint", "resumed")}
ONE_RUN = st.lists(st.tuples(st.just(RUNS[0]), events(TRAINING)), min_size=8, max_size=25)
"""Enough of one run for several epochs and probes."""
ANYTHING = st.tuples(st.none() | st.sampled_from([*RUNS, "nobody"]), any_events())


def queued(run: str) -> Event:
    """So that the events that follow have something to change."""
    return Event("run_queued", 0, 1.0, {"run": run, "model": "se", "seed": 0})


def after_the_codec(event: Event) -> Event:
    """The event as a reader gets it."""
    found = codec.decode(codec.encode(event.type, event.data, seq=event.seq, t=event.t)[:-1])
    assert found is not None
    return found


def check_run(run: RunState) -> None:
    """What must hold of every run, whatever was logged."""
    assert len(run.steps) == len(run.losses) == len(run.accuracies) == len(run.times)
    assert all(before < after for before, after in pairwise([0.0, *run.steps]))
    assert all(before <= after for before, after in pairwise([0.0, *run.times]))
    assert all(before.epoch < after.epoch for before, after in pairwise(run.epochs))
    assert all(before[0] < after[0] for before, after in pairwise(run.probes))
    assert run.step >= 0
    assert 0 <= run.progress <= 1
    assert run.total_steps is None or run.total_steps > 0
    assert run.points_since_resume <= len(run.steps)
    assert run.ended == (run.state in RUN_ENDED)
    left = eta_seconds(run)
    assert left is None or (math.isfinite(left) and left >= 0)
    assert run.images_per_second is None or run.images_per_second == run.images_per_second


def check(state: ExperimentState) -> None:
    """What must hold of every experiment."""
    for run in state.runs.values():
        check_run(run)
    assert sum(state.counts().values()) == len(state.runs)
    assert all(state.counts()[run.state] for run in state.runs.values())
    left = experiment_eta(state.runs.values())
    assert left is None or left >= 0
    for supervised in (True, False):
        shown, by_run = derive(state, supervised=supervised, silent=RUNS)
        assert list(by_run) == list(state.runs)
        assert (shown == "lost") == (not supervised and state.state not in EXPERIMENT_ENDED)


@given(items=st.lists(LIKELY, max_size=25) | ONE_RUN)
def test_likely_events_in_any_order(items: list[tuple[str | None, Event]]) -> None:
    state = fold([(None, queued(run)) for run in RUNS])
    for run, event in items:
        before = state.revision
        fold([(run, after_the_codec(event))], state)
        assert state.revision == before + 1
    check(state)


@given(items=st.lists(ANYTHING, max_size=25), again=st.sampled_from(RUNS))
def test_anything_in_any_order(items: list[tuple[str | None, Event]], again: str) -> None:
    state = fold((run, after_the_codec(event)) for run, event in items)
    check(state)
    state.restart_run(again)
    check(state)


@given(items=st.lists(LIKELY, max_size=15) | ONE_RUN)
def test_every_event_twice_makes_no_step_and_no_epoch_twice(items: list[tuple[str | None, Event]]) -> None:
    seen = [(run, after_the_codec(event)) for run, event in items]
    state = fold([*((None, queued(run)) for run in RUNS), *(item for pair in seen for item in (pair, pair))])
    check(state)
