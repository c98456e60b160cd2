"""What is printed while an experiment is watched without a dashboard: nothing that a terminal would obey."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests import recorded
from tui_attn.cli.lines import LineReporter, LiveReporter, print_result
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower
from tui_attn.system.text import has_control_characters

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202egpj"


def hostile(tmp_path: Path) -> Follower:
    """An experiment in a folder of an odd name, whose logs hold more of the kind."""
    folder = recorded.scene(tmp_path / HOSTILE, "running")
    log = LogWriter(folder.events)
    log.append("warning", message=HOSTILE)
    log.append("run_ended", run="base-s0", state="failed", reason=HOSTILE)
    log.close()
    return Follower(ExperimentDir(folder.path.rename(folder.path.with_name(HOSTILE))))


def test_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    follower = hostile(tmp_path)
    reporter = LineReporter()
    reporter.show(follower, follower.poll())
    print_result(follower)
    lines = capsys.readouterr().out.splitlines()
    assert any("owned" in line for line in lines)
    assert not any(map(has_control_characters, lines))


def test_the_live_table(tmp_path: Path) -> None:
    follower = hostile(tmp_path)
    follower.poll()
    reporter = LiveReporter()
    reporter._live.stop()
    shown = io.StringIO()
    Console(file=shown, width=200).print(reporter._table(follower))
    assert "owned" in shown.getvalue()
    assert not any(map(has_control_characters, shown.getvalue().splitlines()))
