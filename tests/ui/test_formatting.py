"""How states and numbers are said."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace

import pytest

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.reducer import RUN_ENDED, RUN_LIVE, RunState
from tui_attn.ui import formatting
from tui_attn.ui.feed import RunView, Snapshot
from tui_attn.ui.widgets.title_bar import TitleBar


def view(shown: str, **changes: object) -> RunView:
    """A run in state `shown`."""
    run = RunState("se-s0", "se", 0, state=shown)
    for name, value in changes.items():
        setattr(run, name, value)
    return RunView(run, shown, None, 1)


@pytest.mark.parametrize("state", sorted(RUN_ENDED | RUN_LIVE | {"queued", "stalled", "lost"}))
def test_every_state_has_a_sign_of_its_own_and_an_ink(state: str) -> None:
    glyph, ink = formatting.STATES[state]
    assert (formatting.state_text(state), formatting.state_style(state)) == (f"{glyph} {state}", ink)
    others = {known for known, _ in (formatting.STATES[name] for name in formatting.STATES.keys() - {state, "damaged"})}
    assert glyph not in others or state == "damaged"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.23456, "0.2346"), (12.5, "12.5000"), (1234.5, "1234.5"), (123456.0, "1.2e5"), (-4.9e14, "-4.9e14"),
     (1e300, "1.0e300"), (math.nan, "NaN"), (math.inf, "inf"),
     (-math.inf, "-inf")],
)  # fmt: skip
def test_losses(value: float | None, text: str) -> None:
    assert formatting.loss_text(value) == text
    assert len(text) <= 7


@pytest.mark.parametrize("value", [0.0, 7.0, 999.6, 21345.0, 99_999.0, 250_000.0, 999_999.0, 1_234_567.0, 5e7])
def test_rates_fit_their_column(value: float) -> None:
    assert len(formatting.rate_text(value)) <= 6


@pytest.mark.parametrize(("fraction", "full"), [(0.0, 0), (0.04, 0), (0.5, 5), (1.0, 10), (1.7, 10), (-1.0, 0)])
def test_bars_are_as_long_as_asked(fraction: float, full: int) -> None:
    filled, empty = formatting.bar(fraction, 10, ascii_only=True)
    assert (filled, empty) == ("=" * full, "." * (10 - full))


def test_a_failed_run_says_why() -> None:
    text = formatting.remark(view("failed", reason="CUDA out of memory\x1b[2J"))
    assert text is not None
    assert text.startswith("CUDA out of memory␛[2J")


def test_a_lost_run_says_what_is_kept() -> None:
    assert formatting.remark(view("lost", checkpoint=(938, 2))) == "no live process · checkpoint: epoch 2"
    assert formatting.remark(view("lost")) == "no live process · no checkpoint yet"


def test_a_run_that_trains_shows_its_numbers() -> None:
    assert formatting.remark(view("running")) is None
    assert formatting.remark(view("finished")) is None


def test_runs_are_counted_with_those_that_need_a_look_first() -> None:
    runs = {str(index): view(shown) for index, shown in enumerate(["finished", "failed", "running", "running"])}
    assert formatting.counts_text(runs) == "1 failed · 2 running · 1 finished"


def test_the_title_sums_up_what_a_scheduler_has_wait() -> None:
    waits = {"job": "slurm 7", "waits": "Priority"}
    runs = {"a": view("finished"), "b": view("queued", **waits), "c": view("queued", **waits), "d": view("running")}
    assert formatting.waiting_text(runs) == "1 of 4 · 2 wait for SLURM: Priority"
    assert formatting.waiting_text({"a": view("running")}) == ""


@pytest.mark.parametrize(
    ("width", "said"), [(80, "1 of 4 · 2 wait for SLURM: Priority  ▶ running"), (60, "1 of 4 · 2 wait  ▶"), (40, "▶")]
)
def test_the_title_says_of_what_waits_as_much_as_fits(width: int, said: str) -> None:
    waits = {"job": "slurm 7", "waits": "Priority"}
    runs = {"a": view("finished"), "b": view("queued", **waits), "c": view("queued", **waits), "d": view("running")}
    bar = TitleBar("20261130-120000-fashion-mnist", ExperimentConfig(), lambda: 0.0, id="title")
    bar._snapshot = Snapshot("e", "running", True, runs, [], 0, [], 0, {}, None, None, None, complete=True, damaged=0)
    (row,) = bar.lines(width, 1)
    text = "".join(piece for piece, _ in row.pieces)
    assert text.split("fashion-mnist")[1].strip().startswith(said)


def test_an_experiment_is_called_by_its_name_made_safe() -> None:
    config = ExperimentConfig(name="[/bold] é", dataset="cifar10", seeds=3)
    assert formatting.experiment_name("id", config) == "[/bold] é"
    assert formatting.experiment_facts(config) == "cifar10 · 3 models × 3 seeds · 15 epochs · batch 128"


def test_the_time_left_of_a_model_is_that_of_its_running_and_its_queued_seeds() -> None:
    def running(eta: float | None, step: int = 100) -> RunView:
        found = view("running", about={"steps_per_epoch": 100, "epochs": 2}, steps=array("d", [step]))
        return replace(found, eta=eta)

    queued, done = view("queued"), view("finished")
    assert formatting.eta_text([done, running(60.0)]) == "1m 00s"
    assert formatting.eta_text([running(60.0), queued]) == "3m 00s", "half of it took a minute"
    assert formatting.eta_text([running(60.0), running(50.0), queued, queued]) == "3m 00s", "two at a time"
    assert formatting.eta_text([running(None), running(50.0)]) == ""
    assert formatting.eta_text([running(0.0, step=200), queued]) == "", "how long a run takes can't be told"
    assert formatting.eta_text([done, queued]) == ""
