"""The time of training steps, with and without a stop of the process."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tui_attn.train.progress import Progress, Stopwatch, stops


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGCONT)
    stops.install()
    yield
    signal.signal(signal.SIGCONT, before)


def measured(monkeypatch: pytest.MonkeyPatch, progress: Progress, *, steps: int, took: float, stopped: bool) -> float:
    """What is added to the training seconds of `progress` for some steps."""
    times = iter([100.0, 100.0 + took])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    before = progress.train_seconds
    stopwatch = Stopwatch(progress)
    if stopped:
        os.kill(os.getpid(), signal.SIGCONT)  # what a process gets when it is continued
    progress.step += steps
    stopwatch.add_to(progress)
    return progress.train_seconds - before


def test_a_stop_is_not_training_time(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress(step=100, train_seconds=10.0)
    assert measured(monkeypatch, progress, steps=5, took=25.0, stopped=True) == pytest.approx(0.5)
    assert measured(monkeypatch, progress, steps=5, took=0.4, stopped=True) == pytest.approx(0.4)


def test_slow_steps_count_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress(step=100, train_seconds=10.0)
    assert measured(monkeypatch, progress, steps=5, took=25.0, stopped=False) == pytest.approx(25.0)
    assert measured(monkeypatch, Progress(), steps=5, took=25.0, stopped=True) == pytest.approx(25.0)
