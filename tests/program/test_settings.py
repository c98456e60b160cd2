"""Settings from the user's file, from --config and from the command line: who wins, and what a mistake costs."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.program.conftest import SMALL, Done, Program
from tui_attn import cli
from tui_attn.cli import config_file, entry
from tui_attn.cli.config_command import template
from tui_attn.cli.context import ui_options
from tui_attn.cli.option_types import SETTINGS
from tui_attn.ui.keymap import binding_ids

Write = Callable[[str], Path]


@pytest.fixture
def own(program: Program) -> Write:
    """Writes the user's own file."""

    def write(text: str) -> Path:
        file = program.folder / "config" / "tui-attn" / "config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write


def sources(done: Done) -> dict[str, tuple[object, str, str]]:
    """Setting -> value, who says so, where."""
    assert done.code == 0, done.err
    return {name: (row["value"], row["from"], row["where"]) for name, row in done.json()["settings"].items()}


def test_without_a_file_everything_is_as_built_in(program: Program) -> None:
    found = sources(program("config", "--json"))
    assert {source for _, source, _ in found.values()} == {"default"}
    assert list(found) == [setting.name for setting in SETTINGS]
    assert found["epochs"][0] == 15
    done = program("config")
    assert str(program.folder / "config" / "tui-attn" / "config.toml") in done.out
    assert "tui-attn config --write" in done.out


def test_the_command_line_wins_over_the_file_and_the_file_over_what_is_built_in(program: Program, own: Write) -> None:
    file = own('epochs = 3\nseeds = 2\ntheme = "light"\nno-ui = true\n\n[keys]\nhelp = "f5"\n')
    found = sources(program("--epochs", "7", "--mouse", "config", "--json"))
    assert found["epochs"] == (7, "command line", "")
    assert found["seeds"] == (2, "file", f"{file}:2")
    assert found["theme"] == ("light", "file", f"{file}:3")
    assert found["mouse"] == (True, "command line", "")
    assert found["seed"] == (0, "default", "")
    shown = program("config").out
    assert f"{file}:7" in shown
    assert "keys.help" in shown


def test_a_named_file_takes_the_place_of_the_users_own(program: Program, own: Write) -> None:
    own("epochs = 3\nseeds = 2\n")
    (program.folder / "lab.toml").write_text("epochs = 4\n")
    found = sources(program("--config", "lab.toml", "config", "--json"))
    assert (found["epochs"][:2], found["seeds"][:2]) == ((4, "file"), (1, "default"))


def test_a_start_uses_the_file(program: Program, own: Write) -> None:
    own('runs-dir = "elsewhere"\nmodels = ["base"]\nepochs = 1\nno-ui = true\nname = "of the file"\n')
    done = program(*SMALL, "--name", "of the line")
    assert done.code == 0, done.err
    (row,) = program("ls", "--json").json()
    assert (row["models"], row["epochs"], row["name"]) == (["base"], 1, "of the line")
    assert [path.name for path in (program.folder / "elsewhere").iterdir()] == [row["experiment"]]
    assert program("--runs-dir", "runs", "ls").code == 2
    assert program("ls", "--runs-dir", "elsewhere").code == 0


MISTAKES = {
    "unknown key": ("epoch = 3", "unknown key 'epoch': did you mean 'epochs'?"),
    "unknown table": ("[key]\nhelp = 'f5'", "unknown table 'key': did you mean 'keys'?"),
    "nothing like it": ("wallpaper = 1", "unknown key 'wallpaper': 'tui-attn config' lists them"),
    "out of range": ("# none\nepochs = 0", "line 2, epochs: must be a whole number from 1"),
    "text for a number": ('epochs = "3"', "line 1, epochs: must be a whole number"),
    "unknown model": ('models = ["sse"]', "models: unknown model 'sse': did you mean 'se'?"),
    "unknown theme": ('theme = "ligth"', "theme: unknown theme 'ligth': did you mean 'light'?"),
    "no truth": ('mouse = "no"', "mouse: must be true or false, not no"),
    "unknown binding": ("[keys]\nhelpp = 'f5'", "line 2, [keys] names no binding 'helpp': did you mean 'help'?"),
    "no key": ("[keys]\nhelp = 5", "help needs a key"),
    "a key that is taken": ("[keys]\nhelp = 's'", "'help' and 'stop' on 's' (dashboard)"),
    "a key of a chart": ("[keys]\nhelp = 'l'", "'help' and 'chart_log' on 'l' (dashboard)"),
    "the same by another name": ("[keys]\nstop = '?'", "'stop' and 'help' on 'question_mark' (dashboard)"),
    "no TOML": ("epochs =", "no valid TOML"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_users_file_keeps_nobody_from_steering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    content, message = MISTAKES[mistake]
    file = tmp_path / "tui-attn" / "config.toml"
    file.parent.mkdir()
    file.write_text(content)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert cli.run(["--no-ui", *SMALL]) == 2
    start = capsys.readouterr()
    assert start.out == ""
    assert message in start.err
    assert str(file) in start.err
    assert len(start.err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()

    assert cli.run(["stop"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"ignored: {start.err.removeprefix('tui-attn: ').strip()}"
    assert second.startswith("tui-attn: no experiment in runs")

    assert cli.run(["config"]) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert "epochs" in told.out


def test_keys_may_be_exchanged(program: Program, own: Write) -> None:
    own("[keys]\npause = 's'\nstop = 'p'\n")
    done = program("config", "--keys", "--json")
    assert (done.code, done.json()["pause"], done.json()["stop"]) == (0, "s", "p")


def test_a_file_that_cannot_be_read_is_a_problem_and_one_out_of_reach_is_none(program: Program, own: Write) -> None:
    file = own("epochs = 3\n")
    file.unlink()
    file.mkdir()
    done = program("--no-ui", *SMALL)
    assert (done.code, done.err) == (2, f"tui-attn: can't read the configuration {file}: it is no file\n")
    file.rmdir()
    file.parent.rmdir()
    file.parent.write_text("in the way")
    assert sources(program("config", "--json"))["epochs"][1] == "default"


def test_what_is_right_in_a_broken_file_still_holds(program: Program, own: Write) -> None:
    own('epoch = 3\nruns-dir = "elsewhere"\n')
    done = program("ls")
    assert done.code == 2
    assert "no experiment in elsewhere" in done.err


def test_a_mistake_in_a_named_file_is_one_of_the_call(program: Program) -> None:
    (program.folder / "lab.toml").write_text("epoch = 3\n")
    for command in ("stop", "ls", "attach"):
        done = program("--config", "lab.toml", command)
        assert done.code == 2
        assert done.err == "tui-attn: --config lab.toml has an unknown key 'epoch': did you mean 'epochs'?\n"


def test_a_broken_file_keeps_nobody_from_the_help(program: Program, own: Write) -> None:
    own("epochs =")
    for arguments in (["--help"], ["--version"], ["stop", "--help"]):
        done = program(*arguments)
        assert (done.code, "Usage" in done.out or "tui-attn 0" in done.out) == (0, True), arguments


def test_options_of_a_start_do_nothing_before_a_command_and_are_refused(program: Program) -> None:
    done = program("--epochs", "3", "ls")
    assert done.code == 2
    assert done.err == "tui-attn: --epochs before 'ls' does nothing: leave it out there\n"


def test_options_of_the_screen_may_stand_before_a_command_or_after(program: Program) -> None:
    for arguments in (["--theme", "ligth", "attach"], ["attach", "--theme", "ligth"]):
        done = program(*arguments)
        assert done.code == 2
        assert done.err == "tui-attn: --theme: unknown theme 'ligth': did you mean 'light'?\n"


def test_writing_a_file_and_never_over_one(program: Program) -> None:
    done = program("config", "--write")
    assert done.code == 0, done.err
    file = Path(program("config", "--path").out.strip())
    assert file.read_text() == template()
    assert sources(program("config", "--json"))["epochs"] == (15, "default", "")
    file.write_text("# mine\n")
    again = program("config", "--write")
    assert again.code == 2
    assert "is there already" in again.err
    assert file.read_text() == "# mine\n"
    assert program("--config", "other.toml", "config", "--write").code == 0
    assert (program.folder / "other.toml").read_text() == template()


def test_every_comment_of_the_written_file_is_a_setting_that_holds(tmp_path: Path) -> None:
    lines = [line.removeprefix("# ") for line in template().splitlines()]
    settings = [line for line in lines if line.startswith("[") or (" = " in line and not line.startswith("Keys of"))]
    file = tmp_path / "all.toml"
    file.write_text("\n".join(settings))
    found = config_file.read(file)
    assert found.problems == []
    assert set(found.values) == {setting.name for setting in SETTINGS}
    assert set(found.keymap) == binding_ids()
    assert tomllib.loads(file.read_text())["keys"].keys() == binding_ids()


def test_the_keys_are_listed_with_what_they_are_now(program: Program, own: Write) -> None:
    own("[keys]\nhelp = 'f5'\n")
    assert program("config", "--keys", "--json").json()["help"] == "f5"
    shown = program("config", "--keys").out
    assert all(id_ in shown for id_ in binding_ids())


def test_without_a_home_there_is_no_file_and_no_fault(program: Program) -> None:
    done = program("config", "--json", env={"HOME": "/nowhere", "XDG_CONFIG_HOME": "relative"})
    assert json.loads(done.out)["file"] is None
    assert done.code == 0


@pytest.mark.parametrize(
    ("remembered", "file", "line", "expected"),
    [
        (None, "", [], (None, "")),
        ("light", "", [], ("light", "")),
        ("light", 'theme = "terminal"', [], ("terminal", "the configuration file")),
        ("light", 'theme = "terminal"', ["--theme", "ascii"], ("ascii", "--theme")),
        ("light", "mouse = false", ["--theme", "dark"], ("dark", "--theme")),
        ("pink", "", [], (None, "")),
    ],
)
def test_the_theme_of_the_next_dashboard(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    remembered: str | None,
    file: str,
    line: list[str],
    expected: tuple[str | None, str],
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "config" / "tui-attn").mkdir(parents=True)
    (tmp_path / "config" / "tui-attn" / "config.toml").write_text(file)
    (tmp_path / "state" / "tui-attn").mkdir(parents=True)
    if remembered is not None:
        (tmp_path / "state" / "tui-attn" / "screen.json").write_text(json.dumps({"theme": remembered}))
    context: Any = entry.program().make_context("tui-attn", line)
    options = ui_options(context)
    assert (options.theme, options.theme_said_by) == expected
    assert options.mouse == ("mouse" not in file)
