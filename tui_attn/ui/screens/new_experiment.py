"""A new experiment: described in a form that is checked while it is filled in, then started and opened."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.dom import DOMNode
from textual.screen import Screen

from tui_attn.experiment.config import OPTIONS, ExperimentConfig, arguments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.options import ConfigError, Number, Option, split_list
from tui_attn.launch.estimate import guess
from tui_attn.ui.app_protocol import Host, host_of
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines, Row, rule
from tui_attn.ui.form_state import CUSTOM, ENTRIES, IMAGES, FormDefaults, FormState, find_defaults, limited
from tui_attn.ui.keys import FORM_KEYS
from tui_attn.ui.lookup import (
    Findings,
    LookedUp,
    Question,
    Scout,
    Start,
    StartAdvanced,
    StartEnded,
)
from tui_attn.ui.widgets.form import EntryChanged, FieldRow, Heading, OneOf, SomeOf, TextEntry
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.launch_summary import Plan, StartButton
from tui_attn.ui.widgets.setup_details import Prospect

_HEADINGS = {"models": "what is trained", "batch-size": "how it is trained", "device": "where"}
"""Option -> the heading above it."""
_INKS = {"ok": "muted", "warning": "warning", "wrong": "failed"}


class NewExperimentScreen(Screen[None], inherit_bindings=False):
    """The form. `draft` is kept by whoever opened it, so that the entries are there when it is opened again."""

    BINDINGS = bindings(FORM_KEYS)
    AUTO_FOCUS = "SomeOf"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (150, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (40, "-tall")]  # noqa: RUF012

    def __init__(self, runs_dir: Path, draft: FormState, origin: FormDefaults, *, host: str | None = None) -> None:
        super().__init__()
        self.draft = draft
        self._runs_dir = runs_dir
        self._origin = origin
        self._findings = Findings()
        self._scout = Scout(runs_dir, self.post_message, host=host)
        self._start: Start | None = None
        self._wrong = ""
        self._plan = Plan(id="plan")
        self._button = StartButton(id="start")
        self._prospect = Prospect(id="prospect")
        self._rows: dict[str, FieldRow] = {}

    # ---- what is on it

    def compose(self) -> ComposeResult:
        """The fields, and under them what they amount to."""
        title = f"new experiment, starting from {self._origin.id}" if self._origin.id else "new experiment"
        yield _Title(title)
        with Horizontal(id="sheet"):
            with VerticalScroll(id="fields", can_focus=False):
                yield from self._fields()
            yield self._prospect
        yield self._plan
        yield self._button
        yield KeyBar()

    def _fields(self) -> Iterable[FieldRow | Heading]:
        for option in OPTIONS:
            if option.name in _HEADINGS:
                yield Heading(_HEADINGS[option.name])
            yield self._row(option.label, self._control(option))
            if option.name == "models":
                yield self._row("own models", self._typed(CUSTOM, "(none)"))
            elif option.name == "dataset":
                yield self._row("image folder", self._typed(IMAGES, "(one subfolder a class)"))

    def _control(self, option: Option) -> TextEntry | OneOf | SomeOf:
        entry, text, kind = option.field, self.draft.texts[option.field], option.kind
        if kind.many:
            return SomeOf(entry, kind.choices, split_list(text))
        choices = {"dataset": (*kind.choices, IMAGES), "device": self._findings.choices}.get(entry, kind.choices)
        if choices:
            return OneOf(entry, choices, text)
        placeholder = f"({option.unset})" if option.default is None else ""
        return self._typed(entry, placeholder, width=15 if isinstance(kind, Number) else 34)

    def _typed(self, entry: str, placeholder: str, width: int = 34) -> TextEntry:
        return TextEntry(entry, self.draft.texts[entry], width=width, placeholder=placeholder)

    def _row(self, label: str, control: TextEntry | OneOf | SomeOf) -> FieldRow:
        row = self._rows[control.entry] = FieldRow(label, control)
        return row

    def help_parts(self) -> list[tuple[str, DOMNode]]:
        """What has keys here, for the help."""
        return [
            ("new experiment", self),
            ("choice of several", self._rows["models"].control),
            ("choice of one", self._rows["dataset"].control),
        ]

    def row(self, entry: str) -> FieldRow:
        """The row of an entry."""
        return self._rows[entry]

    # ---- the course of things

    def on_mount(self) -> None:
        """Look around."""
        self._scout.start()
        self._renew()

    def on_unmount(self) -> None:
        """Let the thread end."""
        self._scout.stop()

    def on_resize(self) -> None:
        """Leave the fields some room."""
        self._plan.most_lines = 4 if self.size.height < 30 else 12

    def on_entry_changed(self, message: EntryChanged) -> None:
        """Check it at once."""
        message.stop()
        self.draft.texts[message.entry] = message.text
        self._wrong = ""
        self._renew()

    def on_looked_up(self, message: LookedUp) -> None:
        """Show what was found out."""
        self._findings = message.findings
        device = self._rows["device"].control
        if isinstance(device, OneOf):
            device.offer(message.findings.choices)
        self._renew()

    def _renew(self) -> None:
        """Say beside every field what is to be said now."""
        reasons = self.draft.reasons()
        self._rows[IMAGES].display = self.draft.texts["dataset"] == IMAGES
        question = self._question(reasons)
        if question is not None and question != self._findings.question:
            self._scout.ask(question)
        for entry in ENTRIES:
            text, ink = self._remark(entry, reasons, question)
            self._rows[entry].note.say(text, ink)
        config = None if reasons else self.draft.config()
        if config is not None and config.custom_models and self._findings.own is not None:
            config = self._findings.own.signed(config)  # past runs of the same code are alike
        self._plan.show(self._time(config, question), self._arguments(config), self._wrong)
        self._prospect.show(config, self._findings if self._findings.answer_place(question) else None)
        self._say_state(reasons)

    def _question(self, reasons: dict[str, str]) -> Question | None:
        """What is to be looked up for these entries; None while one of them is wrong."""
        if not reasons.keys().isdisjoint({"dataset", IMAGES, "data_dir", "device"}):
            return None
        texts = self.draft.texts
        own = "" if CUSTOM in reasons else texts[CUSTOM]
        return Question(self.draft.text("dataset"), texts["data_dir"] or None, texts["device"], own)

    def _remark(self, entry: str, reasons: dict[str, str], question: Question | None) -> tuple[str, str]:
        """Text and ink of what stands beside a field."""
        if entry in reasons:
            return f"✗ {reasons[entry]}", "failed"
        found = self._findings
        asked = IMAGES if self.draft.texts["dataset"] == IMAGES else "dataset"
        remarks = {asked: found.data.remark if found.data else None, "device": found.device}
        known = found.answer_place(question)
        if self.draft.texts[CUSTOM].strip() and question is not None:
            remarks[CUSTOM] = found.own.remark if found.own else None
            known = known and (entry != CUSTOM or question == found.question)
        if entry in remarks:
            remark = remarks[entry]
            if not known or remark is None:
                return "looking …", "muted"
            return ("✗ " if remark.level == "wrong" else "") + remark.text, _INKS[remark.level]
        return self.draft.hint(entry), "muted"

    def _time(self, config: ExperimentConfig | None, question: Question | None) -> str:
        found = self._findings
        if config is None:
            return "known once every entry is right"
        if found.past is None or found.data is None or not found.answer_place(question):
            return "looking at past runs …"
        guessed = guess(config, found.devices, found.past, limited(config, found.data.sizes))
        return "can't be guessed: the data set can't be read" if guessed is None else guessed.words()

    def _arguments(self, config: ExperimentConfig | None) -> list[str] | None:
        return None if config is None else self._command(config)

    def _command(self, config: ExperimentConfig) -> list[str]:
        return arguments(
            config, usual=self._origin.usual, runs_dir=self._runs_dir, usual_runs_dir=self._origin.usual_runs_dir
        )

    def _say_state(self, reasons: dict[str, str]) -> None:
        if self._start is not None:
            return
        if reasons:
            first = self._rows[next(iter(reasons))].label.text
            more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            self._button.say(f"{first}{more} must be put right first", "failed")
        else:
            self._button.say(self.draft.amount())

    # ---- what the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what can be done now."""
        if action in {"start", "back", "from_defaults"}:
            return self._start is None
        return self._start is not None if action == "cancel" else True

    def _take_entries(self) -> None:
        """Take what stands in the fields: the news of the last letter may still be on its way."""
        self.draft.texts |= {entry: row.control.text for entry, row in self._rows.items()}

    def action_start(self) -> None:
        """Start what is described."""
        self._take_entries()
        reasons = self.draft.reasons()
        if reasons or self._start is not None:
            if reasons:
                self._rows[next(iter(reasons))].control.focus()
            return
        self._wrong = ""
        self._start = Start(self.draft.config(), self._runs_dir, self.post_message)
        self._button.say("starting …")
        self._renew()
        self.refresh_bindings()

    def on_start_advanced(self, message: StartAdvanced) -> None:
        """Show how far it is."""
        if message.start is self._start:
            self._button.say(message.line)

    def on_start_ended(self, message: StartEnded) -> None:
        """Open the experiment, or say why there is none."""
        if message.start is not self._start:
            return
        self._start = None
        self._wrong = message.reason or ""
        app = host_of(self)
        if message.folder is not None:
            try:
                app.drafts.pop(self._origin.id, None)
                app.open_experiment(ExperimentDir(message.folder))
                return
            except RunsError as error:
                self._wrong = str(error)
        self._renew()
        if self._wrong:
            self._button.say("it was not started:", "failed")
        self.refresh_bindings()

    def action_cancel(self) -> None:
        """Break the start off."""
        if self._start is not None and self._start.cancel():
            self._start = None
            self._renew()
            self._button.say("cancelled: nothing was started; what came of the data is kept for the next time")
            self.refresh_bindings()

    def action_back(self) -> None:
        """Leave the form; the entries are kept."""
        self._take_entries()
        self.dismiss()

    async def action_from_defaults(self) -> None:
        """Set every entry to its default."""
        usual = FormState.of(self._origin.usual)
        self.draft.texts, self.draft.order = usual.texts, usual.order
        self._wrong = ""
        fields = self.query_one("#fields")
        await fields.remove_children()
        await fields.mount(*self._fields())
        self._rows["models"].control.focus()
        self._renew()

    def action_copy_command(self) -> None:
        """Copy the command line, by way of the terminal."""
        self._take_entries()
        app = host_of(self)
        try:
            line = shlex.join(["tui-attn", *self._command(self.draft.config())])
            line.encode()
        except ConfigError:
            app.say("there is no command line before every entry is right", "failed")
        except UnicodeEncodeError:
            app.say("a path in it is no valid text: it can't be copied", "failed")
        else:
            app.copy_to_clipboard(line)
            app.say("copied, if the terminal allows it")


class _Title(Lines):
    """The title."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def lines(self, width: int, height: int) -> list[Row]:
        """A rule with the title."""
        return [rule(self._text, width, focused=True)]


def open_form(app: Host, folder: ExperimentDir | None) -> None:
    """Open the form: with what was entered before, or with what `find_defaults` finds."""
    origin = find_defaults(app.runs_dir, folder, app.options.usual)
    draft = app.drafts.setdefault(origin.id, FormState.of(origin.config))
    app.push_screen(NewExperimentScreen(app.runs_dir, draft, origin, host=app.around.host))
