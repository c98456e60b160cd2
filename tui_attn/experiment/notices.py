"""Events of an experiment that a user is notified of: its end, failures, NaN losses, stalls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tui_attn.experiment.reducer import EXPERIMENT_ENDED
from tui_attn.system.text import safe_text

KINDS = ("finished", "failed", "nan", "stalled")
_MOST_REASON = 200
"""Characters of a reason that a notice holds."""


class Notice(NamedTuple):
    """A notice of one of `KINDS`, its text one safe line."""

    kind: str
    text: str


class RunReport(NamedTuple):
    """The facts about a run that `NoticeWatch` uses."""

    id: str
    state: str
    """The derived state, stalled and lost included."""
    reason: str | None
    diverged: bool
    """Whether it failed because its loss, weights or logits were not finite."""


class NoticeWatch:
    """Derives notices from changes of an experiment between two calls of `look`. The first call gives none."""

    def __init__(self) -> None:
        self._states: dict[str, str] | None = None
        self._ended = False

    def look(self, experiment: str, runs: Iterable[RunReport]) -> list[Notice]:
        """The notices since the last call; `experiment` is the experiment's state. Runs of one kind share a notice."""
        reports = list(runs)
        before, self._states = self._states, {run.id: run.state for run in reports}
        ended_before, self._ended = self._ended, experiment in EXPERIMENT_ENDED
        if before is None:
            return []
        fresh = [run for run in reports if run.state != before.get(run.id)]
        failed = [run for run in fresh if run.state == "failed"]
        groups = {
            "nan": [run for run in failed if run.diverged],
            "failed": [run for run in failed if not run.diverged],
            "stalled": [run for run in fresh if run.state == "stalled"],
        }
        notices = [Notice(kind, _of_runs(kind, found)) for kind, found in groups.items() if found]
        if self._ended and not ended_before:
            notices.append(end_notice(experiment, reports))
        return notices


def end_notice(experiment: str, runs: Iterable[RunReport]) -> Notice:
    """The notice at the end of an experiment whose state is `experiment`."""
    states = [run.state for run in runs]
    count = f"{states.count('finished')} of {len(states)} runs finished"
    failed = states.count("failed")
    more = f", {failed} failed" if failed else ""
    return Notice("failed" if failed or experiment == "failed" else "finished", f"training {experiment}: {count}{more}")


def _of_runs(kind: str, runs: list[RunReport]) -> str:
    first = runs[0]
    others = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    if kind == "stalled":
        return safe_text(f"{first.id}{others}: no progress, although the worker is alive", one_line=True)
    reason = f": {first.reason[:_MOST_REASON]}" if first.reason else ""
    return safe_text(f"{first.id}{others} failed{reason}", one_line=True)
