"""Gates by class and attention between channels, epoch by epoch, beside those of the untrained network."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.dom import DOMNode
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from tui_attn.runs import ExperimentDir
from tui_attn.state import RunState
from tui_attn.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.feed import Snapshot
from tui_attn.ui.keys import HEATMAPS_KEYS, SCREEN_KEYS
from tui_attn.ui.probes import Matrix, Probed, read_probe
from tui_attn.ui.widgets.epoch_slider import EpochSlider
from tui_attn.ui.widgets.heatmap import Heatmap
from tui_attn.ui.widgets.heatmap_facts import Facts
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.lines import Lines, Row, rule

NONE_YET = (
    "No run has been probed yet.",
    "",
    "After each epoch, a run of 'se' records the mean gate of every channel for each class,",
    "and a run of 'self-attention' the attention of each head between the channels.",
    "They show here as soon as the first epoch of such a run is done.",
)
NO_ATTENTION = (
    "No model of this experiment has gates or attention to show.",
    "",
    "'se' and 'self-attention' have: 'tui-attn --models base,se' trains them side by side.",
)
WITH_ATTENTION = frozenset({"se", "self-attention"})
SIDE_BY_SIDE = 150
"""Cells from which on the untrained network's heatmap stands beside the trained one's."""
PLAY_SECONDS = 0.8
"""Between two epochs that are shown by themselves."""


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


class Maps(Widget):
    """Holds the heatmaps side by side."""


class HeatmapsScreen(Screen[None], inherit_bindings=False):
    """Goes through runs, epochs and matrices; files are read in a thread."""

    BINDINGS = bindings((*SCREEN_KEYS, *HEATMAPS_KEYS))

    @dataclass
    class Loaded(Message, bubble=False):
        """A probe was read: what it holds, or why it can't be read."""

        run: str
        epoch: int
        probed: Probed | None
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
        self._untrained: bool | None = None
        """Whether the untrained network's is shown; None: where there is room beside the trained one's."""
        self._facts = True
        self._scales: dict[str, tuple[float, float]] = {}
        """Of matrices that are not shown from 0 to 1 (or the largest weight), the ends of their scales."""
        self._playing: Timer | None = None
        self._barren = False
        """Whether no model of the experiment has anything to probe."""

    def compose(self) -> ComposeResult:
        """Title, slider, heatmaps, facts, keys."""
        yield Words("words")
        yield EpochSlider(id="slider")
        with Maps(id="maps"):
            yield Heatmap(id="heatmap")
            yield Heatmap(id="untrained")
        yield Facts()
        yield KeyBar()

    def on_mount(self) -> None:
        """Show what the picture has."""
        self.query_one("#untrained").can_focus = False
        main, beside = self._maps()
        self.watch(main, "sort_by", lambda order: setattr(beside, "sort_by", order))
        self.watch(main, "difference", lambda shown: setattr(beside, "difference", shown))
        main.focus()
        if self._snapshot is not None:
            self.show(self._snapshot)
        else:
            self._words()

    def _maps(self) -> tuple[Heatmap, Heatmap]:
        return self.query_one("#heatmap", Heatmap), self.query_one("#untrained", Heatmap)

    def on_resize(self) -> None:
        """Share the room out again."""
        if self._found is not None:
            self._draw()

    def on_heatmap_cursor_moved(self, message: Heatmap.CursorMoved) -> None:
        """Let the cursor stand at the same place in both."""
        for heatmap in self._maps():
            if heatmap is not message.heatmap:
                heatmap.cursor = (message.row, message.column)

    def show(self, snapshot: Snapshot) -> None:
        """Take in what this picture has, and follow the newest epoch unless another was chosen."""
        self._runs = [view.state for view in snapshot.runs.values() if view.state.probes]
        self._barren = snapshot.ended and not any(view.state.model in WITH_ATTENTION for view in snapshot.runs.values())
        self._load()

    @property
    def busy(self) -> bool:
        """Whether a file is being read."""
        return self._loading is not None and (
            self._found is None or (self._found.run, self._found.epoch) != self._loading
        )

    # ---- keys

    def help_parts(self) -> list[tuple[str, DOMNode]]:
        """What the help describes."""
        return [("heatmaps", self), ("heatmap", self._maps()[0])]

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
        if self._found and self._found.probed and self._found.probed.matrices:
            names = [matrix.name for matrix in self._found.probed.matrices]
            at = names.index(self._name) if self._name in names else 0
            self._name = names[(at + by) % len(names)]
            self._draw()

    def action_epoch(self, by: int) -> None:
        """Show a later or an earlier epoch."""
        run = self._current()
        if run is not None:
            self._stop_playing()
            epochs = [epoch for epoch, _ in run.probes]
            at = epochs.index(self._epoch) if self._epoch in epochs else len(epochs) - 1
            self._go_to(run, epochs[min(max(at + by, 0), len(epochs) - 1)])

    def on_epoch_slider_chosen(self, message: EpochSlider.Chosen) -> None:
        """Show the epoch that was clicked at."""
        run = self._current()
        if run is not None:
            self._stop_playing()
            self._go_to(run, message.epoch)

    def _go_to(self, run: RunState, epoch: int) -> None:
        self._epoch = None if epoch == run.probes[-1][0] else epoch
        self._load()

    def action_play(self) -> None:
        """Go through the epochs by itself, or stop doing so. Not over SSH, where every frame is a download."""
        run = self._current()
        if self._playing is not None:
            self._stop_playing()
        elif run is not None and over_ssh():
            self.query_one(KeyBar).say("over SSH nothing plays by itself: e and E step through the epochs", "muted")
        elif run is not None:
            self._go_to(run, run.probes[0][0])
            self._playing = self.set_interval(PLAY_SECONDS, self._play_on)

    def _play_on(self) -> None:
        """The next epoch, once the one before is shown."""
        run = self._current()
        if run is None or self._epoch is None:
            self._stop_playing()
        elif not self.busy:
            later = [epoch for epoch, _ in run.probes if epoch > self._epoch]
            self._go_to(run, later[0] if later else run.probes[-1][0])

    def _stop_playing(self) -> None:
        if self._playing is not None:
            self._playing.stop()
            self._playing = None

    def action_untrained(self) -> None:
        """Show or hide what the untrained network has here."""
        self._untrained = not self._shows_untrained
        self._draw()

    def action_scale(self) -> None:
        """Spread the colours over the values in sight, for this matrix in all epochs, or take the usual scale again."""
        found = self._found
        if found is None or found.probed is None or not found.probed.matrices:
            return
        matrix, before = self._matrix(found.probed)
        if matrix.name in self._scales:
            del self._scales[matrix.name]
        else:
            both = [item.values for item in (matrix, before) if item is not None]
            self._scales[matrix.name] = min(float(v.min()) for v in both), max(float(v.max()) for v in both)
        self._draw()

    def action_facts(self) -> None:
        """Show or hide what the numbers say."""
        self._facts = not self._facts
        self._draw()

    @property
    def _shows_untrained(self) -> bool:
        return self.size.width >= SIDE_BY_SIDE if self._untrained is None else self._untrained

    # ---- reading

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

        def work() -> None:
            try:
                found, error = read_probe(self._folder, run, epoch), None
            except (OSError, ValueError) as problem:
                found, error = None, str(problem)
            self.post_message(self.Loaded(run.id, epoch, found, error))

        threading.Thread(target=work, name="probe", daemon=True).start()

    def on_heatmaps_screen_loaded(self, message: Loaded) -> None:
        """Show what was read, unless the user is elsewhere by now."""
        if self._loading == (message.run, message.epoch):
            self._found = message
            self._draw()

    # ---- drawing

    def _draw(self) -> None:
        found = self._found
        if found is None or found.probed is None or not found.probed.matrices:
            self._words()
            return
        matrix, before = self._matrix(found.probed)
        at = found.probed.matrices.index(matrix)
        self._arrange(found, f"{at + 1} of {len(found.probed.matrices)}", matrix, before)
        self._say_facts(found.probed, matrix, found.epoch)

    def _matrix(self, probed: Probed) -> tuple[Matrix, Matrix | None]:
        """The matrix to show, and the untrained network's, where there is one of this shape."""
        named = (matrix for matrix in probed.matrices if matrix.name == self._name)
        matrix = next(named, probed.matrices[0])
        before = probed.untrained.get(matrix.name)
        return matrix, before if before is not None and before.values.shape == matrix.values.shape else None

    def _arrange(self, found: Loaded, where: str, matrix: Matrix, before: Matrix | None) -> None:
        """The heatmap, that of the untrained network beside it or in its place, the slider and the title."""
        main, beside = self._maps()
        asked = self._shows_untrained and found.epoch != 0
        wide = self.size.width >= SIDE_BY_SIDE
        most = max(float(item.values.max()) for item in (matrix, before) if item is not None)
        ends = self._scales.get(matrix.name, (0.0, 1.0 if matrix.unit else most))
        if asked and before is not None and not wide:
            _put(main, before, ends, f"{matrix.name}, untrained")
        else:
            _put(main, matrix, ends, matrix.name)
        if asked and before is not None and wide:
            _put(beside, before, ends, f"{matrix.name}, untrained", like=main)
        beside.display = asked and before is not None and wide
        self.query_one("#maps").display = True
        slider = self.query_one(EpochSlider)
        slider.display = True
        run = self._current()
        epochs = [epoch for epoch, _ in run.probes] if run is not None else [found.epoch]
        missing = "the untrained network's is missing" if asked and before is None else ""
        slider.show(epochs, found.epoch, missing)
        words = self.query_one(Words)
        words.styles.height = 1
        shown = (
            "untrained" if found.epoch == 0 or (asked and before is not None and not wide) else f"epoch {found.epoch}"
        )
        words.say(f"{safe_text(found.run, one_line=True)} · {shown}", where)

    def _say_facts(self, probed: Probed, matrix: Matrix, epoch: int) -> None:
        facts, panel = probed.facts.get(matrix.layer), self.query_one(Facts)
        panel.display = self._facts and facts is not None and self.size.height >= 20
        if panel.display:
            panel.show(facts, epoch, self.size.width, max(self.size.height // 4, 3))

    def _words(self) -> None:
        for part in ("#maps", "#slider", "#facts"):
            self.query_one(part).display = False
        words = self.query_one(Words)
        words.styles.height = "1fr"
        found = self._found
        if found is not None and found.error is not None:
            reason = safe_text(found.error, one_line=True)
            words.say("heatmaps", "", (f"The probe of epoch {found.epoch} can't be read: {reason}",))
        else:
            words.say("heatmaps", "", NO_ATTENTION if self._barren else NONE_YET)


def _put(
    heatmap: Heatmap, matrix: Matrix, ends: tuple[float, float], title: str, *, like: Heatmap | None = None
) -> None:
    """Show `matrix` on a scale with these ends, which two heatmaps side by side share."""
    heatmap.row_title, heatmap.column_title = matrix.row_title, matrix.column_title
    heatmap.set_matrix(
        matrix.values,
        [safe_text(name, one_line=True) for name in matrix.rows],
        lower=ends[0],
        upper=ends[1],
        title=title,
        reference=matrix.reference,
        ordered_like=like,
    )


def over_ssh() -> bool:
    """Whether the terminal is reached over SSH."""
    return any(os.environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY"))
