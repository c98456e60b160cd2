"""A custom model from the command line to the comparison; the example is that of the documentation."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.program.conftest import SMALL, Program
from tests.waiting import eventually
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.follower import read_state
from tui_attn.system import liveness

PAGE = Path(__file__).parents[2] / "docs" / "custom-model.md"
TINY = (*SMALL, "--train-limit", "300", "--test-limit", "100", "--epochs", "1")


def example() -> str:
    """The one Python file of the page."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(source)


def listing(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if "state" not in path.parts)


def test_the_example_of_the_page_is_trained_compared_and_extended_wherever_it_goes(program: Program) -> None:
    file = program.folder / "my_net.py"
    file.write_text(example())
    done = program("--no-ui", *TINY, "--models", "base,./my_net.py:MyNet")
    assert done.code == 0, done.err
    assert "trying my_net.py:MyNet" in done.err
    assert "my_net-mynet: " in done.out
    assert max(map(len, done.out.splitlines())) <= 120
    summary = program("compare", "--json").json()
    base, own = summary["models"]
    assert (own["model"], own["class"], base["code_sha256"]) == ("my_net-mynet", "MyNet", None)
    assert own["parameters"] > 0
    assert own["macs"] > 0
    assert len(own["code_sha256"]) == 64
    assert own["runs"][0]["run"] == "my_net-mynet-s0"
    folder = program.newest()
    copy = folder.custom_model("my_net-mynet")
    assert copy.read_text() == example()
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(folder.run("my_net-mynet-s0").probes.glob("epoch-*.npz"))

    # The user's file changes: the copy is trained, and that is said.
    file.write_text("raise SystemExit('not this one')\n")
    done = program("extend", "--seeds", "2", "--no-ui")
    assert done.code == 0, done.err
    assert "my_net.py:MyNet has changed since" in done.err

    # On another machine, or for another user, nobody has named this code yet.
    elsewhere = program.folder / "elsewhere"
    shutil.copytree(folder.path, elsewhere / "runs" / folder.id)
    strange = Program(elsewhere)
    for command in (["extend", "--seeds", "3"], ["resume"]):
        if command[0] == "resume":
            (elsewhere / "runs" / folder.id / "events.jsonl").unlink()  # so that there is something to take up
        done = strange(*command, "--no-ui")
        assert done.code == 2
        assert len(done.err.splitlines()) == 2
        assert "runs code that you haven't named on this machine" in done.err
        assert "--trust-code" in done.err
    assert strange("compare", "--json").code == 0
    done = strange("resume", "--trust-code", "--no-ui")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("source", "spec", "words"),
    [
        ("class Net(:\n", "./net.py:Net", "net.py, line 1: SyntaxError"),
        ("print('hello')\nraise SystemExit(0)\n", "./net.py:Net", "net.py, line 2: it ends the program"),
        (None, "./none.py:Net", "No such file or directory"),
    ],
)
def test_a_broken_file_costs_two_lines_and_nothing_else(
    program: Program, source: str | None, spec: str, words: str
) -> None:
    if source is not None:
        (program.folder / "net.py").write_text(source)
    before = listing(program.folder)
    done = program("--no-ui", *TINY, "--models", f"base,{spec}")
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert "Traceback" not in done.err
    assert "hello" not in done.err
    assert len(done.err.removeprefix("trying net.py:Net\n").splitlines()) <= 2
    assert listing(program.folder) == before


CHANGES_ALL_IT_CAN = """
import contextlib, multiprocessing, os, sys
import torch
torch.optim.Adam.step = lambda self, closure=None: None
torch.nn.functional.cross_entropy = lambda *given, **named: None
torch.autograd.set_detect_anomaly(True)
torch.backends.mkldnn.enabled = False
torch.set_default_dtype(torch.float64)
with contextlib.suppress(RuntimeError):
    torch.set_num_interop_threads(7)
multiprocessing.set_start_method("spawn", force=True)
os.chdir("/")
os.environ.clear()
for stream in (sys.stdin, sys.stdout, sys.stderr):
    stream.close()
os.closerange(0, 3)


class Net(torch.nn.Module):
    def __init__(self, in_channels, image_size, num_classes):
        super().__init__()
        self.out = torch.nn.Linear(in_channels * image_size**2, num_classes, dtype=torch.float32)

    def forward(self, x):
        return self.out(x.flatten(1))
"""


def test_a_file_that_changes_all_it_can_changes_no_bit_of_other_models(program: Program) -> None:
    """The check refuses it, and where it passes the check, its own worker is all that it harms."""
    (program.folder / "bad.py").write_text(CHANGES_ALL_IT_CAN)
    refused = program("--no-ui", *TINY, "--models", "base,./bad.py:Net")
    assert refused.code == 2
    assert "bad.py" in refused.err and "Traceback" not in refused.err
    in_worker = "import sys\nif 'tui_attn.train.worker' in sys.modules or 'worker' in sys.argv[0]:\n"
    lines = CHANGES_ALL_IT_CAN.split("\n\n\n")
    hidden = in_worker + "".join(f"    {line}\n" for line in lines[0].splitlines()) + "import torch\n\n\n" + lines[1]
    (program.folder / "bad.py").write_text(hidden)
    done = program("--no-ui", *TINY, "--models", "base,./bad.py:Net,se")
    assert done.code == 3, "only its own run fails"
    assert "Traceback" not in done.err + done.out
    shas = {run.model: run.weights_sha256 for run in read_state(program.newest()).state.runs.values()}
    assert program("--no-ui", *TINY, "--models", "base,se").code == 0
    for run in read_state(program.newest()).state.runs.values():
        assert run.weights_sha256 and run.weights_sha256 == shas[run.model]


STARTS_A_CHILD = """
import subprocess, sys, torch

class Net(torch.nn.Module):
    def __init__(self, in_channels, image_size, num_classes):
        super().__init__()
        with open({pids!r}, "a") as file:
            print(subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL).pid, file=file)
        self.flat = torch.nn.Flatten()
        self.out = torch.nn.Linear(in_channels * image_size**2, num_classes)

    def forward(self, x):
        return self.out(self.flat(x))
"""


@pytest.mark.parametrize("killed", ["nothing", "worker", "supervisor"])
def test_processes_that_it_starts_end_with_its_worker(program: Program, killed: str) -> None:
    pids = program.folder / "pids"
    (program.folder / "net.py").write_text(STARTS_A_CHILD.format(pids=str(pids)))
    if killed == "nothing":
        assert program("--no-ui", *TINY, "--models", "./net.py:Net").code == 0
    else:
        assert program("--detach", *SMALL, "--models", "./net.py:Net", "--epochs", "200").code == 0
        run = eventually(lambda: next(iter(program.newest().path.glob("net-net-s0/checkpoints/*.pt")), None), "a run")
        worker = liveness.holder(run.parents[1] / "lock")
        supervisor = liveness.holder(program.newest().supervisor_lock)
        assert worker and supervisor
        os.kill(worker if killed == "worker" else supervisor, signal.SIGKILL)
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) >= 2, "in the check and in the worker"
    living = set(started)

    def none_left() -> bool:
        living.intersection_update(pid for pid in started if liveness.process_start_time(pid) is not None)
        return not living

    eventually(none_left, f"the end of all of {started}")
    program("stop")


def test_a_list_in_a_configuration_file_may_hold_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_attn.cli import config_file

    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.toml").write_text('models = ["base", "./a,b.py:Net"]\n')
    values = config_file.read(tmp_path / "lab.toml").experiment()
    made = ExperimentConfig(**values)
    assert made.models == ("base", "a-b-net")
    assert made.custom_models[0].file == str(tmp_path / "a,b.py")
