import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import made_once
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.launch import control
from tui_attn.system import liveness

SMALL = ("--dataset", "synthetic", "--train-limit", "1200", "--test-limit", "300", "--device", "cpu")
"""A start that trains in a second or two once torch is imported."""


@dataclass
class Done:
    """A finished call of the program."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class Program:
    """Runs `tui-attn` as a user would, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.environment = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS"}}
        self.environment["XDG_STATE_HOME"] = str(folder / "state")
        self.environment["XDG_CONFIG_HOME"] = str(folder / "config")

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the program and don't wait for it."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "tui_attn", *arguments],
            cwd=self.folder,
            env=self.environment | options.pop("env", {}),
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
        )

    def __call__(self, *arguments: str, **options: Any) -> Done:
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=900)
        return Done(process.returncode, out or "", err or "")

    def newest(self) -> ExperimentDir:
        """The newest experiment."""
        return next(experiments(self.runs))


def harmless(text: str) -> None:
    """Neither a traceback, nor control characters, nor an internal error."""
    assert "Traceback" not in text
    assert "internal error" not in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", text)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """The program; whatever it leaves running is ended after the test."""
    made = Program(tmp_path)
    yield made
    for folder in experiments(made.runs):
        if liveness.holder(folder.supervisor_lock) is not None:
            control.kill(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """An experiment of three models and two epochs that was run to its end, on two threads; to be read only."""

    def train(folder: Path) -> None:
        program = Program(folder)
        done = program("--no-ui", *SMALL, "--epochs", "2", env={"OMP_NUM_THREADS": "2"})
        assert done.code == 0, done.err
        (folder / "stdout.txt").write_text(done.out)
        (folder / "stderr.txt").write_text(done.err)

    return Program(made_once(tmp_path_factory, "finished", train))
