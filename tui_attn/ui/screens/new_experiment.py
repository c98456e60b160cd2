"""A new experiment: described in a form that is checked while it is filled in, then started and opened."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Label, OptionList, Static

from tui_attn.data import DataError
from tui_attn.experiment.config import OPTIONS, ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.model_info import MODELS
from tui_attn.experiment.options import ConfigError, Number, Option, split_list
from tui_attn.experiment.study import StudyPlan
from tui_attn.launch.control import LaunchError
from tui_attn.launch.estimate import estimate_memory, guess
from tui_attn.launch.preflight import limited
from tui_attn.launch.starting import Attempt, CancelledError, start
from tui_attn.study import runner
from tui_attn.study.cells import guess as guess_study
from tui_attn.system.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.form_state import CUSTOM, ENTRIES, IMAGES, VARIED, FormState, find_defaults
from tui_attn.ui.history_view import HistoryView
from tui_attn.ui.jobs import background, in_thread, shown_while
from tui_attn.ui.keys import FORM_KEYS
from tui_attn.ui.lookup import Lookup, Request, Result, StartProgress
from tui_attn.ui.protocols import app_of
from tui_attn.ui.screens.history import HistoryScreen
from tui_attn.ui.widgets.form import Control, EntryChanged, FieldRow, OneOf, SomeOf, StartButton, TextEntry
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.launch_summary import LaunchSummary
from tui_attn.ui.widgets.setup_details import SetupDetails

if TYPE_CHECKING:
    from tui_attn.ui.app import DashboardApp

_LOOKED_UP = frozenset({"dataset", IMAGES, "data_dir", "device", CUSTOM})
_TYPING_SECONDS = 0.15
"""A request is looked up once nothing was typed for this time."""


class NewExperimentScreen(Screen[None], inherit_bindings=False):
    """The form, with what was entered before, or with what `find_defaults` finds."""

    CSS_PATH = "new_experiment.tcss"
    BINDINGS = bindings(FORM_KEYS)
    AUTO_FOCUS = "SelectionList"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (150, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (40, "-tall")]  # noqa: RUF012

    def __init__(self, app: DashboardApp, folder: ExperimentDir | None) -> None:
        """`folder`: the experiment to start from; None: the newest."""
        super().__init__()
        self._runs_dir = app.runs_dir
        self._origin = find_defaults(app.runs_dir, folder, app.options.usual)
        self.state = app.drafts.setdefault(self._origin.id, FormState.of(self._origin.config))
        self._request: Request | None = None
        """What the entries need looked up; None while one of them is wrong."""
        self._result = Result()
        self._lookup = Lookup(app.runs_dir, app.host)
        self._looking = False
        self._edited = False
        """Whether an entry was edited since the last lookup, perhaps back to what it was: files may have changed."""
        self._attempt: Attempt | None = None
        self._wrong = ""
        self._summary = LaunchSummary(id="summary")
        self._status = Static(markup=False, id="status")
        self._details = SetupDetails(id="details")
        self.rows: dict[str, FieldRow] = {}
        """The rows of the entries."""

    # ---- what is on it

    def compose(self) -> ComposeResult:
        """The fields, and under them what they amount to."""
        title = f"new experiment, starting from {self._origin.id}" if self._origin.id else "new experiment"
        with Horizontal(id="sheet") as sheet:
            sheet.border_title = f" {title} "
            with VerticalScroll(id="fields", can_focus=False):
                yield from self._fields()
            yield self._details
        self._summary.border_title = " start "
        yield self._summary
        with Horizontal(id="start-line"):
            yield StartButton(Content("[ start ]"), id="start", compact=True)
            yield self._status
        yield KeyBar()

    def _fields(self) -> Iterable[FieldRow | Label]:
        heading = ""
        for option in OPTIONS:
            if option.heading != heading:
                heading = option.heading
                yield Label(heading.partition(": ")[2], classes="heading")
            yield self._row(option.field, option.label, self._control(option))
            if option.name == "models":
                yield self._row(CUSTOM, "custom models", self._typed(CUSTOM, "(none)"))
            elif option.name == "controls":
                yield self._row(VARIED, "vary", self._typed(VARIED, "(nothing: one experiment)"))
            elif option.name == "dataset":
                yield self._row(IMAGES, "image folder", self._typed(IMAGES, "(one subfolder a class)"))

    def _control(self, option: Option) -> Control:
        entry, text, kind = option.field, self.state.texts[option.field], option.kind
        choices = {"dataset": (*kind.choices, IMAGES), "device": self._result.choices}.get(entry, kind.choices)
        if kind.many and choices:
            return SomeOf(choices, split_list(text))
        if choices:
            return OneOf(choices, text)
        placeholder = f"({option.unset})" if option.default is None else ""
        return self._typed(entry, placeholder, width=15 if isinstance(kind, Number) else 34)

    def _typed(self, entry: str, placeholder: str, width: int = 34) -> TextEntry:
        return TextEntry(self.state.texts[entry], width=width, placeholder=placeholder)

    def _row(self, entry: str, label: str, control: Control) -> FieldRow:
        row = self.rows[entry] = FieldRow(entry, label, control)
        return row

    # ---- events

    def on_unmount(self) -> None:
        """Cancel the start."""
        if self._attempt is not None:
            self._attempt.cancel()

    def on_entry_changed(self, message: EntryChanged) -> None:
        """Check it at once."""
        message.stop()
        if message.text == self.state.texts[message.entry]:
            return
        self.state.texts[message.entry] = message.text
        self._edited = self._edited or message.entry in _LOOKED_UP
        self._wrong = ""
        self._renew()

    @background("lookup")
    async def _look_up(self) -> None:
        """Look up the newest request, in one thread at a time, until it is answered."""
        if self._looking:
            return
        self._looking = True
        try:
            while (request := self._request) and self._wanted:
                if self._result.request is not None:
                    await asyncio.sleep(_TYPING_SECONDS)
                if request == self._request:
                    await self._answer(request)
        finally:
            self._looking = False
        if self._result.past is None:
            past = await shown_while(self, "looking at past runs", in_thread(self._lookup.past))
            self._result = replace(self._result, past=past)
            self._renew()

    @property
    def _wanted(self) -> bool:
        return self._edited or self._request != self._result.request

    async def _answer(self, request: Request) -> None:
        before, self._edited = self._result, False
        try:
            found = await shown_while(self, "looking up", in_thread(self._lookup.answer, before, request))
        except Exception as error:  # shown beside the fields
            found = Lookup.failed(before, request, error)
        self._result = replace(found, past=self._result.past)
        device = self.rows["device"].control
        if isinstance(device, OneOf):
            device.offer(found.choices)
        self._renew()

    def _renew(self) -> None:
        """Update the note beside every field."""
        reasons = self.state.reasons()
        self.rows[IMAGES].display = self.state.texts["dataset"] == IMAGES
        self._request = self._to_look_up(reasons)
        if self._request and self._wanted:
            self._look_up()
        wrong = []
        for entry in ENTRIES:
            text, level = self._note(entry, reasons)
            self.rows[entry].say(text, level)
            if level == "wrong":
                wrong.append(entry)
        config = None if reasons else self.state.config()
        if config is not None and config.custom_models and self._result.own is not None:
            config = self._result.own.signed(config)  # past runs of the same code are alike
        estimates = [("time", self._time(config)), *self._memory(config)]
        estimates += self.state.jobs(config, app_of(self).options.engines)
        command = None if config is None else self.state.command(config, self._origin, self._runs_dir)
        self._summary.summarise(estimates, command, self._wrong)
        self._details.describe(config, self._result if self._known else None)
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        text = f'fix "{self.rows[wrong[0]].label}"{more} first' if wrong else self.state.amount()
        if self._attempt is None:
            self._say(text, "wrong" if wrong else "ok")

    # Check the entries, wrap the command line for the new width, describe the model at the cursor.
    on_mount = on_resize = on_selection_list_selection_highlighted = _renew

    @property
    def _known(self) -> bool:
        """Whether data and devices of these entries are looked up."""
        return self._result.same_place(self._request)

    def _to_look_up(self, reasons: dict[str, str]) -> Request | None:
        if not reasons.keys().isdisjoint({"dataset", IMAGES, "data_dir", "device"}):
            return None
        texts = self.state.texts
        own = "" if CUSTOM in reasons else texts[CUSTOM]
        return Request(self.state.text("dataset"), texts["data_dir"] or None, texts["device"], own)

    def _note(self, entry: str, reasons: dict[str, str]) -> tuple[str, str]:
        """Text and level of the note beside a field."""
        if entry in reasons:
            return f"✗ {reasons[entry]}", "wrong"
        found = self._result
        asked = IMAGES if self.state.texts["dataset"] == IMAGES else "dataset"
        statuses = {asked: found.data.status if found.data else None, "device": found.device}
        known = self._known
        if self.state.texts[CUSTOM].strip() and self._request is not None:
            statuses[CUSTOM] = found.own.status if found.own else None
            known = known and (entry != CUSTOM or self._request == found.request)
        if entry in statuses:
            status = statuses[entry]
            if not known or status is None:
                return "looking …", "ok"
            return ("✗ " if status.level == "wrong" else "") + status.text, status.level
        if entry == "models" and isinstance(models := self.rows["models"].control, SomeOf):
            info = MODELS[models.current]
            return f"{info.name}: {info.description}", "ok"
        return self.state.hint(entry), "ok"

    def _time(self, config: ExperimentConfig | None) -> str:
        found = self._result
        if config is None:
            return "known once all entries are valid"
        if found.past is None or found.data is None or not self._known:
            return "looking at past runs …"
        plan, sizes, facts = self.state.plan(), limited(config, found.data.sizes), (found.devices, found.past)
        guessed = guess_study(plan, *facts) if plan else guess(config, *facts, sizes)
        return "no estimate: the data set can't be read" if guessed is None else guessed.words()

    def _memory(self, config: ExperimentConfig | None) -> list[tuple[str, str]]:
        found = self._result
        sizes = limited(config, found.data.sizes) if config is not None and found.data is not None else None
        if config is None or sizes is None or not self._known:
            return []
        words = estimate_memory(config, found.devices, sizes).words()
        return [("memory", words if self.size.width >= 130 else words.partition(":")[0])]

    def _say(self, text: str, level: str = "ok") -> None:
        """Show `text` beside the button."""
        self._status.set_classes([f"-{level}"])
        self._status.update(safe_text(text, one_line=True))

    # ---- what the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done now."""
        if action in {"start", "back", "from_defaults"}:
            return self._attempt is None
        if action == "field" and isinstance(self.focused, OptionList):  # up and down move in a list, to its ends
            return isinstance(self.focused, SomeOf) and self.focused.at_end(int(str(parameters[0])))
        return self._attempt is not None if action == "cancel" else True

    def action_field(self, by: int) -> None:
        """Go to the next field, or to the one before."""
        self.focus_next() if by > 0 else self.focus_previous()

    def _take_entries(self) -> None:
        """Read the fields: the message about the last letter may not have arrived yet."""
        self.state.texts |= {entry: row.control.text for entry, row in self.rows.items()}

    def action_start(self) -> None:
        """Start what is described."""
        self._take_entries()
        reasons = self.state.reasons()
        if reasons:
            self.rows[next(iter(reasons))].control.focus()
        if reasons or self._attempt is not None:
            return
        self._wrong = ""
        config, options = self.state.config(), app_of(self).options
        there = str(config.engine.with_defaults(options.engines))
        self._attempt = Attempt(options.notify)
        self._say("starting …")
        self._run(self._attempt, replace(config, on=there), self.state.plan())
        self._renew()
        self.refresh_bindings()

    on_button_pressed = action_start

    @background("start")
    async def _run(self, attempt: Attempt, config: ExperimentConfig, plan: StudyPlan | None) -> None:
        """Run the start, then open the experiment, or the list of a study's; or show why there is none."""
        app = app_of(self)

        def show(line: str) -> None:
            if attempt is self._attempt:
                app.call_later(self._say, line)

        caller = attempt.caller(StartProgress(show))
        try:
            if plan is not None:
                work = in_thread(runner.begin, plan, self._runs_dir, caller)
                study, process = await shown_while(self, "starting", work)
                app.adopt(process)
                app.drafts.pop(self._origin.id, None)
                self.app.switch_screen(HistoryScreen(study.path, HistoryView()))
                return
            trying = in_thread(start, config, runs_dir=self._runs_dir, caller=caller)
            started = await shown_while(self, "starting", trying, wanted=lambda: attempt is self._attempt)
            app.adopt(started.supervisor)
            if attempt is self._attempt:
                self._attempt = None
                app.drafts.pop(self._origin.id, None)
                app.open_experiment(started.folder)
        except CancelledError:
            pass
        except (ConfigError, DataError, RunsError, LaunchError) as error:
            self._wrong = str(error)
        except OSError as error:
            self._wrong = f"it could not be started: {error.strerror or error}"
        finally:
            if attempt is self._attempt:
                self._attempt = None
        if self._wrong:
            self._renew()
            self._say("not started:", "wrong")
            self.refresh_bindings()

    def action_cancel(self) -> None:
        """Cancel the start."""
        if self._attempt is not None and self._attempt.cancel():
            self._attempt = None
            self._renew()
            self._say("cancelled: nothing was started; downloaded data is kept")
            self.refresh_bindings()

    def action_back(self) -> None:
        """Leave the form; the entries are kept."""
        self._take_entries()
        self.dismiss()

    async def action_from_defaults(self) -> None:
        """Set every entry to its default."""
        usual = FormState.of(self._origin.usual)
        self.state.texts, self.state.order = usual.texts, usual.order
        self._wrong = ""
        fields = self.query_one("#fields")
        await fields.remove_children()
        await fields.mount(*self._fields())
        self.rows["models"].control.focus()
        self._renew()

    def action_copy_command(self) -> None:
        """Copy the command line, by way of the terminal."""
        self._take_entries()
        app = app_of(self)
        try:
            line = shlex.join(["tui-attn", *self.state.command(self.state.config(), self._origin, self._runs_dir)])
            line.encode()
        except ConfigError:
            app.say("no command line yet: fix the entries marked ✗ first", "failed")
        except UnicodeEncodeError:
            app.say("a path in it is not valid UTF-8: it can't be copied", "failed")
        else:
            app.copy_to_clipboard(line)
            app.say("copied, if the terminal allows it")
