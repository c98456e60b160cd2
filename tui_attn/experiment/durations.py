"""How long an experiment took, the time left, and what it waits for.

Both are based on the time spent in training steps, measured by a monotonic clock, as far as possible. The time stamps
of events come from a wall clock, which may be set, and include pauses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui_attn.experiment.run_state import RunState

_WINDOW = 150
"""Points over which the pace is measured."""
_LEAST_POINTS = 5
"""Minimum points since the last resume for a pace."""
_LONGEST_STRETCH = 3.0
"""Ratio of wall time to training time, per run on the worker, above which there must have been a pause."""


def eta_seconds(run: RunState) -> float | None:
    """Seconds of training left at the pace since the last resume; None before there is a pace."""
    pace = _seconds_per_step(run)
    return None if pace is None or run.total_steps is None else max(0, run.total_steps - run.step) * pace


def run_eta(run: RunState, live: Iterable[RunState]) -> float | None:
    """Seconds until `run` ends, None before there is a pace. `live`: the runs in training.

    A worker trains its runs in turns, so a run takes longer than its training time: by the ratio over the last epoch,
    evaluation included, or before that is known, by the number of runs on the worker.
    """
    training = eta_seconds(run)
    if training is None:
        return None
    share = _share(run, live)
    return training * (_stretch(run, share) or share)


def experiment_eta(runs: Iterable[RunState]) -> float | None:
    """Seconds until the last of `runs` ends; None before every running one has a pace.

    Paused runs are left out. Queued runs are assumed to take as long as others of their model, or as the mean of all.
    """
    to_do = [run for run in runs if not run.ended and run.state != "paused"]
    live = [run for run in to_do if run.state == "running"]
    costs: dict[str, float] = {}
    for run in live:
        pace, share = _seconds_per_step(run), _share(run, live)
        if pace is None:
            return None
        costs[run.model] = max(costs.get(run.model, 0.0), pace * (_stretch(run, share) or share) / share)
    if not costs:
        return None
    mean, total = sum(costs.values()) / len(costs), max(run.total_steps or 0 for run in live)
    work = [max(0, (run.total_steps or total) - run.step) * costs.get(run.model, mean) for run in to_do]
    return max(sum(work) / len({run.worker for run in live}), *work)


def elapsed_seconds(
    started_at: float | None, end: float | None, runs: Sequence[RunState], measured: float | None = None
) -> float | None:
    """Seconds from the start to `end` (unix seconds), never less than the longest run trained; None when unknown.

    `measured`: the time measured by the supervisors, where all of them recorded it.
    """
    if measured is not None:
        return measured
    if started_at is None or end is None:
        return None
    trained = max((run.train_seconds for run in runs), default=0.0)
    took = max(end - started_at, trained)
    return took if took > 0 or end == started_at else None


def waiting_words(runs: Iterable[RunState]) -> str:
    """How many runs wait for a scheduler, and the main reason, as in `9 wait for SLURM: Priority`; empty for none."""
    waiting = [run for run in runs if run.waits is not None and run.state == "queued"]
    if not waiting:
        return ""
    reason = Counter(run.waits for run in waiting).most_common(1)[0][0]
    engines = {(run.job or "").partition(" ")[0] for run in waiting} - {""}
    engine = "".join(engines).upper() if len(engines) == 1 else "a scheduler"
    return f"{len(waiting)} {'waits' if len(waiting) == 1 else 'wait'} for {engine}: {reason}"


def _seconds_per_step(run: RunState) -> float | None:
    if run.total_steps is None or run.state != "running" or run.points_since_resume < _LEAST_POINTS:
        return None
    window = max(len(run.steps) - run.points_since_resume, len(run.steps) - _WINDOW)
    done, spent = run.steps[-1] - run.steps[window], run.times[-1] - run.times[window]
    return spent / done if done > 0 and spent > 0 else None


def _share(run: RunState, live: Iterable[RunState]) -> int:
    return max(1, sum(other.worker == run.worker for other in live))


def _stretch(run: RunState, share: int) -> float | None:
    """Wall seconds per second of training over the last epoch; None where it includes a resume or a pause."""
    if len(run.epochs) < 2:
        return None
    before, last = run.epochs[-2:]
    continued = run.started_at if run.unpaused_at is None else max(run.started_at or 0.0, run.unpaused_at)
    if continued is None or before.t < continued or last.epoch != before.epoch + 1:
        return None
    trained = last.train_seconds - before.train_seconds
    found = (last.t - before.t) / trained if trained > 0 else 0.0
    return found if 1.0 <= found <= _LONGEST_STRETCH * share else None
