"""The run table: one row per run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual import events

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import run_id
from tui_attn.system.text import duration, safe_text
from tui_attn.ui import formatting
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines, Piece, Pieces, Row, fit, row_width
from tui_attn.ui.formatting import loss_text, newest, percent_text, rate_text
from tui_attn.ui.keys import PANEL_KEYS
from tui_attn.ui.messages import RunSelected
from tui_attn.ui.styles import drawing_mode

if TYPE_CHECKING:
    from tui_attn.ui.feed import RunView, Snapshot


class Column(NamedTuple):
    """One column of the table."""

    title: str
    width: int
    cell: Callable[[RunView, ExperimentConfig], Piece]
    from_width: int = 0
    """Omitted when the table is narrower than this, in cells."""
    left: bool = False


COLUMNS = (
    Column("state", 10, lambda view, _: (formatting.state_text(view.shown), formatting.state_style(view)), left=True),
    Column("epoch", 5, lambda view, config: (f"{view.state.epoch}/{config.epochs}", "normal")),
    Column("progress", 0, lambda view, _: ("", formatting.state_style(view)), left=True),
    Column("loss", 7, lambda view, _: (loss_text(newest(view.state.losses)), "normal")),
    Column("train", 7, lambda view, _: (percent_text(newest(view.state.accuracies)), "muted"), 99),
    Column("test", 7, lambda view, _: (percent_text(formatting.test_accuracy(view.state)), "bold")),
    Column("img/s", 6, lambda view, _: (rate_text(view.state.images_per_second), "muted")),
    Column("ETA", 7, lambda view, _: (formatting.eta_text(view), "muted")),
    Column(
        "trained", 8, lambda view, _: (duration(view.state.train_seconds) if view.state.steps else "", "muted"), 129
    ),
    Column("lr", 7, lambda _, config: (f"{config.lr:g}", "muted"), 129),
)
"""The columns after the run, from left to right. That of the progress bar takes the room that is left."""


class Layout(NamedTuple):
    """The columns that fit a table, with their widths in cells."""

    run: int
    columns: list[tuple[Column, int]]
    gap: int


def layout(width: int, longest: int, epochs: int) -> Layout:
    """The columns for a table of `width` cells whose longest run id has `longest` cells."""
    narrow = width < 99
    gap, shortest, most = (1, 4, 24) if narrow else (2, 8, 40)
    columns = [column for column in COLUMNS if width >= column.from_width]
    run = min(max(longest, 8), 28)
    widths = {column: column.width for column in columns}
    epoch = next(column for column in columns if column.title == "epoch")
    widths[epoch] = max(epoch.width, 2 * len(str(epochs)) + 1)
    bar = next(column for column in columns if not column.width)
    spare = width - 4 - run - sum(widths.values()) - gap * len(columns)
    widths[bar] = min(max(spare, shortest), most)
    return Layout(max(run + min(spare - shortest, 0), 6), [(column, widths[column]) for column in columns], gap)


class RunTable(Lines, can_focus=True):
    """Every run of the experiment; the selected one is what the keys steer."""

    BINDINGS = bindings(PANEL_KEYS)

    def __init__(self, config: ExperimentConfig, *, id: str) -> None:
        super().__init__(id=id)
        self._config = config
        self._expected = [run_id(model, seed) for seed in config.seed_list for model in config.models]
        """What the run list will hold, as far as the configuration tells."""
        self._read = False
        self._views: list[RunView] = []
        self._selected: str | None = None
        self._top = 0

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
        self._config = snapshot.config or self._config
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
        form = layout(width - 1, longest, self._config.epochs)
        shown = self._views[self._top : last]
        rows = [self._header(form, title)]
        rows += [self._row(view, form, width) for view in shown]
        if not self._read:
            rows += [Row(((f"    {id_}", "faint"),)) for id_ in ids[:room]]
        elif not self._views:
            rows.append(Row((("    no run has been queued yet", "muted"),)))
        return rows

    def _header(self, form: Layout, title: str) -> Row:
        cells = [fit(column.title, size, right=not column.left) for column, size in form.columns]
        text = "    " + (" " * form.gap).join([fit(title, form.run), *cells])
        return Row(((text, "focused" if self.has_focus else "muted"),))

    def _row(self, view: RunView, form: Layout, width: int) -> Row:
        from tui_attn.ui.charts.palette import ink  # not needed for the first frame

        run, gap = view.state, " " * form.gap
        selected = run.id == self._selected
        marker, ascii_only = ink(run.model), drawing_mode(self.app).ascii
        model = f"model:{run.model}"
        pieces: Pieces = [
            (" ▸" if selected else "  ", "key"),
            (f"{marker.ascii_marker if ascii_only else marker.marker} ", model),
            (fit(safe_text(run.id, one_line=True), form.run), "bold" if selected else "normal"),
        ]
        remark = formatting.remark(view)
        for column, size in form.columns:
            text, style = column.cell(view, self._config)
            if column.width:
                pieces.append((gap + fit(text, size, right=not column.left), style))
            elif remark is not None:
                room = max(width - row_width(pieces), 0)
                return Row((*pieces, (fit(gap + remark, room), style)), selected)
            else:
                full, empty = formatting.bar(run.progress, size, ascii_only=ascii_only)
                pieces += [(gap + full, model if view.shown in {"running", "finished"} else style), (empty, "rule")]
        return Row(tuple(pieces), selected)
