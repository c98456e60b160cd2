"""Completion, as the shells ask for it: what is offered, what is loaded for it, and silence when something is wrong."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import recorded
from tests.program.conftest import Program
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.model_info import MODELS

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def shown(program: Program) -> Program:
    """A folder with two experiments: `fashion-one`, called lab1, and `other`, whose name needs quotes."""
    recorded.scene(
        program.runs, "finished", experiment="fashion-one", config=ExperimentConfig(epochs=1, seeds=2, name="lab1")
    )
    recorded.scene(
        program.runs, "finished", experiment="other", config=ExperimentConfig(epochs=1, models=("se",), name="my lab")
    )
    return program


def ask(program: Program, shell: str, *words: str) -> str:
    """What the program answers when `shell` asks about the last of `words`."""
    line = shlex.join(words)
    environment = {"_TUI_ATTN_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        environment |= {"COMP_WORDS": line if words[-1] else f"{line[:-3]} ", "COMP_CWORD": str(len(words) - 1)}
    else:
        text = line if words[-1] else line[:-2]
        environment |= {"_TYPER_COMPLETE_ARGS": text, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = program(env=environment)
    assert done.err == ""
    return done.out


def offered(program: Program, *words: str) -> list[str]:
    """The words that bash is offered."""
    return ask(program, "bash", *words).split()


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_is_told_commands_experiments_and_options(shown: Program, shell: str) -> None:
    assert "attach" in ask(shown, shell, "tui-attn", "at")
    assert "fashion-one" in ask(shown, shell, "tui-attn", "attach", "fas")
    assert "--epochs" in ask(shown, shell, "tui-attn", "--ep")


def test_experiments_by_id_and_by_name(shown: Program) -> None:
    assert sorted(offered(shown, "tui-attn", "stop", "")) == ["fashion-one", "lab1", "other"]
    assert offered(shown, "tui-attn", "compare", "la") == ["lab1"]
    assert offered(shown, "tui-attn", "compare", "other", "") == ["fashion-one", "lab1"]
    elsewhere = ("tui-attn", "stop", "--runs-dir", "elsewhere", "")
    assert offered(shown, *elsewhere) == []
    shown.runs.rename(shown.folder / "elsewhere")
    assert "other" in offered(shown, *elsewhere)
    assert "other" in offered(shown, "tui-attn", "--runs-dir", "elsewhere", "stop", "")


@pytest.mark.parametrize("command", ["rename", "note", "pin", "unpin"])
def test_what_is_to_be_remarked_on_is_offered(shown: Program, command: str) -> None:
    assert "other" in offered(shown, "tui-attn", command, "")


def test_what_was_deleted_is_offered_to_restore(shown: Program) -> None:
    assert shown("delete", "other").code == 0
    assert offered(shown, "tui-attn", "restore", "") == ["other"]
    assert "other" not in offered(shown, "tui-attn", "delete", "")


def test_the_runs_folder_of_the_configuration_file_is_looked_into(shown: Program) -> None:
    file = shown.folder / "config" / "tui-attn" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'runs-dir = "{shown.runs}"\nepoch = 5\n')
    (shown.folder / "here").mkdir()
    shown.folder = shown.folder / "here"
    assert offered(shown, "tui-attn", "stop", "oth") == ["other"]


def test_runs_of_the_experiment_that_is_named(shown: Program) -> None:
    assert offered(shown, "tui-attn", "stop", "other", "--run", "") == ["se-s0"]
    assert offered(shown, "tui-attn", "stop", "fashion-one", "--run", "base") == ["base-s0", "base-s1"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--models", "base,s"], [f"base,{model}" for model in MODELS if model.startswith("s")]),
        (["--dataset", "c"], ["cifar10", "cifar100"]),
        (["data", "f"], ["fashion-mnist", "folder:"]),
        (["--precision", ""], ["auto", "fp32", "bf16"]),
        (["--augment", "crop,"], ["crop,flip"]),
        (["--theme", "l"], ["light"]),
        (["attach", "--theme", "as"], ["ascii"]),
        (["--device", "c"], ["cpu", "cuda"]),
    ],
)
def test_values_of_options(program: Program, words: list[str], expected: list[str]) -> None:
    found = offered(program, "tui-attn", *words)
    assert [word for word in found if ":" not in word or word == "folder:"] == expected


@pytest.mark.parametrize("words", [["stop", ""], ["stop", "--run", ""], ["--config", "broken.toml", "stop", "d"]])
def test_whatever_is_wrong_nothing_is_said(program: Program, words: list[str]) -> None:
    (program.folder / "broken.toml").write_text("[[")
    folder = program.runs / "damaged"
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text('{"format": "tui-attn"}')
    assert offered(program, "tui-attn", *words) == ([] if "--run" in words else ["damaged"])
    shutil.rmtree(program.runs)
    program.runs.write_text("a file")
    assert offered(program, "tui-attn", *words) == []
    program.runs.unlink()


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_heavy_is_loaded_for_it(shown: Program, shell: str) -> None:
    code = "import sys, tui_attn.cli.entry as entry\nentry._complete()\nprint(*sys.modules, file=sys.stderr)"
    environment = shown.environment | {
        "_TUI_ATTN_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "tui-attn attach fas",
        "COMP_CWORD": "2",
        "_TYPER_COMPLETE_ARGS": "tui-attn attach fas",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment,
        cwd=shown.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "fashion-one" in done.stdout
    loaded = set(done.stderr.split())
    assert "tui_attn.experiment.finding" in loaded
    assert not {"torch", "textual", "plotext", "numpy", "scipy", "matplotlib", "rich", "tui_attn.cli.lines"} & loaded


TYPED = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='ready> '; source completion.sh; echo lo''aded\n"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; source ./completion.sh; echo lo''aded\n"),
    "fish": (["fish", "--no-config", "-i"], "source completion.sh; echo lo''aded\n"),
}
"""How each shell is started, and what is typed before the program is known to it."""


@pytest.fixture(params=SHELLS)
def terminal(request: pytest.FixtureRequest, shown: Program, tmp_path: Path) -> Iterator[int]:
    """The terminal of a shell that knows the program and its completion."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    place = tmp_path / "bin"
    place.mkdir()
    program = place / "tui-attn"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m tui_attn "$@"\n')
    program.chmod(0o755)
    script = shown(env={"_TUI_ATTN_COMPLETE": f"source_{shell}"})
    assert script.code == 0, script.err
    (tmp_path / "completion.sh").write_text(script.out)
    environment = shown.environment | {"PATH": f"{place}:{os.environ['PATH']}", "PS1": "ready> ", "TERM": "vt100"}
    command, typed = TYPED[shell]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(shown.folder)
        os.execvpe(shell, command, environment)
    try:
        os.write(terminal, typed.encode())
        heard(terminal, "loaded")
        yield terminal
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def heard(terminal: int, expected: str, *, seconds: float = 60) -> str:
    """Read until `expected` was printed."""
    text = ""
    end = time.monotonic() + seconds
    while expected not in text:
        assert time.monotonic() < end, text
        if select.select([terminal], [], [], 0.5)[0]:
            text += os.read(terminal, 4096).decode(errors="replace")
    return text


def test_in_a_real_shell_the_tab_key_completes_a_name(terminal: int) -> None:
    os.write(terminal, b"tui-attn compare fash\t")
    heard(terminal, "fashion-one")
    os.write(terminal, b"\x15tui-attn --dataset syn\t")
    heard(terminal, "synthetic")


HOSTILE = [
    r"\$(touch ran-0)",
    "$(touch ran-1)",
    r"\`touch ran-2\`",
    "`touch ran-3`",
    '"; touch ran-4; "',
    "'; touch ran-5; '",
    ")) ; touch ran-6 ; ((",
    r"\"))\$(touch ran-7)",
    "x' $(touch ran-8) :$(touch ran-8)",
    "${(e):-$(touch ran-9)}",
    "*(e:'touch ran-10':)",
    "(touch ran-11)",
]
"""Names of experiments that a shell would run a part of, if it took them for more than text."""


def test_in_a_real_shell_no_part_of_a_name_is_run(terminal: int, shown: Program) -> None:
    for number, name in enumerate(HOSTILE):
        config = ExperimentConfig(epochs=1, models=("se",), name=name)
        recorded.scene(shown.runs, "finished", experiment=f"hostile-{number}x", config=config)
    os.write(terminal, b"tui-attn compare hostile-\t\t")
    heard(terminal, "hostile-11x")
    os.write(terminal, b"\x15tui-attn compare hostile-0\t")
    heard(terminal, "hostile-0x")
    os.write(terminal, b"\x15tui-attn --models 'x$(touch ran-12),\t\x15echo th''ere\n")
    heard(terminal, "there")
    assert [path.name for path in shown.folder.rglob("ran-*")] == []
