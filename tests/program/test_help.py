"""What the help says, and that it fits a terminal."""

from __future__ import annotations

import pytest

from tui_attn import cli
from tui_attn.cli.entry import program
from tui_attn.cli.option_types import SETTINGS
from tui_attn.ui.options import THEMES

COMMANDS = sorted(program().commands)


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of `tui-attn --help` on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run(["--help"]) == 0
    return capsys.readouterr().out.splitlines()


def test_it_says_what_to_type_first_and_fits_80_columns(shown: list[str]) -> None:
    assert max(map(len, shown)) <= 80
    text = "\n".join(shown)
    assert text.index("Examples:") < text.index("See and go on:") < text.index("Options: what to train:")
    for name in COMMANDS:
        (line,) = [line for line in shown if line.startswith(f"  {name} ")]
        assert line.rstrip().endswith(".") and "..." not in line, "each command is one whole sentence on one line"


def test_every_setting_is_an_option(shown: list[str]) -> None:
    text = "\n".join(shown)
    for setting in SETTINGS:
        assert f"--{setting.name} " in text or f"--[no-]{setting.name} " in text
    assert ", ".join(THEMES) in " ".join(text.split())


def test_every_option_of_a_start_is_a_setting() -> None:
    names = {option.removeprefix("--") for item in program().params for option in item.opts}
    of_a_call = {"config", "dry-run", "json", "version", "install-completion", "show-completion"}
    assert names - of_a_call == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run([name, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(f"    tui-attn {name}") for line in lines)
    assert not any("<str>" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (
            ["resume", "--epochs", "3"],
            "--epochs is fixed when an experiment begins: start a new one with 'tui-attn --epochs ...'",
        ),
        (["extend", "--lr", "1"], "--lr is fixed when an experiment begins: start a new one with 'tui-attn --lr ...'"),
        (["attach", "--ascii"], "'--ascii' stands before the command: tui-attn --ascii ... attach"),
        (["attach", "--config", "x.toml"], "'--config' stands before the command: tui-attn --config ... attach"),
        (["resume", "--seeds", "3"], "--seeds is for a start: 'tui-attn extend --seeds N' adds seeds"),
        (["extend", "--seeds", "3", "--name", "x"], "--name is for a start: 'tui-attn rename' changes the name"),
        (
            ["resume", "--tensorboard"],
            "--tensorboard is for a start: 'tui-attn export --tensorboard' writes event files",
        ),
        (["attach", "--epoch"], "see 'tui-attn attach --help'"),
        (["atach"], "see 'tui-attn --help'"),
    ],
)
def test_a_wrong_command_line_says_where_to_look(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    assert capsys.readouterr().err.removeprefix("tui-attn: ").splitlines()[-1] == hint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--epochs", "3", "resume"], "--epochs is fixed when an experiment begins: 'resume' can't change it"),
        (["--lr", "3", "extend"], "--lr is fixed when an experiment begins: 'extend' can't change it"),
        (["--seeds", "3", "resume"], "--seeds is for a start: 'tui-attn extend --seeds N' adds seeds"),
        (["--name", "x", "resume"], "--name is for a start: 'tui-attn rename' changes the name"),
        (["--detach", "resume"], "--detach stands after the command: tui-attn resume --detach"),
        (["--json", "ls"], "--json stands after the command: tui-attn ls --json"),
    ],
)
def test_an_option_before_a_command_is_not_sent_back_and_forth(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    assert capsys.readouterr().err == f"tui-attn: {said}\n"
