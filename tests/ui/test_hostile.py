"""Hostile text from names, logs, errors and files: shown on every screen, obeyed on none."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests import recorded
from tests.ui.harness import alive
from tests.ui.terminal import ESCAPE, Terminal, opened
from tui_attn import data
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogReader, LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.history import organize

MARKUP = "acc[/bold] [/] [@click=app.quit]x[/] [red]y"
CONTROLS = "\x1b]52;c;aGk=\x07 \x1b[2J\x9b31m\x85 \u202eevil\u2066 \x08\x00 \r over"
VISIBLE = "␛]52;c;aGk=␇ ␛[2J\\x9b31m\\x85 \\u202eevil\\u2066 ␈␀ ␍ over"
HOSTILE = f"{MARKUP} {CONTROLS}"
SHOWN = f"{MARKUP} {VISIBLE}"
PASTED = f"{MARKUP} \x07\x9b31m\u202eevil\u2066 over"
STAND_INS = "␇\ufffd31m\ufffdevil\ufffd over"
"""How the end of what was pasted looks in a line that is typed into."""

# What the dashboard itself may send: cursor, colours, modes, their queries, the keyboard protocol.
OURS = re.compile(rb"\x1b\[(\d+;\d+H|\d+C|[\d;]*m|\?\d+[hl]|\?\d+\$p|[<>]\d*u|\d*;?\d*H)")
CONTROL = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


HISTORY = """
import sys
from pathlib import Path
from tui_attn.ui import UiOptions, run_dashboard
sys.exit(run_dashboard(None, runs_dir=Path(sys.argv[1]), options=UiOptions()))
"""
UNENDED: Mapping[str, str] = {"base-s0": "running", "se-s0": "failed", "self-attention-s0": "running"}


def hostile_experiment(root: Path, states: Mapping[str, str] | str = UNENDED) -> ExperimentDir:
    """An experiment in which everything that can be hostile is, and whose SE run failed."""
    folder = recorded.record(
        root,
        config=ExperimentConfig(epochs=2, name=MARKUP, dataset=f"folder:/data/{MARKUP}"),
        states=states,
        class_names=[f"{index} {HOSTILE}" for index in range(10)],
        traceback=f"Traceback (most recent call last):\n  {HOSTILE}\nValueError: {HOSTILE} the end",
        reason=f"reason {HOSTILE}",
        warnings={"base-s0": f"warned {HOSTILE}"},
    )
    log = LogWriter(folder.events)
    log.append("warning", message=f"supervisor {HOSTILE}")
    log.append("run_queued", run=f"r {HOSTILE}", model=MARKUP, seed=0)
    log.append("run_ended", run=f"r {HOSTILE}", state="failed", reason=HOSTILE)
    log.append("control_ack", id="x", command="pause", run=None, result=HOSTILE)
    log.close()
    log = LogWriter(folder.run("se-s0").events)
    layer = f"layer {HOSTILE}"
    gates = np.full((10, 8), 0.5, dtype=np.float32)
    np.savez(folder.run("se-s0").probes / "hostile.npz", allow_pickle=False, **{f"{layer}/by_class": gates})
    log.append("probe", epoch=3, file="hostile.npz", gates={layer: [0.5] * 8})
    log.close()
    return folder


def assert_clean(terminal: Terminal) -> None:
    """Nothing but the dashboard's own sequences went to the terminal."""
    rest = OURS.sub(b"", terminal.complete()).decode("utf-8")
    found = CONTROL.search(rest)
    assert found is None, rest[max(0, found.start() - 60) : found.end() + 60]


def until_shown(terminal: Terminal, words: str) -> None:
    """Wait until the screen shows `words`, whatever spaces and breaks wrapping and padding put between them."""
    wanted = re.sub(r"\s+", "", words)
    terminal.until(lambda text: wanted in re.sub(r"\s+", "", text))


def pasted(text: str) -> str:
    """What a terminal sends when `text` is pasted into it."""
    return f"\x1b[200~{text}\x1b[201~"


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_every_screen_shows_it_and_none_obeys(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = hostile_experiment(tmp_path)
    with alive(folder), opened(folder, columns=size[0], rows=size[1]) as terminal:
        terminal.until(lambda text: "acc[/bold]" in text and "┤" in text and "cpu" in text)
        for key in ("h", "c", "?", "s", "S", "\x03", "\r"):
            terminal.press(key)
            terminal.settle(0.4)
            terminal.press(ESCAPE)
            terminal.settle(0.3)
        for _ in range(3):  # every run, its gates and details
            terminal.press("j")
            terminal.settle(0.3)
            terminal.press("\r")
            terminal.settle(0.3)
            terminal.press(ESCAPE)
            terminal.settle(0.3)
        terminal.press("\t\t\t\x1b[F")
        terminal.settle(0.3)
        assert not terminal.ended()
        assert_clean(terminal)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([":", "acc", "\x1b[B", ESCAPE], id="palette"),
        pytest.param(["T", "\x1b[B", ESCAPE], id="themes"),
        pytest.param(["n", "\x1b[B", "[/]", "\x1b[B", "[@click=app.quit]x[/]", ESCAPE], id="new experiment"),
        pytest.param(["c", "2", "3", "4", "5", "6", "m", "]", ".", "e", ESCAPE, ESCAPE], id="comparison"),
        pytest.param(["h", "m", "n", "i", "u", "z", "o", "\x1b[B", "\x1b[C", ESCAPE], id="heatmaps"),
        pytest.param(["?", "\x1b[F", ESCAPE], id="help"),
        pytest.param(["\t\tl", "]", "a", "\x1b[D", "f", ESCAPE, ESCAPE], id="charts"),
    ],
)
def test_no_screen_sends_a_control_of_theirs(tmp_path: Path, keys: list[str]) -> None:
    folder = hostile_experiment(tmp_path, "finished")
    with opened(folder) as terminal:
        terminal.until(lambda text: "acc[/bold]" in text and "┤" in text)
        for key in keys:
            terminal.press(key)
            terminal.settle(0.3)
            assert not terminal.ended()
        terminal.until(lambda text: "? help" in text)
        assert_clean(terminal)


def test_the_history_shows_it_and_obeys_nothing(tmp_path: Path) -> None:
    hostile_experiment(tmp_path)
    recorded.record(tmp_path, experiment="second", config=ExperimentConfig(epochs=2, name=MARKUP))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "experiment.json").write_text(f'{{"format": "tui-attn", "{MARKUP}": ')
    with opened(ExperimentDir(tmp_path / "second"), command=["-c", HISTORY, str(tmp_path)]) as terminal:
        terminal.until("? help")
        for key in ("\x1b[B", "\x1b[B", "\x1b[A", "?", ESCAPE, "\r"):
            terminal.press(key)
            terminal.settle(0.3)
            assert not terminal.ended()
        assert_clean(terminal)


@pytest.mark.parametrize(
    ("key", "hint", "what"),
    [("\x1bOQ", "an empty one takes it away", "the name"), ("N", "the filter finds its words", "the note")],
    ids=["name", "note"],
)
def test_a_line_that_is_typed_into_shows_it_and_obeys_nothing(tmp_path: Path, key: str, hint: str, what: str) -> None:
    config = ExperimentConfig(epochs=2, name=MARKUP)
    folder = recorded.record(tmp_path, experiment="one", config=config, probes=False, predictions=False)
    organize.annotations_path(folder).write_text(json.dumps({"note": HOSTILE}))
    with opened(folder, command=["-c", HISTORY, str(tmp_path)]) as terminal:
        terminal.until("1 experiment")
        until_shown(terminal, SHOWN)
        terminal.press(key)
        terminal.until(hint)
        terminal.press(pasted(PASTED))
        terminal.until(lambda text: STAND_INS in text and f"{what} holds control characters" in text)
        terminal.press("\r")  # which is not taken
        terminal.settle(0.3)
        assert f"{what} holds control characters" in terminal.text()
        terminal.press(ESCAPE)
        terminal.until(lambda text: f"{what} holds" not in text and "? help" in text)
        assert not terminal.ended()
        assert_clean(terminal)
    assert folder.manifest_data().config.name == MARKUP
    assert json.loads(organize.annotations_path(folder).read_text()) == {"note": HOSTILE}


def test_the_filter_of_the_history_shows_it_and_obeys_nothing(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, name=MARKUP)
    folder = recorded.record(tmp_path, experiment="one", config=config, probes=False, predictions=False)
    with opened(folder, command=["-c", HISTORY, str(tmp_path)]) as terminal:
        terminal.until("1 experiment")
        terminal.press("/")
        terminal.until("words in id, name")
        terminal.press(pasted(PASTED))
        terminal.until(lambda text: STAND_INS in text and f"nothing fits '{MARKUP}" in text)
        terminal.press(ESCAPE)
        terminal.until(lambda text: STAND_INS not in text and "? help" in text)
        terminal.press(f"/{MARKUP[:13]}")  # which is its name's beginning
        terminal.until(lambda text: text.count(MARKUP[:13]) > 1 and "nothing fits" not in text)
        assert not terminal.ended()
        assert_clean(terminal)


def test_the_traceback_is_whole(tmp_path: Path) -> None:
    folder = hostile_experiment(tmp_path)
    with alive(folder), opened(folder, columns=120, rows=60) as terminal:
        terminal.until(lambda text: "┤" in text and "cpu" in text)
        terminal.press("j\r")
        terminal.until("traceback")
        until_shown(terminal, f"ValueError: {SHOWN} the end")
        until_shown(terminal, f"reason {SHOWN}")
        assert_clean(terminal)


def test_warnings_and_class_names_are_whole(tmp_path: Path) -> None:
    folder = hostile_experiment(tmp_path)
    with alive(folder), opened(folder, columns=200, rows=60) as terminal:
        terminal.until(lambda text: "┤" in text and "cpu" in text)
        terminal.press("\t\t\tf")  # the log on the whole screen
        terminal.until(lambda text: "supervisor" in text and "┤" not in text)
        until_shown(terminal, f"supervisor {SHOWN}")
        terminal.press("f\x1b[Z\x1b[Z\x1b[Z\r")
        terminal.until("parameters")
        until_shown(terminal, f"warned {SHOWN}")
        terminal.press(ESCAPE)
        terminal.until(lambda text: "┤" in text)
        terminal.press("h")
        terminal.until(lambda text: "acc[/bold]" in text and "gates" in text)
        assert_clean(terminal)


def test_a_hostile_reason_of_the_launcher_is_shown_safely(tmp_path: Path) -> None:
    located = data.find("synthetic")
    assert located is not None
    config = ExperimentConfig(epochs=5, dataset="synthetic")
    folder = recorded.scene(tmp_path, "lost", config=config, data={"version": located.version})
    folder.supervisor_log.mkdir()  # nothing can be written there
    with opened(folder) as terminal:
        terminal.until("r resume")
        terminal.press("r")
        terminal.until("can't write to")
        assert_clean(terminal)


def test_a_hostile_answer_is_shown_safely(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")
    with alive(folder), opened(folder, columns=200, rows=60) as terminal:
        terminal.until(lambda text: "┤" in text and "p pause" in text)
        terminal.press("p")
        terminal.until("pause base-s0: sent")
        command = LogReader(folder.control).read()[0]
        log = LogWriter(folder.events)
        log.append("control_ack", id=command["id"], command="pause", run="base-s0", result=HOSTILE)
        log.close()
        terminal.until(lambda text: "pause base-s0: acc[/bold]" in text.splitlines()[-1])
        until_shown(terminal, re.sub(r"\s+", "", SHOWN)[:60])
        assert_clean(terminal)
