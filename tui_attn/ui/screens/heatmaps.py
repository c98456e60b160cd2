"""Gates by class and attention between channels, epoch by epoch."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen

from tui_attn.runs import ExperimentDir
from tui_attn.state import RunState
from tui_attn.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.feed import Snapshot
from tui_attn.ui.keys import HEATMAPS_KEYS, SCREEN_KEYS
from tui_attn.ui.probes import Matrix, matrices
from tui_attn.ui.widgets.heatmap import Heatmap
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.lines import Lines, Row, rule

NONE_YET = (
    "No run has been probed yet.",
    "",
    "After each epoch, a run of 'se' records the mean gate of every channel for each class,",
    "and a run of 'self-attention' the attention of each head between the channels.",
    "They show here as soon as the first epoch of such a run is done.",
)


class Words(Lines):
    """What to say when there is nothing to show, and above the heatmap whose it is."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._texts: tuple[str, ...] = ()
        self._title = ""
        self._right = ""

    def say(self, title: str, right: str = "", texts: tuple[str, ...] = ()) -> None:
        """Show a title, something on its right, and lines below."""
        self._title, self._right, self._texts = title, right, texts
        self.redraw()

    def lines(self, width: int, height: int) -> list[Row]:
        """The title and the lines."""
        below = [Row(((f" {text}", "muted"),)) for text in self._texts]
        return [rule(self._title, width, right=self._right, focused=True), Row(()), *below]


class HeatmapsScreen(Screen[None], inherit_bindings=False):
    """Goes through runs, epochs and matrices; files are read in a thread."""

    BINDINGS = bindings((*SCREEN_KEYS, *HEATMAPS_KEYS))

    @dataclass
    class Loaded(Message, bubble=False):
        """A probe was read: what it holds, or why it can't be read."""

        run: str
        epoch: int
        matrices: list[Matrix]
        error: str | None

    def __init__(self, folder: ExperimentDir, snapshot: Snapshot | None, run: str | None) -> None:
        super().__init__()
        self._folder = folder
        self._runs: list[RunState] = []
        self._run = run
        self._epoch: int | None = None
        """None: the newest."""
        self._name: str | None = None
        self._loading: tuple[str, int] | None = None
        self._found: HeatmapsScreen.Loaded | None = None
        self._snapshot = snapshot

    def compose(self) -> ComposeResult:
        """Title, heatmap, keys."""
        yield Words("words")
        yield Heatmap(id="heatmap")
        yield KeyBar()

    def on_mount(self) -> None:
        """Show what the picture has."""
        self.query_one(Heatmap).display = False
        self.query_one(Heatmap).focus()
        if self._snapshot is not None:
            self.show(self._snapshot)
        else:
            self._words()

    def show(self, snapshot: Snapshot) -> None:
        """Take in what this picture has, and follow the newest epoch unless another was chosen."""
        self._runs = [view.state for view in snapshot.runs.values() if view.state.probes]
        self._load()

    @property
    def busy(self) -> bool:
        """Whether a file is being read."""
        return self._loading is not None and (
            self._found is None or (self._found.run, self._found.epoch) != self._loading
        )

    def action_back(self) -> None:
        """Leave this screen."""
        self.dismiss()

    def action_next_run(self) -> None:
        """Show the next run with probes."""
        run = self._current()
        if run is not None:
            ids = [found.id for found in self._runs]
            self._run, self._epoch = ids[(ids.index(run.id) + 1) % len(ids)], None
            self._load()

    def action_matrix(self, by: int) -> None:
        """Show another matrix of this probe."""
        if self._found and self._found.matrices:
            names = [matrix.name for matrix in self._found.matrices]
            at = names.index(self._name) if self._name in names else 0
            self._name = names[(at + by) % len(names)]
            self._draw()

    def action_epoch(self, by: int) -> None:
        """Show a later or an earlier epoch."""
        run = self._current()
        if run is not None:
            epochs = [epoch for epoch, _ in run.probes]
            at = epochs.index(self._epoch) if self._epoch in epochs else len(epochs) - 1
            at = min(max(at + by, 0), len(epochs) - 1)
            self._epoch = None if at == len(epochs) - 1 else epochs[at]
            self._load()

    def _current(self) -> RunState | None:
        by_id = {run.id: run for run in self._runs}
        return by_id.get(self._run or "") or (self._runs[0] if self._runs else None)

    def _load(self) -> None:
        run = self._current()
        if run is None:
            self._words()
            return
        by_epoch = dict(run.probes)
        epoch = self._epoch if self._epoch in by_epoch else run.probes[-1][0]
        if self._loading == (run.id, epoch):
            return
        self._loading = (run.id, epoch)
        file = by_epoch[epoch]

        def work() -> None:
            try:
                found, error = matrices(self._folder, run, file), None
            except (OSError, ValueError) as problem:
                found, error = [], str(problem)
            self.post_message(self.Loaded(run.id, epoch, found, error))

        threading.Thread(target=work, name="probe", daemon=True).start()

    def on_heatmaps_screen_loaded(self, message: Loaded) -> None:
        """Show what was read, unless the user is elsewhere by now."""
        if self._loading == (message.run, message.epoch):
            self._found = message
            self._draw()

    def _draw(self) -> None:
        found = self._found
        if found is None or not found.matrices:
            self._words()
            return
        names = [matrix.name for matrix in found.matrices]
        at = names.index(self._name) if self._name in names else 0
        matrix = found.matrices[at]
        heatmap = self.query_one(Heatmap)
        heatmap.row_title, heatmap.column_title = matrix.row_title, matrix.column_title
        heatmap.set_matrix(
            matrix.values,
            [safe_text(name, one_line=True) for name in matrix.rows],
            lower=0.0 if matrix.unit else None,
            upper=1.0 if matrix.unit else None,
            title=matrix.name,
        )
        heatmap.display = True
        self.query_one(Words).styles.height = 1
        run = safe_text(found.run, one_line=True)
        self.query_one(Words).say(f"{run} · epoch {found.epoch}", f"{at + 1} of {len(names)}")

    def _words(self) -> None:
        self.query_one(Heatmap).display = False
        words = self.query_one(Words)
        words.styles.height = "1fr"
        found = self._found
        if found is not None and found.error is not None:
            reason = safe_text(found.error, one_line=True)
            words.say("heatmaps", "", (f"The probe of epoch {found.epoch} can't be read: {reason}",))
        else:
            words.say("heatmaps", "", NONE_YET)
