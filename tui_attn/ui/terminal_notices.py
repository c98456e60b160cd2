"""Notices by the terminal: a bell, and a desktop notification where the terminal can show one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from textual import events

from tui_attn.experiment.notices import NoticeWatch, RunReport
from tui_attn.supervision.notify_process import verdict_sentence
from tui_attn.system.text import safe_text
from tui_attn.ui.jobs import in_thread

if TYPE_CHECKING:
    from tui_attn.experiment.folders import ExperimentDir
    from tui_attn.ui.feed import Snapshot

_AWAY_SECONDS = 120.0
"""Seconds without input after which the user counts as away, where the terminal doesn't report its focus."""
_MOST = 200
"""Characters of a notification; some terminals drop longer ones."""
_BELL = "\a"
_ST = "\x1b\\"
_BY_PROGRAM = {"iterm.app": 9, "iterm2": 9, "wezterm": 777, "ghostty": 777, "konsole": 777, "rio": 9}
_BY_TERM = {"xterm-kitty": 99, "foot": 777, "xterm-ghostty": 777, "wezterm": 777, "rxvt-unicode": 777}


class TerminalNotices:
    """Decides when the open experiment deserves a notice, and what the terminal is sent."""

    def __init__(self, *, environ: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic) -> None:
        self._environ, self._clock = environ, clock
        self._experiment: str | None = None
        self._watch = NoticeWatch()
        self._focused: bool | None = None
        """None: the terminal has not reported it yet."""
        self._last_input = clock()

    def saw(self, event: events.Event) -> None:
        """Update from an event whether the user is present."""
        if isinstance(event, events.AppFocus | events.AppBlur):
            self._focused = isinstance(event, events.AppFocus)
        elif isinstance(event, events.InputEvent):
            self._last_input = self._clock()

    @property
    def away(self) -> bool:
        """Whether the user looks at another window, or seems to."""
        if self._focused is not None:
            return not self._focused
        return self._clock() - self._last_input > _AWAY_SECONDS

    def look(self, snapshot: Snapshot) -> tuple[str, ...]:
        """The texts of the notices that `snapshot` gives: none while the user is there."""
        if not snapshot.complete:
            return ()
        if snapshot.experiment != self._experiment:
            self._experiment, self._watch = snapshot.experiment, NoticeWatch()
        views = snapshot.runs.values()
        reports = [RunReport(run.state.id, run.shown, run.state.reason, run.state.diverged) for run in views]
        notices = self._watch.look(snapshot.state, reports)
        return tuple(notice.text for notice in notices) if self.away else ()

    async def told(self, texts: Sequence[str], snapshot: Snapshot, folder: ExperimentDir) -> str:
        """What to write to the terminal for these texts; at the end with the sentence that has the verdict."""
        if snapshot.ended:
            texts = [*texts, await in_thread(verdict_sentence, folder)]
        name = (snapshot.config.name if snapshot.config is not None else None) or snapshot.experiment
        return notification(f"tui-attn: {name}", ". ".join(filter(None, texts)), self._environ)


def notification(title: str, text: str, environ: Mapping[str, str]) -> str:
    """A bell, and the control sequence of the notification that the terminal in `environ` can show, if any."""
    title = safe_text(title, one_line=True)[:_MOST].replace(";", ",")
    text = safe_text(text, one_line=True)[:_MOST]
    number = _sequence_number(environ)
    if number is None:
        return _BELL
    if number == 9:
        sequence = f"\x1b]9;{title}: {text}{_ST}"
    elif number == 777:
        sequence = f"\x1b]777;notify;{title};{text.replace(';', ',')}{_ST}"
    else:
        sequence = f"\x1b]99;i=tui-attn:d=0;{title}{_ST}\x1b]99;i=tui-attn:p=body;{text}{_ST}"
    if "TMUX" in environ:  # which passes it on where allow-passthrough is on, and drops it elsewhere
        sequence = "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + _ST
    return sequence + _BELL


def _sequence_number(environ: Mapping[str, str]) -> int | None:
    """The OSC number of the notifications that the terminal shows, by what it says of itself."""
    for variable in ("LC_TERMINAL", "TERM_PROGRAM"):  # ssh forwards only the first
        if (program := environ.get(variable, "").casefold()) in _BY_PROGRAM:
            return _BY_PROGRAM[program]
    if "KITTY_WINDOW_ID" in environ:
        return 99
    if "VTE_VERSION" in environ:
        return 777
    if "ConEmuANSI" in environ:
        return 9
    term = environ.get("TERM", "")
    return next((number for name, number in _BY_TERM.items() if term == name or term.startswith(f"{name}-")), None)
