"""Of a run's log that two workers write, for want of locks between hosts, the newer one's lines count."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.supervision.workshop import ABOUT
from tui_attn.experiment.events import Event, decode, encode
from tui_attn.experiment.reducer import ExperimentState

OLD, NEW = "0123456789abcdef", "fedcba9876543210"


def line(type_: str, w: str | None, **payload: Any) -> Event:
    event = decode(encode(type_, payload | ({} if w is None else {"w": w}), seq=0, t=1.0)[:-1])
    assert event is not None
    return event


def started(w: str | None) -> Event:
    return line("started", w, **ABOUT, model="se")


def points(w: str | None, *steps: int) -> list[Event]:
    return [
        line("metrics", w, epoch=1, step=[step], loss=[float(step)], accuracy=[0.1], train_seconds=float(step))
        for step in steps
    ]


def ended(w: str | None, state: str) -> Event:
    return line("ended", w, state=state, reason=None, traceback=None, epoch=1, step=9, weights_sha256=w)


def told(events: list[Event]) -> tuple[Any, ...]:
    state = ExperimentState("x")
    state.apply(Event("run_queued", 0, 1.0, {"run": "se-s0", "model": "se", "seed": 0}))
    counted = [event for event in events if state.apply_run("se-s0", event)]
    run = state.runs["se-s0"]
    ends = [event["state"] for event in counted if event.type == "ended"]
    return list(run.steps), list(run.losses), run.checkpoint, run.weights_sha256, run.warnings, ends


BEFORE = [started(OLD), *points(OLD, 1, 2, 3, 4, 5)]
AFTER = [
    line("resumed", NEW, from_step=3, epoch=0, skipped=[]),
    *points(NEW, 4, 5, 6, 7, 8, 9),
    line("checkpoint", NEW, step=9, epoch=1, file="nine", bytes=1),
    ended(NEW, "finished"),
]
LATE = [
    *points(OLD, 6, 7, 20, 30),
    line("checkpoint", OLD, step=30, epoch=1, file="thirty", bytes=1),
    line("warning", OLD, message="late"),
    ended(OLD, "failed"),
]


@given(at=st.lists(st.integers(0, len(AFTER)), min_size=len(LATE), max_size=len(LATE)).map(sorted))
def test_whenever_late_lines_of_the_old_writer_come_the_new_ones_result_stands(at: list[int]) -> None:
    mixed = list(AFTER)
    for place, late in zip(reversed(at), reversed(LATE), strict=True):
        mixed.insert(place, late)
    clean = told([*BEFORE, started(NEW), *AFTER])
    assert told([*BEFORE, started(NEW), *mixed]) == clean
    assert clean[0] == [1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_log_without_tokens_reads_as_before() -> None:
    steps, *_, ends = told([started(None), *points(None, 1, 2), ended(None, "stopped")])
    assert (steps, ends) == ([1, 2], ["stopped"])


def test_an_old_log_that_is_resumed_goes_on_with_tokens() -> None:
    after = [started(NEW), line("resumed", NEW, from_step=1, epoch=0, skipped=[]), *points(NEW, 2, 3)]
    assert told([started(None), *points(None, 1, 2), *after])[0] == [1, 2, 3]
