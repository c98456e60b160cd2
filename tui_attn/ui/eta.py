"""How long it still takes, by the clock on the wall."""

from __future__ import annotations

from collections.abc import Iterable

from tui_attn.experiment.reducer import RunState, eta_seconds

_LONGEST_STRETCH = 3.0
"""Wall time over training time, for each run that shares the worker, beyond which there was a pause."""


def eta(run: RunState, live: Iterable[RunState]) -> float | None:
    """Seconds until `run` ends, None until that means something.

    A worker trains its runs in turns, so that each advances more slowly than it trains: by what the last epoch took
    on the wall, evaluation included, or before that is known, by the number of runs that share the worker. `live`:
    the runs in training.
    """
    training = eta_seconds(run)
    if training is None:
        return None
    share = max(1, sum(other.worker == run.worker for other in live))
    return training * (_stretch(run, share) or share)


def _stretch(run: RunState, share: int) -> float | None:
    """Wall seconds to a second of training over the last epoch; None before there is one since the run was resumed."""
    if len(run.epochs) < 2:
        return None
    before, last = run.epochs[-2:]
    if run.started_at is None or before.t < run.started_at or last.epoch != before.epoch + 1:
        return None
    trained = last.train_seconds - before.train_seconds
    found = (last.t - before.t) / trained if trained > 0 else 0.0
    return found if 1.0 <= found <= _LONGEST_STRETCH * share else None
