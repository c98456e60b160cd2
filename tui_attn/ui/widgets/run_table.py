"""The run list: one line a run, drawn by itself so that a number that changes costs a few bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual import events

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import run_id
from tui_attn.system.text import duration, safe_text
from tui_attn.ui import formatting
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines, Piece, Row, fit
from tui_attn.ui.keys import PANEL_KEYS
from tui_attn.ui.messages import RunSelected
from tui_attn.ui.styles import drawing_mode

if TYPE_CHECKING:
    from tui_attn.ui.feed import RunView, Snapshot


class Columns(NamedTuple):
    """Widths in cells; 0 hides a column."""

    run: int
    state: int = 10
    epoch: int = 7
    bar: int = 10
    loss: int = 7
    train: int = 0
    test: int = 7
    rate: int = 6
    left: int = 8
    trained: int = 0
    gap: int = 1

    @property
    def total(self) -> int:
        """Cells of all columns, the pointer and the marker included."""
        widths = (
            self.state,
            self.epoch,
            self.bar,
            self.loss,
            self.train,
            self.test,
            self.rate,
            self.left,
            self.trained,
        )
        return 4 + self.run + sum(width + self.gap for width in widths if width)


def columns(width: int, longest: int, epochs: int) -> Columns:
    """The columns that fit `width` cells, for runs whose longest id has `longest` cells."""
    epoch = max(5, 2 * len(str(epochs)) + 1)
    run = min(max(longest, 8), 28)
    if width < 100:
        found = Columns(run, epoch=epoch, bar=6, left=7)
        spare = width - found.total
        return Columns(max(run + min(spare, 0), 6), epoch=epoch, bar=min(max(6 + spare, 4), 24), left=7)
    wide = width >= 130
    found = Columns(run, epoch=epoch, bar=8, train=7, trained=8 if wide else 0, gap=2)
    return Columns(
        run, epoch=epoch, bar=min(8 + max(width - found.total, 0), 40), train=7, trained=found.trained, gap=2
    )


class RunTable(Lines, can_focus=True):
    """Every run of the experiment; the selected one is what the keys steer."""

    BINDINGS = bindings(PANEL_KEYS)

    def __init__(self, config: ExperimentConfig, *, id: str) -> None:
        super().__init__(id=id)
        self._epochs = config.epochs
        self._expected = [run_id(model, seed) for seed in config.seed_list for model in config.models]
        """What the run list will hold, as far as the configuration tells."""
        self._read = False
        self._views: list[RunView] = []
        self._selected: str | None = None
        self._top = 0
        self._cache: dict[tuple[str, int], tuple[int, Row]] = {}

    @property
    def selected(self) -> RunView | None:
        """The run that the user is at."""
        for view in self._views:
            if view.state.id == self._selected:
                return view
        return None

    @property
    def wanted_height(self) -> int:
        """Lines that show everything."""
        return 1 + max(len(self._views), 0 if self._read else len(self._expected), 1)

    def show(self, snapshot: Snapshot) -> None:
        """Show this picture."""
        self._views, self._read = list(snapshot.runs.values()), True
        if self._selected not in snapshot.runs and self._views:
            self._selected = self._views[0].state.id
            self.post_message(RunSelected(self._selected))
        self.redraw()

    def move(self, by: int) -> None:
        """Select the run `by` lines further down."""
        if not self._views:
            return
        ids = [view.state.id for view in self._views]
        at = ids.index(self._selected) if self._selected in ids else 0
        self.select(ids[min(max(at + by, 0), len(ids) - 1)])

    def select(self, run: str) -> None:
        """Select `run`."""
        if run != self._selected:
            self._selected = run
            self.redraw()
            self.post_message(RunSelected(run))

    def action_scroll(self, by: int) -> None:
        """Go some runs down, or up."""
        self.move(by)

    def action_page(self, direction: int) -> None:
        """Go a page up or down."""
        self.move(direction * max(self.size.height - 2, 1))

    def action_first(self) -> None:
        """Select the first run."""
        self.move(-len(self._views))

    def action_last(self) -> None:
        """Select the last run."""
        self.move(len(self._views))

    def on_click(self, event: events.Click) -> None:
        """Select what was clicked at."""
        index = self._top + event.y - 1
        if event.y > 0 and index < len(self._views):
            self.select(self._views[index].state.id)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.move(-1)

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The header and as many runs as fit, the selected one among them."""
        room = max(height - 1, 1)
        ids = [view.state.id for view in self._views] if self._read else self._expected
        at = ids.index(self._selected) if self._selected in ids else 0
        self._top = min(max(self._top, at - room + 1), at, max(len(ids) - room, 0))
        last = min(self._top + room, len(self._views))
        title = "run" if len(self._views) <= room else f"run {self._top + 1}–{last} of {len(self._views)}"
        longest = max((len(text) for text in (*ids, title)), default=8)
        form = columns(width - 1, longest, self._epochs)
        shown = self._views[self._top : last]
        rows = [self._header(form, title)]
        rows += [self._row(view, form, width) for view in shown]
        if not self._read:
            rows += [Row(((f"    {id_}", "faint"),)) for id_ in ids[:room]]
        elif not self._views:
            rows.append(Row((("    no run has been queued yet", "muted"),)))
        return rows

    def _header(self, form: Columns, title: str) -> Row:
        titles = {"bar": "progress", "rate": "img/s", "left": "ETA"}
        gap = " " * form.gap
        text = "    " + fit(title, form.run)
        for name in ("state", "epoch", "bar", "loss", "train", "test", "rate", "left", "trained"):
            size = getattr(form, name)
            if size:
                text += gap + fit(titles.get(name, name), size, right=name not in {"state", "bar"})
        return Row(((text, "focused" if self.has_focus else "muted"),))

    def _row(self, view: RunView, form: Columns, width: int) -> Row:
        selected = view.state.id == self._selected
        key = (view.state.id, (width << 1) | selected)
        known = self._cache.get(key)
        if known is not None and known[0] == view.revision:
            return known[1]
        made = Row(tuple(self._pieces(view, form, width, selected)), selected)
        self._cache[key] = (view.revision, made)
        return made

    def _pieces(self, view: RunView, form: Columns, width: int, selected: bool) -> list[Piece]:
        from tui_attn.ui.charts.palette import ink  # not needed for the first frame

        run, gap = view.state, " " * form.gap
        marker = ink(run.model)
        ascii_only = drawing_mode(self.app).ascii
        state_ink = formatting.STATE_INKS.get(view.shown, "normal")
        name = safe_text(run.id, one_line=True)
        pieces: list[Piece] = [
            (" ▸" if selected else "  ", "key"),
            (f"{marker.ascii_marker if ascii_only else marker.marker} ", f"model:{run.model}"),
            (fit(name, form.run), "bold" if selected else "normal"),
            (gap + fit(formatting.state_text(view.shown), form.state), state_ink),
            (gap + fit(formatting.epoch_text(run, self._epochs), form.epoch, right=True), "normal"),
        ]
        remark = formatting.remark(view)
        if remark is not None:
            used = 4 + form.run + form.state + form.epoch + 3 * form.gap
            return [*pieces, (fit(gap + remark, max(width - used, 0)), state_ink)]
        full, empty = formatting.bar(run.progress, form.bar, ascii_only=ascii_only)
        bar_ink = f"model:{run.model}" if view.shown in {"running", "finished"} else state_ink
        pieces += [(gap + full, bar_ink), (empty, "rule")]
        numbers = (
            (formatting.loss_text(formatting.last_loss(run)), form.loss, "normal"),
            (formatting.percent_text(formatting.last_accuracy(run)), form.train, "muted"),
            (formatting.percent_text(formatting.test_accuracy(run)), form.test, "bold"),
            (formatting.rate_text(run.images_per_second), form.rate, "muted"),
            (formatting.eta_text(view), form.left, "muted"),
            (duration(run.train_seconds) if run.steps else "", form.trained, "muted"),
        )
        pieces += [(gap + fit(text, size, right=True), ink_) for text, size, ink_ in numbers if size]
        return pieces
