"""The app: shows one experiment or the history, and passes messages of background services on to the screens."""

from __future__ import annotations

import gc
import math
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import actions, events
from textual.events import Event
from textual.message import Message
from textual.screen import ModalScreen, Screen

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.system.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.jobs import Jobs, background, in_thread, shown_while
from tui_attn.ui.keys import APP_KEYS, TABLES
from tui_attn.ui.open_experiment import OpenExperiment
from tui_attn.ui.options import UiOptions
from tui_attn.ui.protocols import ExplainsKeys, ShowsJobs, ShowsSnapshots
from tui_attn.ui.remembered import remember_theme
from tui_attn.ui.screens.dashboard import Dashboard
from tui_attn.ui.terminal import exit_on_signals
from tui_attn.ui.textual_private import make_replaceable, remapped_bindings
from tui_attn.ui.theming import ThemedApp
from tui_attn.ui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    import subprocess

    from textual.dom import DOMNode

    from tui_attn.ui.devices import Reading
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.form_state import FormState
    from tui_attn.ui.history_view import HistoryView
    from tui_attn.ui.jobs import Job
    from tui_attn.ui.terminal_notices import TerminalNotices
    from tui_attn.ui.typed_ahead import Typed

_SAY_SECONDS = 6.0


class DashboardApp(ThemedApp, inherit_bindings=False):
    """Shows the dashboard of the experiment in `folder`, or the history of `runs_dir` when that is None.

    `runs_dir` is by default the folder that `folder` is in. Raises `RunsError` when `folder` can't be read.
    """

    TITLE = "tui-attn"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = bindings(APP_KEYS)

    def __init__(
        self,
        folder: ExperimentDir | None,
        options: UiOptions,
        *,
        runs_dir: Path | None = None,
        clock: Callable[[], float] = time.time,
        zone: Callable[[float], time.struct_time] = time.localtime,
        read_devices: Callable[[], Reading] | None = None,
        host: str | None = None,
    ) -> None:
        super().__init__(options)
        self.options = options
        self.clock, self.zone, self.read_devices = clock, zone, read_devices
        self.host = platform.node() if host is None else host
        self.opened = None if folder is None else OpenExperiment(folder, self)
        """The experiment that is open."""
        self.runs_dir = runs_dir or (Path("runs") if folder is None else folder.path.parent)
        """Where experiments are kept."""
        self._history_view: HistoryView | None = None
        self.jobs = Jobs()
        self._keys_from = 0.0
        """Keys typed before this time are dropped, by the clock of Textual's messages."""
        self.drafts: dict[str, FormState] = {}
        """What was entered for new experiments, by the id of the one that it started from."""
        self._notices: TerminalNotices | None = None
        self.set_keymap(dict(options.keymap))

    # ---- the experiment that is open

    @property
    def folder(self) -> ExperimentDir | None:
        """The folder of the experiment that is open."""
        return None if self.opened is None else self.opened.folder

    @property
    def dashboard(self) -> Dashboard:
        """The dashboard of the experiment that is open. Raises `LookupError` when none is."""
        if self.opened is None:
            raise LookupError("no experiment is open")
        return self.opened.dashboard

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot of the open experiment."""
        return None if self.opened is None else self.opened.snapshot

    def open_experiment(self, folder: ExperimentDir) -> None:
        """Show the dashboard of the experiment in `folder` in place of everything that is on the screen.

        Raises `RunsError` when it can't be read; then all stays as it is.
        """
        fresh = OpenExperiment(folder, self)
        if self.opened is not None:
            self.opened.stop()
        self.opened = fresh
        self._show_alone(fresh.dashboard)
        self.call_after_refresh(self._start, fresh)

    def close_experiment(self) -> None:
        """Show the history; the open experiment was deleted."""
        if self.opened is not None:
            self.opened.stop()
            self.opened = None
        self._show_alone(self._history())

    def look_again(self) -> None:
        """Read the experiment that is open at once. From any thread."""
        if self.opened is not None and self.opened.feed is not None:
            self.opened.feed.nudge()

    def _show_alone(self, screen: Screen[Any]) -> None:
        """Let `screen` be the only one."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.switch_screen(screen)

    def _history(self) -> Screen[Any]:
        from tui_attn.ui.history_view import HistoryView
        from tui_attn.ui.screens.history import HistoryScreen  # not needed for the first frame of a dashboard

        if self._history_view is None:
            self._history_view = HistoryView()
        return HistoryScreen(self.runs_dir, self._history_view)

    def _start(self, opened: OpenExperiment) -> None:
        """Start reading its logs, now that its dashboard is seen."""
        if self.opened is opened:
            opened.start()
            self.run_worker(shown_while(opened.dashboard, "reading the logs", opened.read.wait()), group="reading")

    # ---- life cycle and messages

    def get_default_screen(self) -> Screen[Any]:
        """The dashboard, or the history."""
        screen: Screen[Any] = self._history() if self.opened is None else self.opened.dashboard
        make_replaceable(screen)
        return screen

    def on_mount(self) -> None:
        """Install signal handlers that restore the terminal on exit."""
        exit_on_signals(self)

    def on_ready(self) -> None:
        """Start reading, now that there is something to see."""
        from tui_attn.ui.terminal_notices import TerminalNotices  # not needed for the first frame

        gc.enable()
        self._notices = TerminalNotices()
        if self.opened is not None:
            self._start(self.opened)

    def on_unmount(self) -> None:
        """Let the threads end."""
        if self.opened is not None:
            self.opened.stop()
        self.jobs.stop()

    async def on_event(self, event: Event) -> None:
        """Note whether the user is there, and pass the event on."""
        if self._notices is not None:
            self._notices.saw(event)
        await super().on_event(event)

    def wants(self, key: Typed) -> bool:
        """Whether `key` was meant for the screen that is shown."""
        return key.time >= self._keys_from

    def _drop_keys_until_shown(self, screen: Screen[Any]) -> None:
        """Drop keys that were typed before the user could see `screen`, which opened without a key."""
        self._keys_from = math.inf

        def shown() -> None:
            self._keys_from = Message().time

        screen.call_after_refresh(shown)

    # What the services of an experiment call may arrive after it was closed.

    def show_snapshot(self, opened: OpenExperiment, snapshot: Snapshot) -> None:
        """Show the newest snapshot on all screens, and have the next one made."""
        if opened is not self.opened:
            return
        before, opened.snapshot = opened.snapshot, snapshot
        dashboard = opened.dashboard
        dashboard.show(snapshot)
        if self.screen is not dashboard and isinstance(self.screen, ShowsSnapshots):
            self.screen.show(snapshot)
        if before is None:
            self.call_after_refresh(dashboard.mount_panels)
        for text in opened.taken(snapshot, least_seconds=self.frame_seconds):
            self.say(text)
        if not opened.sampling:
            dashboard.show_devices(None)
        if self._notices is not None and (texts := self._notices.look(snapshot)):
            self._notify(self._notices, texts, opened)
        if before is not None and before.complete and not before.ended and snapshot.ended and snapshot.runs:
            if self.screen is dashboard:
                dashboard.action_comparison()
                self._drop_keys_until_shown(self.screen)
            else:
                self.say(f"training has ended: {snapshot.state}")

    @background("notices")
    async def _notify(self, notices: TerminalNotices, texts: Sequence[str], opened: OpenExperiment) -> None:
        """Notify the user, who looks elsewhere, by way of the terminal."""
        if opened.snapshot is not None:
            self.write_to_terminal(await notices.told(texts, opened.snapshot, opened.folder))

    def show_devices(self, opened: OpenExperiment, reading: Reading) -> None:
        """Show the machine's load."""
        if opened is self.opened:
            opened.dashboard.show_devices(reading)

    def feed_failed(self, opened: OpenExperiment, failure: str) -> None:
        """Leave: what is shown would no longer be up to date. `failure` is the traceback."""
        if opened is self.opened:
            self.failure = failure
            self.exit(return_code=1)

    def pace_changed(self, slow: bool) -> None:
        """Say that the terminal is slow."""
        if self.opened is not None:
            self.opened.dashboard.title_bar.set_slow(slow)

    def say(self, text: str, ink: str = "normal") -> None:
        """Show a line for a few seconds, on the dashboard and on the screen that covers it."""
        screens = {self.screen, *(() if self.opened is None else (self.opened.dashboard,))}
        bars = [bar for screen in screens if not isinstance(screen, ModalScreen) for bar in screen.query(KeyBar)]
        for bar in bars:
            bar.say(text, ink)

        def unsay() -> None:
            for bar in bars:
                bar.unsay(text)

        self.set_timer(_SAY_SECONDS, unsay)

    def job_advanced(self, name: str, job: Job) -> None:
        """Show the progress of a job, and how it ended."""
        if isinstance(self.screen, ShowsJobs):
            self.screen.job_advanced(name, job)
        if not job.working:
            self.say(job.result(name), "normal" if job.code == 0 else "failed")

    def adopt(self, supervisor: subprocess.Popen[bytes]) -> None:
        """Collect the exit status of a supervisor that this process started, while this process lives."""
        self.run_worker(in_thread(supervisor.wait), group="supervisors")

    def report(self, error: Exception) -> None:
        """Show an unexpected error of background work."""
        kind = type(error).__name__
        self.say(f"an error that should not happen: {kind}: {safe_text(error, one_line=True)}", "failed")

    # ---- keys

    def action_leave(self) -> None:
        """Leave; the training goes on."""
        self.exit()

    def action_interrupt(self) -> None:
        """Ctrl-C: ask what is meant; a second one leaves."""
        from tui_attn.ui.screens.confirm import LEAVE_QUESTION, ConfirmScreen, confirm

        asked = isinstance(self.screen, ConfirmScreen) and self.screen.may_leave
        steering, snapshot = None if self.opened is None else self.opened.dashboard.steering, self.snapshot
        if asked or steering is None or snapshot is None or not snapshot.supervised or snapshot.ended:
            self.exit()
            return
        confirm(self, LEAVE_QUESTION, lambda: steering.send("stop", None), may_leave=True)

    def action_help(self) -> None:
        """Show every key of this screen, to search and to run."""
        from tui_attn.ui.screens.palette import PaletteScreen, commands

        if not isinstance(self.screen, PaletteScreen):
            self.push_screen(PaletteScreen(commands(self.screen), everything=True))

    def action_palette(self) -> None:
        """Offer everything that can be done on this screen now."""
        from tui_attn.ui.screens.palette import PaletteScreen, possible

        self.push_screen(PaletteScreen(possible(self.screen)))

    def on_key(self, event: events.Key) -> None:
        """Say why a key that nothing took does nothing now."""
        screen = self.screen
        if event.key in screen.active_bindings:
            return
        nodes = [screen] if screen.focused is None else screen.focused.ancestors_with_self
        for node in [*nodes, *screen.focus_chain]:
            for binding in remapped_bindings(node).key_to_bindings.get(event.key, ()):
                if binding.id is not None:
                    self.say_why_not(binding.id, binding.action, node)
                    return

    def say_why_not(self, id_: str, action: str, node: DOMNode) -> None:
        """Say why the key with this id, which does `action` of `node`, can't do anything now."""
        place, label = next((place, key.label) for place, keys in TABLES.items() for key in keys if key.id == id_)
        _, name, parameters = actions.parse(action)
        reason = node.why_not(name, parameters) if isinstance(node, ExplainsKeys) else ""
        if node in self.screen.focus_chain and node is not self.screen.focused:
            reason = f"{label}: a key of the {place}; tab goes there"
        self.say(reason or f"{label}: nothing to do now", "warning")

    def action_history(self) -> None:
        """Show all experiments, over the dashboard."""
        from tui_attn.ui.screens.history import HistoryScreen

        if not any(isinstance(screen, HistoryScreen) for screen in self.screen_stack):
            self.push_screen(self._history())

    def action_choose_theme(self) -> None:
        """Let the user choose a theme."""
        from tui_attn.ui.screens.theme import ThemeScreen

        if not isinstance(self.screen, ThemeScreen):
            self.push_screen(ThemeScreen(self.options.theme_said_by), self._theme_chosen)

    def _theme_chosen(self, name: str | None) -> None:
        """Say what was chosen, and for how long it holds."""
        if name is None:
            return
        problem, said_by = remember_theme(name), self.options.theme_said_by
        why = f" ({problem})" if problem else f": {said_by} says {self.options.theme}" if said_by else ""
        self.say(f"theme: {name}" + (f", until you leave{why}" if why else ""), "warning" if why else "normal")
