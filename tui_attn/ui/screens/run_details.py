"""One run in full: its state, why it failed, and the traceback."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tui_attn.data.base import counts_text
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.model_info import info_of
from tui_attn.system.text import duration, percent, safe_text, size
from tui_attn.system.textfit import wrap
from tui_attn.ui import formatting
from tui_attn.ui.drawing import EMPTY, Row, cut, fit
from tui_attn.ui.feed import RunView, Snapshot
from tui_attn.ui.screens.page import PageScreen

_LABEL = 16
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)(?:\n {4}([^\n]*))?')
_NO_ATTENTION = "no block of tui_attn.models in it, so it has no heatmaps"
_WHAT_NOW = {
    "failed": "r on the dashboard tries it again, from its newest checkpoint where there is one",
    "lost": "no process trains it any more; r on the dashboard resumes the experiment",
}


class RunDetailsScreen(PageScreen):
    """What is known of one run."""

    def __init__(self, folder: ExperimentDir, view: RunView) -> None:
        super().__init__()
        self._folder = folder
        self._view = view
        self.title = view.state.id
        try:
            self._images = counts_text(folder.manifest_data().data.get("counts"))
        except RunsError:
            self._images = ""

    def show(self, snapshot: Snapshot) -> None:
        """Show the run as it is in `snapshot`."""
        found = snapshot.runs.get(self._view.state.id)
        if found is not None and found is not self._view:
            self._view = found
            self.renew()

    def page(self, width: int) -> Sequence[Row]:
        """State, figures, warnings, traceback."""
        return details(self._view, _shown_path(self._folder.path / self._view.state.id), width, self._images)


def _shown_path(path: Path) -> str:
    """`path` from where the user is, when it is below that."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def details(view: RunView, where: str, width: int, images: str = "") -> list[Row]:
    """Everything about a run, as rows of `width` cells; long text is wrapped, never cut.

    `images`: how many there are, by split and class.
    """
    run = view.state
    shown = [
        ("reason", run.reason or ""),
        ("failed at", _failed_at(run.traceback)),
        ("what now", _WHAT_NOW.get(view.shown, "")),
        *_figures(view, width - _LABEL - 1),
        ("images", images),
    ]
    rows = [EMPTY, *_wrapped("state", formatting.state_text(view.shown), width, formatting.state_style(view.shown))]
    for name, text in shown:
        rows += _wrapped(name, text, width) if text else []
    # Not wrapped at its spaces, of which a path may hold any number.
    rows += _labelled("folder", _chunks(safe_text(where, one_line=True), max(width - _LABEL - 1, 8)))
    for warning in run.warnings:
        rows += _wrapped("warning", warning, width, "warning")
    if run.traceback:
        rows += [EMPTY, Row(((" traceback", "bold"),)), EMPTY]
        for line in safe_text(run.traceback).expandtabs(4).splitlines():
            rows += [Row(((f"   {part}", "normal"),)) for part in _chunks(line, max(width - 4, 8))]
    elif view.shown == "failed":
        rows += [EMPTY, Row(((" no traceback was recorded: worker.log in its folder may say more", "muted"),))]
    return [*rows, *_epochs(view)]


def _failed_at(traceback: str | None) -> str:
    """The innermost line of a file that is neither the program's nor a library's; empty where there is none."""
    frames = _FRAME.findall(traceback or "")
    own = [frame for frame in frames if not any(part in frame[0] for part in ("-packages/", "tui_attn/", "<frozen"))]
    return "{}, line {}, in {}: {}".format(*own[-1]).rstrip(": ") if own else ""


def _epochs(view: RunView) -> list[Row]:
    """Losses and accuracies after each epoch, the newest first."""
    epochs = view.state.epochs
    if not epochs:
        return []
    head = f" {'epoch':>6}{'train loss':>12}{'test loss':>12}{'train acc, %':>14}{'test acc, %':>13}{'trained':>10}"
    rows = [EMPTY, Row(((head, "muted"),))]
    for found in reversed(epochs):
        losses = f"{formatting.loss_text(found.train_loss):>12}{formatting.loss_text(found.test_loss):>12}"
        accuracies = f"{percent(found.train_accuracy):>14}", f"{percent(found.test_accuracy):>13}"
        trained = f"{duration(found.train_seconds):>10}"
        rows.append(
            Row(((f" {found.epoch:>6}{losses}{accuracies[0]}", "normal"), (accuracies[1], "bold"), (trained, "muted")))
        )
    return rows


def _figures(view: RunView, width: int) -> list[tuple[str, str]]:
    run, about = view.state, view.state.about
    checkpoint = f"epoch {run.checkpoint[1]}, step {run.checkpoint[0]:,}" if run.checkpoint else "none yet"
    last = run.epochs[-1] if run.epochs else None
    return [
        ("model", f"{run.model}, seed {run.seed}"),
        ("class", "" if info_of(run.model) else f"{about.get('class', '–')}, a model of your own"),
        ("attention", _NO_ATTENTION if not info_of(run.model) and run.epochs and not run.probes else ""),
        ("parameters", f"{about['parameters']:,}" if "parameters" in about else ""),
        ("device", f"{run.device or '–'}, {about.get('precision', '–')}, {about.get('threads', '–')} threads"),
        ("where", run.place),
        ("waits", run.waits if run.waits and view.shown == "queued" else ""),
        ("epoch", f"{run.epoch} of {about.get('epochs', '–')}, step {run.step:,}"),
        ("train", _pair(last.train_loss, last.train_accuracy) if last else ""),
        ("test", _pair(last.test_loss, last.test_accuracy) if last else ""),
        ("trained", duration(run.train_seconds) if run.steps else ""),
        ("images/s", formatting.rate_text(run.images_per_second)),
        ("peak memory", size(last.peak_memory) if last and last.peak_memory else ""),
        ("checkpoint", checkpoint),
        ("resumed from", f"step {run.resumed_from:,}" if run.resumed_from is not None else ""),
        ("weights", cut(f"sha256 {run.weights_sha256}", width) if run.weights_sha256 else ""),
    ]


def _pair(loss: float, accuracy: float) -> str:
    return f"loss {formatting.loss_text(loss)}, accuracy {formatting.percent_text(accuracy)}"


def _wrapped(name: str, text: str, width: int, ink: str = "normal") -> list[Row]:
    parts = wrap(safe_text(text, one_line=True), max(width - _LABEL - 1, 8))
    return _labelled(name, parts, ink)


def _labelled(name: str, parts: list[str], ink: str = "normal") -> list[Row]:
    return [
        Row(((fit(f" {name}" if index == 0 else "", _LABEL), "muted"), (part, ink))) for index, part in enumerate(parts)
    ]


def _chunks(text: str, width: int) -> list[str]:
    """`text` in pieces of at most `width` cells; nothing is lost."""
    from rich.cells import chop_cells

    return chop_cells(text, width) or [""]
