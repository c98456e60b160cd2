"""The run table: one row per run, and with several seeds one per model, which unfolds to its runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from textual import events
from textual.message import Message

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import run_id
from tui_attn.system.text import duration, safe_text
from tui_attn.ui import formatting
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Piece, Pieces, Row, fit, row_width
from tui_attn.ui.formatting import loss_text, newest, percent_text, rate_text
from tui_attn.ui.keys import RUN_TABLE_KEYS
from tui_attn.ui.protocols import ExplainsKeys
from tui_attn.ui.widgets.scroller import Scroller

if TYPE_CHECKING:
    from tui_attn.ui.feed import RunView, Snapshot


class Column(NamedTuple):
    """One column of the table."""

    title: str
    width: int
    cell: Callable[[Entry, ExperimentConfig], Piece]
    from_width: int = 0
    """Omitted when the table is narrower than this, in cells."""
    left: bool = False


class Entry(NamedTuple):
    """One row: a run, or all runs of a model."""

    id: str
    """The run's id. In a row that stands for a model, the model's name, which is no run's id."""
    model: str
    views: tuple[RunView, ...]
    is_model: bool = False
    waiting: bool = False
    """Whether it runs, and another run of its worker has the turn."""

    @property
    def view(self) -> RunView:
        """The run; of several the one that needs a look, trains, or ended last."""
        return min(self.views, key=lambda v: (_URGENCY.get(v.shown, len(_URGENCY)), -(v.state.ended_at or 0.0)))

    def mean(self, value: Callable[[RunView], float | None]) -> float | None:
        """The mean of `value` over the runs that have one."""
        found = [each for view in self.views if (each := value(view)) is not None]
        return math.fsum(found) / len(found) if found else None


_URGENCY = {state: place for place, state in enumerate(("failed", "lost", "stalled", "running", "paused", "starting"))}


def _state(entry: Entry, _: ExperimentConfig) -> Piece:
    if entry.is_model:
        shown = [view.shown for view in entry.views]
        done = shown.count("finished")
        state = entry.view.shown if done == len(shown) or entry.view.shown != "finished" else "queued"
        if entry.waiting and state == "running":
            return f"▷ {done}/{len(shown)}", "muted"
        return f"{formatting.state_glyph(state)} {done}/{len(shown)}", formatting.state_style(state)
    if entry.waiting:
        return "▷ waiting", "muted"
    return formatting.state_text(entry.view.shown), formatting.state_style(entry.view.shown)


def _test(entry: Entry, _: ExperimentConfig) -> Piece:
    """The accuracy on the test set; of a model the mean and standard deviation over its finished runs."""
    if not entry.is_model:
        return percent_text(formatting.test_accuracy(entry.view.state)), "bold"
    done = [view for view in entry.views if view.shown == "finished"] or entry.views
    found = [value for view in done if (value := formatting.test_accuracy(view.state)) is not None]
    if not found or not all(map(math.isfinite, found)):
        return formatting.DASH, "bold"
    mean = math.fsum(found) / len(found)
    spread = math.hypot(*(value - mean for value in found)) / math.sqrt(len(found) - 1) if len(found) > 1 else None
    return f"{100 * mean:.2f}" + ("" if spread is None else f" ±{100 * spread:.2f}"), "bold"


def _trained(entry: Entry, _: ExperimentConfig) -> Piece:
    seconds = sum(view.state.train_seconds for view in entry.views if view.state.steps)
    return duration(seconds) if seconds else "", "muted"


COLUMNS = (
    Column("state", 10, _state, left=True),
    Column("epoch", 5, lambda entry, config: (f"{entry.view.state.epoch}/{config.epochs}", "normal")),
    Column("progress", 0, lambda entry, _: ("", formatting.state_style(entry.view.shown)), left=True),
    Column("train loss", 10, lambda entry, _: (loss_text(entry.mean(lambda v: newest(v.state.losses))), "normal")),
    Column("train acc", 9, lambda e, _: (percent_text(e.mean(lambda v: newest(v.state.accuracies))), "muted"), 99),
    Column("test acc", 8, _test),
    Column("img/s", 6, lambda entry, _: (rate_text(entry.mean(lambda v: v.state.images_per_second)), "muted")),
    Column("ETA", 7, lambda entry, _: (formatting.eta_text(entry.views), "muted")),
    Column("trained", 8, _trained, 129),
    Column("lr", 7, lambda _, config: (f"{config.lr:g}", "muted"), 129),
)
"""The columns after the run, from left to right. The progress bar gets the remaining width."""
_TEST_SPREAD = 12
"""Cells of a mean test accuracy with its standard deviation."""


class Layout(NamedTuple):
    """The columns that fit a table, with their widths in cells."""

    run: int
    columns: list[tuple[Column, int]]
    gap: int


def layout(width: int, longest: int, epochs: int, *, folds: bool = False) -> Layout:
    """The columns for a table of `width` cells whose longest name has `longest` cells.

    `folds`: whether there are rows for all seeds of a model.
    """
    narrow = width < 99
    gap, shortest, most = (1, 4, 24) if narrow else (2, 8, 40)
    columns = [column for column in COLUMNS if width >= column.from_width]
    run = min(max(longest, 8), 28)
    widths = {column.title: column.width for column in columns}
    widths["epoch"] = max(widths["epoch"], 2 * len(str(epochs)) + 1)
    if folds:
        widths["test acc"] = _TEST_SPREAD
    spare = width - 4 - run - sum(widths.values()) - gap * len(columns)
    widths["progress"] = min(max(spare, shortest), most)
    sized = [(column, widths[column.title]) for column in columns]
    return Layout(max(run + min(spare - shortest, 0), 6), sized, gap)


class RunTable(ExplainsKeys, Scroller):
    """Every run of the experiment; the selected one is what the keys steer."""

    BINDINGS = bindings(RUN_TABLE_KEYS)
    wheel_lines = 1
    find_title = "Find a run"
    find_hint = "Enter goes to the next run with this in its name or state"

    class Selected(Message):
        """Another run or model was selected, or other runs are hidden."""

    def __init__(self, config: ExperimentConfig, *, id: str) -> None:
        super().__init__(id=id)
        self._config = config
        self._expected = [run_id(model, seed) for seed in config.seed_list for model in config.models]
        """What the run list will hold, as far as the configuration tells."""
        self._snapshot: Snapshot | None = None
        self._entries: list[Entry] = []
        self._unfolded: set[str] = set()
        self.hidden: frozenset[str] = frozenset()
        """The runs whose curves aren't shown."""
        self._selected: str | None = None
        self._top = 0

    @property
    def entry(self) -> Entry | None:
        """The row that the user is at."""
        return next((entry for entry in self._entries if entry.id == self._selected), None)

    @property
    def selected(self) -> RunView | None:
        """The run that the user is at; None at a row for several."""
        entry = self.entry
        return None if entry is None or entry.is_model else entry.view

    @property
    def folds(self) -> bool:
        """Whether there are several seeds, which fold to a row for each model."""
        runs = self._snapshot.runs.values() if self._snapshot else ()
        return len({view.state.seed for view in runs}) > 1

    @property
    def wanted_height(self) -> int:
        """Lines that show everything."""
        expected = len(self._config.models) if self._config.seeds > 1 else len(self._expected)
        return 1 + max(len(self._entries), expected if self._snapshot is None else 0, 1)

    def show(self, snapshot: Snapshot) -> None:
        """Show `snapshot`."""
        self._config = snapshot.config or self._config
        self._snapshot = snapshot
        self._renew()

    def _models(self) -> dict[str, list[RunView]]:
        """The runs by what they fold to: their model, or themselves."""
        found: dict[str, list[RunView]] = {}
        for view in self._snapshot.runs.values() if self._snapshot else ():
            found.setdefault(view.state.model if self.folds else view.state.id, []).append(view)
        return found

    def _renew(self) -> None:
        """Make the rows again, and select the first where the selected one is gone."""
        views = list(self._snapshot.runs.values()) if self._snapshot else []
        waiting = formatting.waiting_for_turn(views)
        self._entries = []
        for name, members in self._models().items():
            model = members[0].state.model
            if self.folds:
                held = {view.state.id for view in members if view.shown == "running"}
                turn = Entry(name, model, tuple(members), is_model=True, waiting=bool(held) and held <= waiting)
                self._entries.append(turn)
            if not self.folds or name in self._unfolded:
                for view in members:
                    self._entries.append(Entry(view.state.id, model, (view,), waiting=view.state.id in waiting))
        if self.entry is None and self._entries:
            self._selected = self._entries[0].id
            self.post_message(self.Selected())
        self.redraw()

    def scroll_lines(self, by: int) -> None:
        """Select the row `by` lines further down."""
        if not self._entries:
            return
        ids = [entry.id for entry in self._entries]
        at = ids.index(self._selected) if self._selected in ids else 0
        self.select(ids[min(max(at + by, 0), len(ids) - 1)])

    def select(self, id_: str) -> None:
        """Select the row of a run or a model."""
        if id_ != self._selected:
            self._selected = id_
            self.redraw()
            self.post_message(self.Selected())

    def unfold(self, open_: bool | None = None) -> bool:
        """Show or hide the runs of the selected model, or the other of both; return whether a model is selected."""
        entry = self.entry
        if entry is None or not self.folds or (open_ is None and not entry.is_model):
            return False
        if entry.model not in self._unfolded if open_ is None else open_:
            self._unfolded.add(entry.model)
        else:
            self._unfolded.discard(entry.model)
            self._selected = entry.model
        self._renew()
        self.post_message(self.Selected())
        return True

    def action_fold(self, open_: bool) -> None:
        """Show or hide the runs of the selected model."""
        self.unfold(open_)

    def action_hide(self) -> None:
        """Hide the curves of the selected run or model, or show them again."""
        if self.entry is not None:
            ids = frozenset(view.state.id for view in self.entry.views)
            self.hidden = self.hidden - ids if ids <= self.hidden else self.hidden | ids
            self.redraw()
            self.post_message(self.Selected())

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str | None:
        """Return why `action` can't be done now; None where it can be."""
        if action in {"hide", "fold"} and self.entry is None:
            return "no run is listed yet"
        return "there is one run of each model: nothing to fold" if action == "fold" and not self.folds else None

    @property
    def line_count(self) -> int:
        """How many rows there are."""
        return len(self._entries)

    def find(self, words: str) -> None:
        """Select the next run with `words` in its name or state, and unfold its model."""
        views = [view for members in self._models().values() for view in members]
        selected = self.entry.views[0].state.id if self.entry else None
        at = next((index for index, view in enumerate(views) if view.state.id == selected), 0)
        at -= self.entry is not None and self.entry.is_model  # its first run is below it
        found = self.next_with(words, [f"{view.state.id} {view.shown}" for view in views], at)
        if found is not None:
            run = views[found].state
            if self.folds:
                self._unfolded.add(run.model)
            self._renew()
            self.select(run.id)

    def on_click(self, event: events.Click) -> None:
        """Select what was clicked at; twice on a model shows its runs."""
        index = self._top + event.y - 1
        if event.y > 0 and index < len(self._entries):
            self.select(self._entries[index].id)
            if event.chain == 2:
                self.unfold()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The header and as many rows as fit, the selected one among them."""
        room = max(height - 1, 1)
        ids = [entry.id for entry in self._entries] if self._snapshot else self._expected
        at = ids.index(self._selected) if self._selected in ids else 0
        self._top = min(max(self._top, at - room + 1), at, max(len(ids) - room, 0))
        last = min(self._top + room, len(self._entries))
        what = "model" if self.folds else "run"
        title = what if len(self._entries) <= room else f"{what} {self._top + 1}–{last} of {len(self._entries)}"
        longest = max((len(text) for text in (*ids, title)), default=8) + 2 * self.folds
        form = layout(width - 1, longest, self._config.epochs, folds=self.folds)
        rows = [self._header(form, title)]
        rows += [self._row(entry, form, width) for entry in self._entries[self._top : last]]
        if self._snapshot is None:
            rows += [Row(((f"    {id_}", "faint"),)) for id_ in ids[:room]]
        elif not self._entries:
            complete = self._snapshot.complete
            said = "no run has been queued yet" if complete else formatting.reading(self._snapshot)
            rows.append(Row(((f"    {said}", "muted"),)))
        return rows

    def _header(self, form: Layout, title: str) -> Row:
        names = {"test acc": "test acc ±sd"} if self.folds else {}
        cells = [
            fit("" if len(column.title) > size else names.get(column.title, column.title), size, right=not column.left)
            for column, size in form.columns
        ]
        text = "    " + (" " * form.gap).join([fit(title, form.run), *cells])
        return Row(((text, "focused" if self.has_focus else "muted"),))

    def _row(self, entry: Entry, form: Layout, width: int) -> Row:
        gap = " " * form.gap
        selected = entry.id == self._selected
        hidden = self.hidden.issuperset(view.state.id for view in entry.views)
        ascii_only = self.drawing.mode.ascii
        model = f"model:{entry.model}"
        label = safe_text(entry.id, one_line=True)
        if entry.is_model:
            label = f"{'▾' if entry.model in self._unfolded else '▸'} {label}"
        elif self.folds:
            label = f"  {label}"
        sign = ("." if ascii_only else "◌") if hidden else self.drawing.marker(entry.model)
        pieces: Pieces = [
            (" ▸" if selected else "  ", "key"),
            (f"{sign} ", "faint" if hidden else model),
            (fit(label, form.run), "faint" if hidden else "bold" if selected else "normal"),
        ]
        remark = _remark(entry)
        for column, size in form.columns:
            text, style = column.cell(entry, self._config)
            if column.width:
                pieces.append((gap + fit(text, size, right=not column.left), style))
            elif remark is not None:
                room = max(width - row_width(pieces), 0)
                return Row((*pieces, (fit(gap + remark, room), style)), selected)
            else:
                progress = math.fsum(view.state.progress for view in entry.views) / len(entry.views)
                full, empty = formatting.bar(progress, size, ascii_only=ascii_only)
                active = entry.view.shown == "running" and not entry.waiting
                pieces += [(gap + full, model if active else "muted"), (empty, "rule")]
        return Row(tuple(pieces), selected)


def _remark(entry: Entry) -> str | None:
    """A text to show instead of numbers, if any."""
    if not entry.is_model:
        return formatting.remark(entry.view)
    failed = [view for view in entry.views if view.shown in {"failed", "lost"}]
    return f"{formatting.counts_text({view.state.id: view for view in entry.views})} · enter: which" if failed else None
