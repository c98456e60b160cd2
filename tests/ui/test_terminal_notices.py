"""Notices by the terminal: which sequence, and only while the user looks elsewhere."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from textual import events

from tests import recorded
from tests.ui.harness import DEADLINE, staged
from tests.ui.terminal import opened
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.supervision.notify_process import verdict_sentence
from tui_attn.ui.terminal_notices import TerminalNotices, notification

FOCUS_OUT, FOCUS_IN = "\x1b[O", "\x1b[I"
TOLD = b"\x1b]777;notify;tui-attn: "


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERM": "xterm-256color"}, "\a"),
        ({"TERM": "xterm-kitty"}, "\x1b]99;i=tui-attn:d=0;a, b\x1b\\\x1b]99;i=tui-attn:p=body;c; d\x1b\\\a"),
        ({"TERM": "foot"}, "\x1b]777;notify;a, b;c, d\x1b\\\a"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7402"}, "\x1b]777;notify;a, b;c, d\x1b\\\a"),
        ({"TERM_PROGRAM": "iTerm.app"}, "\x1b]9;a, b: c; d\x1b\\\a"),
        ({"LC_TERMINAL": "iTerm2", "TMUX": "1"}, "\x1bPtmux;\x1b\x1b]9;a, b: c; d\x1b\x1b\\\x1b\\\a"),
    ],
)
def test_each_terminal_gets_what_it_can_show(environ: Mapping[str, str], expected: str) -> None:
    assert notification("a; b", "c; d", environ) == expected


def test_a_hostile_name_ends_no_sequence() -> None:
    text = notification("x\x1b\\\x1b]0;owned\a", "y\x9c\u202ez\n", {"TERM": "xterm-kitty"})
    assert text.count("\x1b") == 4, "two sequences, each with its end"
    assert text.count("\a") == 1
    assert "\x9c" not in text
    assert "\n" not in text


def test_without_reports_of_focus_silence_for_two_minutes_counts_as_away() -> None:
    times = iter([0.0, 100.0, 100.0, 219.0, 221.0])
    notices = TerminalNotices(environ={}, clock=lambda: next(times))
    before = notices.away
    notices.saw(events.Key("a", "a"))
    assert [before, notices.away, notices.away] == [False, False, True]
    notices.saw(events.AppFocus())
    now = notices.away
    assert not now


def end_well(folder: ExperimentDir) -> None:
    log = LogWriter(folder.events)
    for run in ("base-s0", "se-s0", "self-attention-s0"):
        log.append("run_ended", run=run, state="finished", reason=None)
    log.append("experiment_finished", experiment=folder.id, state="finished")
    log.close()


def fail(folder: ExperimentDir) -> None:
    log = LogWriter(folder.events)
    log.append("run_ended", run="se-s0", state="failed", reason="RuntimeError: out of memory")
    log.close()


def diverge(folder: ExperimentDir) -> None:
    log = LogWriter(folder.events)
    log.append("run_ended", run="se-s0", state="failed", reason="the loss became NaN at step 12")
    log.close()


def stall(folder: ExperimentDir) -> None:
    recorded.silence(folder, "se-s0")


EVENTS: dict[str, tuple[Callable[[ExperimentDir], None], list[str]]] = {
    "end": (end_well, ["training finished: 3 of 3 runs finished. "]),
    "failure": (fail, ["se-s0 failed: RuntimeError: out of memory"]),
    "nan": (diverge, ["se-s0 failed: the loss became NaN"]),
    "stall": (stall, ["no progress, although the worker is alive"]),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(("keys", "told"), [(FOCUS_OUT, True), (FOCUS_OUT + FOCUS_IN, False)])
def test_events_are_told_to_who_looks_elsewhere_and_to_nobody_else(
    tmp_path: Path, event: str, keys: str, told: bool
) -> None:
    happen, texts = EVENTS[event]
    environment = {"VTE_VERSION": "7402"}
    with staged(tmp_path / "runs", "running") as folder, opened(folder, environment=environment) as terminal:
        terminal.until(lambda text: "┤" in text and "base-s0" in text)
        terminal.press(keys + "?")  # the help shows that the keys before it were read
        terminal.until("type a word to find a key")
        happen(folder)
        terminal.press("\x1b")
        terminal.until({"end": "finished", "stall": "stalled"}.get(event, "failed"))
        if told:
            end = time.monotonic() + DEADLINE
            while TOLD not in terminal.raw:
                assert time.monotonic() < end
                terminal.read(1.0)
        terminal.settle()
    found = [each.partition(b"\x1b\\")[0].decode() for each in terminal.raw.split(TOLD)[1:]]
    assert len(found) == told
    if told:
        assert all(text in found[0] for text in texts)
        sentence = verdict_sentence(folder) if event == "end" else ""
        assert sentence[:60] in found[0]
        assert sentence or event != "end"
