"""How states and numbers are said: glyphs, words and figures. Pure; knows no widget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.durations import elapsed_seconds, experiment_eta, waiting_words
from tui_attn.system.text import duration, percent, safe_text

if TYPE_CHECKING:
    from tui_attn.experiment.reducer import RunState
    from tui_attn.ui.feed import RunView, Snapshot

STATES = {
    "queued": ("·", "faint"),
    "starting": ("○", "muted"),
    "running": ("▶", "running"),
    "paused": ("‖", "held"),
    "finished": ("✓", "done"),
    "stopped": ("■", "held"),
    "skipped": ("»", "muted"),
    "failed": ("✗", "failed"),
    "stalled": ("~", "warning"),
    "lost": ("?", "gone"),
    "damaged": ("✗", "failed"),
}
"""Sign and style of each state of a run or an experiment: none is shown by colour alone."""

VERDICTS = {
    "better": ("↑", "running"),
    "worse": ("↓", "failed"),
    "no difference above margin": ("≈", "bold"),
    "undecided": ("?", "bold"),
}
"""Sign and style of each verdict."""

DASH = "–"


def state_glyph(state: str) -> str:
    """The sign of a state."""
    return STATES.get(state, ("?", ""))[0]


def state_style(state: str) -> str:
    """The style of a state."""
    return STATES.get(state, ("", "normal"))[1]


def state_text(state: str) -> str:
    """Sign and word."""
    return f"{state_glyph(state)} {state}"


def loss_text(value: float | None) -> str:
    """A loss in at most seven characters; NaN and infinities as such."""
    if value is None:
        return DASH
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "-inf"
    size = abs(value)
    if size < 10_000:
        return f"{value:.4f}" if size < 100 else f"{value:.1f}"
    return f"{value:.1e}".replace("e+0", "e").replace("e+", "e")


def percent_text(value: float | None) -> str:
    """A fraction as a percentage with two decimals."""
    return percent(value, "%")


def rate_text(value: float | None) -> str:
    """A rate per second in at most six characters."""
    if value is None or not math.isfinite(value):
        return DASH
    if value < 1000:
        return f"{value:.0f}"
    if value < 100_000:
        return f"{value / 1000:.1f}k"
    return f"{value / 1000:.0f}k" if value < 1_000_000 else f"{value / 1e6:.2f}M"


def waiting_for_turn(views: Sequence[RunView]) -> set[str]:
    """The runs that wait while another run of their worker trains: workers train runs in turns of an epoch."""
    workers: dict[int | None, list[RunView]] = {}
    for view in views:
        if view.shown == "running":
            workers.setdefault(view.state.worker, []).append(view)
    waiting = set()
    for held in workers.values():
        active = max(held, key=lambda view: view.state.last_t)
        waiting |= {view.state.id for view in held if view is not active}
    return waiting


def newest(values: Sequence[float]) -> float | None:
    """The last of `values`."""
    return values[-1] if values else None


def test_accuracy(run: RunState) -> float | None:
    """The newest accuracy on the test set."""
    return run.epochs[-1].test_accuracy if run.epochs else None


def remark(view: RunView) -> str | None:
    """What to show in place of a run's numbers: why it failed, or that it isn't being trained."""
    run = view.state
    if view.shown == "failed":
        reason = safe_text(run.reason or "no reason was recorded", one_line=True)
        return f"{reason} · enter: why"
    if view.shown == "queued" and run.waits is not None:
        return safe_text(f"{run.job or 'not submitted'}: {run.waits}", one_line=True)
    if view.shown == "lost":
        at = f"checkpoint: epoch {run.checkpoint[1]}" if run.checkpoint else "no checkpoint yet"
        return f"no live process · {at}"
    if view.shown == "stalled":
        return "alive, but no progress for half a minute"
    if view.shown in {"stopped", "skipped"} and not run.epochs:
        return safe_text(run.reason, one_line=True) if run.reason else None
    return None


def bar(fraction: float, width: int, *, ascii_only: bool) -> tuple[str, str]:
    """The filled and the empty part of a progress bar of `width` cells."""
    full = min(max(round(fraction * width), 0), width)
    filled, empty = ("=", ".") if ascii_only else ("━", "─")
    return filled * full, empty * (width - full)


def experiment_name(experiment: str, config: ExperimentConfig) -> str:
    """What people call it."""
    return safe_text(config.name or experiment, one_line=True)


def experiment_facts(config: ExperimentConfig) -> str:
    """What is trained, in a few words."""
    seeds = "1 seed" if config.seeds == 1 else f"{config.seeds} seeds"
    models = "1 model" if len(config.models) == 1 else f"{len(config.models)} models"
    dataset = safe_text(config.dataset, one_line=True)
    return f"{dataset} · {models} × {seeds} · {config.length} · batch {config.batch_size}"


def counts_text(runs: Mapping[str, RunView]) -> str:
    """How many runs are in each state, those that need a look first."""
    found: dict[str, int] = {}
    for view in runs.values():
        found[view.shown] = found.get(view.shown, 0) + 1
    order = ("failed", "lost", "stalled", "running", "starting", "paused", "queued", "finished", "stopped", "skipped")
    words = [f"{found[state]} {state}" for state in order if state in found]
    if waits := waiting_words(view.state for view in runs.values() if view.shown == "queued"):
        words.append(safe_text(waits, one_line=True))
    return " · ".join(words)


def waiting_text(runs: Mapping[str, RunView]) -> str:
    """How many runs are over, and how many a scheduler has wait, and why; empty where none waits."""
    waits = safe_text(waiting_words(view.state for view in runs.values()), one_line=True)
    over = sum(view.state.ended for view in runs.values())
    return f"{over} of {len(runs)} · {waits}" if waits else ""


def reading(snapshot: Snapshot) -> str:
    """What stands where something isn't read yet."""
    runs = len(snapshot.runs)
    if not runs:
        return f"reading the logs ... {100 * snapshot.share:.0f} %"
    return f"reading {runs} {'run' if runs == 1 else 'runs'} ... {100 * snapshot.share:.0f} %"


def elapsed(snapshot: Snapshot, now: float) -> float | None:
    """Seconds since the experiment began, until it ended or was last heard of."""
    end = snapshot.ended_at
    if end is None:
        end = now if snapshot.supervised else snapshot.last_t
    runs = [view.state for view in snapshot.runs.values()]
    return elapsed_seconds(snapshot.started_at, end, runs, snapshot.measured_seconds)


def time_left(snapshot: Snapshot) -> float | None:
    """Seconds until all that is running has ended; None until every running run can say it, or when more is queued."""
    views = list(snapshot.runs.values())
    running = [view for view in views if view.shown == "running"]
    if not running or any(view.eta is None for view in running):
        return None
    if any(view.shown != "running" and not view.state.ended for view in views):
        return None
    return experiment_eta(view.state for view in views)


def eta_text(views: Sequence[RunView]) -> str:
    """The time until the last of a model's runs ends; blank as long as it would mean nothing."""
    running = [view for view in views if view.shown == "running"]
    etas = [view.eta for view in running if view.eta is not None]
    if not running or len(etas) < len(running):
        return ""
    waiting = sum(view.shown in {"queued", "starting"} for view in views)
    whole = [_whole_seconds(view) for view in running]
    if waiting and not any(whole):
        return ""
    return duration(max(etas) + waiting * max(whole) / len(running))


def _whole_seconds(view: RunView) -> float:
    """The time that a run like `view` takes from its start; 0 where that can't be told any more."""
    run = view.state
    left = (run.total_steps or 0) - run.step
    return (view.eta or 0.0) * (run.total_steps or 0) / left if left > 0 else 0.0
