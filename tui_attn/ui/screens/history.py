"""The history: all experiments there are, to find, open, compare and tidy up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.study import StudyDir
from tui_attn.history import organize
from tui_attn.history.entries import Entry
from tui_attn.history.scan_process import HistoryUpdate
from tui_attn.ui import history_words as words
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Drawn, Lines, Row
from tui_attn.ui.history_reader import HistoryReader
from tui_attn.ui.history_view import HistoryView, columns
from tui_attn.ui.jobs import background, in_thread, shown_while
from tui_attn.ui.keys import HISTORY_KEYS
from tui_attn.ui.protocols import ExplainsKeys, app_of
from tui_attn.ui.widgets.history_table import HistoryTable
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.line_input import LineInput

if TYPE_CHECKING:
    from tui_attn.ui.app import DashboardApp

_OF_ONE = frozenset({"open", "mark", "rename", "note", "pin", "delete"})
"""Actions on the selected experiment."""
_PLACEHOLDER = "words in id, name, note, data set, models, state"


class HistoryScreen(ExplainsKeys, Screen[None], inherit_bindings=False):
    """Every experiment in `runs_dir`; `view` keeps filter, order and marks."""

    BINDINGS = bindings(HISTORY_KEYS)

    def __init__(self, runs_dir: Path, view: HistoryView) -> None:
        super().__init__()
        self._runs_dir = runs_dir
        self.view = view
        self._reader = HistoryReader(runs_dir, partial(self.call_later, self.take), known=view.entries)
        self._listed = asyncio.Event()
        self._offered: object = None

    def folder(self, entry: Entry) -> ExperimentDir:
        """Where the experiment of `entry` is."""
        return ExperimentDir((self._runs_dir / entry.id).absolute())

    # ---- the parts of the screen

    def compose(self) -> ComposeResult:
        """Title, filter, table, what is selected, keys."""
        yield Drawn(lambda width, _: [words.title(self.view, self._runs_dir, width)], id="title")
        with Horizontal(id="filter"):
            yield Drawn(lambda _, __: [Row(((" /", "key"),))])
            yield LineInput(self.view.filter, id="words", placeholder=_PLACEHOLDER)
        yield HistoryTable(self.view, self._runs_dir, self.renew)
        yield Drawn(lambda width, height: words.details(self.view.current, width, height), id="about")
        yield KeyBar()

    def on_mount(self) -> None:
        """Start reading."""
        self.query_one(Horizontal).display = bool(self.view.filter)
        self.query_one(HistoryTable).focus()
        self._read()
        self._say_reading()

    @background("reading")
    async def _say_reading(self) -> None:
        await shown_while(self, "reading experiments", self._listed.wait())

    @background("history")
    async def _read(self) -> None:
        await in_thread(self._reader.run)

    def on_unmount(self) -> None:
        """Stop reading."""
        self._reader.stop()

    def on_screen_suspend(self) -> None:
        """Pause reading while the list is hidden."""
        self._reader.set_active(False)

    def on_screen_resume(self) -> None:
        """Resume reading."""
        self._reader.set_active(True)

    def on_resize(self, event: events.Resize) -> None:
        """Give the details the room there is."""
        self.query_one("#about").styles.height = 6 if event.size.height >= 24 else 3

    def take(self, update: HistoryUpdate) -> None:
        """Show what was read."""
        self.view.take(update.entries, update.gone)
        self.view.complete = self.view.complete or update.complete
        if self.view.complete:
            self._listed.set()
        self.view.error, self.view.total = update.error, update.total
        self.renew()
        self.call_after_refresh(self._reader.taken)

    def renew(self) -> None:
        """Show the list as it is now."""
        for part in self.query("#title, #experiments, #about").results(Lines):
            part.redraw()
        view = self.view
        offered = (view.current is None, len(view.marked), bool(view.filter), bool(view.thrown_away))
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str | None:
        """Return why `action` can't be done now; None where it can be."""
        view = self.view
        if isinstance(self.focused, LineInput):
            return None if action in {"accept", "discard"} else ""
        listed, nothing = bool(view.rows), "no experiment is listed"
        below = len(self.app.screen_stack) > 1
        possible, reason = {
            "back": (view.filter or below, "nothing lies under this list: enter opens an experiment, q leaves"),
            "compare": (listed or view.marked, nothing),
            "undo": (view.thrown_away, "nothing was deleted since the start: W shows the whole trash"),
            "unmark": (view.marked, "no experiment is marked: space marks one"),
        }.get(action, (listed or action not in _OF_ONE, nothing))
        return None if possible else reason

    # ---- finding

    def action_select(self, by: int) -> None:
        """Go up or down."""
        self.view.move(by)
        self.renew()

    def action_filter(self) -> None:
        """Let the user type words."""
        self.query_one(Horizontal).display = True
        self.query_one(LineInput).focus()

    def on_input_changed(self, message: LineInput.Changed) -> None:
        """Filter as it is typed."""
        self.view.set_filter(message.value)
        self.renew()

    def action_accept(self) -> None:
        """Back to the list, filtered."""
        self.query_one(Horizontal).display = bool(self.view.filter)
        self.query_one(HistoryTable).focus()

    def action_discard(self) -> None:
        """Back to the whole list."""
        line = self.query_one(LineInput)
        line.value = ""
        self.view.set_filter("")
        self.action_accept()
        self.renew()

    def action_sort(self, by: int) -> None:
        """Sort by the next column that is shown, or the one before."""
        shown = [column.name for column, _ in columns(self.size.width)]
        at = shown.index(self.view.sort) if self.view.sort in shown else -by
        self.view.sort_by(shown[(at + by) % len(shown)])
        self.renew()

    def action_turn(self) -> None:
        """Reverse the order."""
        self.view.sort_by(self.view.sort)
        self.renew()

    def action_back(self) -> None:
        """Clear the filter, or leave the list."""
        if self.view.filter:
            self.action_discard()
        else:
            self.dismiss()

    # ---- opening and comparing

    def action_open(self) -> None:
        """Open the experiment, or the list of a study's experiments."""
        if self.view.current is not None and self.view.current.study:
            self.app.push_screen(HistoryScreen(self.folder(self.view.current).path, HistoryView()))
        elif self.view.current is not None:
            try:
                app_of(self).open_experiment(self.folder(self.view.current))
            except RunsError as error:
                app_of(self).say(str(error), "failed")

    on_history_table_opened = action_open

    def action_new_experiment(self) -> None:
        """Describe a new experiment, starting from this one."""
        from tui_attn.ui.screens.new_experiment import NewExperimentScreen

        folder = None if self.view.current is None else self.folder(self.view.current)
        self.app.push_screen(NewExperimentScreen(app_of(self), folder))

    def action_mark(self) -> None:
        """Mark or unmark the experiment and select the next."""
        self.view.mark()
        self.view.move(1)
        self.renew()

    def action_unmark(self) -> None:
        """Clear the marks."""
        self.view.marked.clear()
        self.renew()

    def action_compare(self) -> None:
        """Compare the marked experiments, or the models of the selected one."""
        from tui_attn.ui.comparison.source import ExperimentSource, GivenSource, Source
        from tui_attn.ui.screens.comparison import ComparisonScreen

        chosen = self.view.chosen or ([] if self.view.current is None else [self.view.current])
        if studies := [entry for entry in chosen if entry.study]:
            from tui_attn.ui.screens.study_page import StudyScreen

            self.app.push_screen(StudyScreen(StudyDir(self.folder(studies[0]).path)))
            return
        folders = [self.folder(entry) for entry in chosen]

        def pooled() -> Any:
            from tui_attn.compare.pooled import compare_together

            return compare_together(folders)

        source: Source = ExperimentSource(folders[0]) if len(folders) == 1 else GivenSource(pooled)
        self.app.push_screen(ComparisonScreen(source))

    def action_differences(self) -> None:
        """Show what differs between the configurations of the two marked experiments."""
        from tui_attn.ui.screens.differences import DifferencesScreen

        if len(self.view.chosen) != 2:
            app_of(self).say("mark two experiments with space to see how their configurations differ", "warning")
            return
        first, second = (self.folder(entry) for entry in self.view.chosen)
        self.app.push_screen(DifferencesScreen(first, second))

    # ---- tidying up

    def action_pin(self) -> None:
        """Pin or unpin it."""
        if entry := self.view.current:
            self._do(lambda: organize.pin(self.folder(entry), not entry.pinned), "")

    def action_rename(self) -> None:
        """Ask for a name."""
        if entry := self.view.current:
            hint = "shown in place of its id; an empty one takes it away"
            self._ask(
                f"Name of {entry.id}",
                entry.name,
                hint,
                organize.check_name,
                partial(organize.rename, self.folder(entry)),
            )

    def action_note(self) -> None:
        """Ask for a note."""
        if entry := self.view.current:
            hint = "kept in the experiment's folder; the filter finds its words"
            self._ask(
                f"Note on {entry.name or entry.id}",
                entry.note,
                hint,
                organize.check_note,
                partial(organize.note, self.folder(entry)),
            )

    def _ask(
        self, title: str, value: str, hint: str, check: Callable[[str], None], change: Callable[[str], object]
    ) -> None:
        from tui_attn.ui.screens.prompt import PromptScreen

        def answered(text: str | None) -> None:
            if text is not None and text != value:
                self._do(lambda: change(text), "")

        self.app.push_screen(PromptScreen(title, value, hint, check), answered)

    def action_delete(self) -> None:
        """Ask, then move it to the trash."""
        from tui_attn.ui.screens.confirm import confirm

        if entry := self.view.current:
            app, said = app_of(self), f"{entry.name or entry.id} is in the trash: u takes it back"
            question = words.delete_question(entry, self.folder(entry))
            confirm(self, question, lambda: self._do(lambda: self._throw_away(entry, app), said))

    def _throw_away(self, entry: Entry, app: DashboardApp) -> None:
        folder = self.folder(entry)
        self.view.thrown_away.append(organize.trash(folder))
        if app.folder is not None and app.folder.path == folder.path:
            app.call_later(app.close_experiment)

    def action_undo(self) -> None:
        """Restore what was deleted last."""
        item = self.view.thrown_away.pop()
        self._do(lambda: organize.restore(item), f"{item.id} is back")

    def action_trash(self) -> None:
        """Show the trash."""
        from tui_attn.ui.screens.trash import TrashScreen

        self.app.push_screen(TrashScreen(self._runs_dir))

    def _do(self, work: Callable[[], object], done: str) -> None:
        """Call `work` in a thread, then show `done` or the error."""
        app = app_of(self)

        async def tidy() -> None:  # a worker of the app: this screen may be closed before the work is done
            try:
                await shown_while(self, "writing", in_thread(work))
            except RunsError as error:
                app.say(str(error), "failed")
            except Exception as error:  # whatever it is, the user must know
                app.report(error)
            else:
                if done:
                    app.say(done)
                app.look_again()  # the dashboard below may have another name now
            self._reader.nudge()

        app.run_worker(tidy(), group="tidy")
