"""The program end to end: starts as a user starts it, real workers, real files."""

import hashlib
import json
import math
import os
import re
import signal
import stat
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.program.conftest import SMALL, Program
from tests.waiting import eventually
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.system import liveness


def alive(folder: ExperimentDir) -> list[int]:
    """The processes that still hold a lock of this experiment."""
    locks = [folder.supervisor_lock, *folder.path.glob("*/lock")]
    return [pid for pid in map(liveness.holder, locks) if pid is not None]


def digests(program: Program, experiment: str | None = None) -> dict[str, str]:
    """Run -> weights_sha256."""
    done = program("compare", *([experiment] if experiment else []), "--json")
    return {run["run"]: run["weights_sha256"] for model in done.json()["models"] for run in model["runs"]}


def trained(folder: ExperimentDir, run: str) -> int:
    """The last step that the log of `run` holds."""
    state = read_state(folder).state.runs
    return state[run].step if run in state else 0


def training(program: Program) -> bool:
    """Whether the newest experiment has begun to train."""
    folder = next(experiments(program.runs), None)
    return folder is not None and trained(folder, "base-s0") > 0


def test_lines_when_piped_one_for_each_epoch_and_run_and_the_table(finished: Program) -> None:
    text = (finished.folder / "stdout.txt").read_text()
    epochs = [line for line in text.splitlines() if re.search(r" epoch +\d+/2 ", line)]
    assert len(epochs) == 6
    for line in epochs:
        assert re.search(r"train loss \d\.\d+ .*test accuracy \d+\.\d\d % .*[\d,]+ images/s", line)
    assert re.search(r"^parameters +[\d,]+ +[\d,]+ +[\d,]+$", text, re.MULTILINE)
    assert f"files: {finished.newest().path}" in text
    assert "\x1b" not in text


def test_compare_json_is_the_contract(finished: Program) -> None:
    found = finished("compare", "--json").json()
    assert found["experiment"] == finished.newest().id
    assert (found["state"], found["dataset"], found["epochs"]) == ("finished", "synthetic", 2)
    assert [model["model"] for model in found["models"]] == ["base", "se", "self-attention"]
    assert [model["class"] for model in found["models"]] == ["CNN_Base", "CNN_SE", "CNN_SelfAttention"]
    assert [model["parameters"] for model in found["models"]] == [50186, 53258, 128955]
    for model in found["models"]:
        (run,) = model["runs"]
        assert (run["seed"], run["state"], run["epoch"]) == (0, "finished", 2)
        assert 0 < run["test_accuracy"] < 1
        assert run["images_per_second"] == pytest.approx(2 * 1200 / run["train_seconds"], rel=1e-3)


def test_what_was_saved_is_what_was_reported(finished: Program) -> None:
    folder = finished.newest()
    for model in finished("compare", "--json").json()["models"]:
        (run,) = model["runs"]
        weights = load_file(folder.run(run["run"]).weights)
        digest = hashlib.sha256()
        for name in sorted(weights):
            digest.update(np.ascontiguousarray(weights[name], dtype="<f4").tobytes())
        assert digest.hexdigest() == run["weights_sha256"]
        with np.load(folder.run(run["run"]).predictions, allow_pickle=False) as saved:
            accuracy = float((saved["logits"].argmax(1) == saved["labels"]).mean())
        assert accuracy == pytest.approx(run["test_accuracy"], abs=1e-9)


def test_an_experiment_is_private_and_leaves_nothing_running(finished: Program) -> None:
    folder = finished.newest()
    for path in [folder.path, *folder.path.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert alive(folder) == []
    assert [path for path in folder.path.rglob("*") if path.name.endswith(".tmp")] == []
    assert folder.supervisor_log.read_text() == ""


def test_ls_lists_it(finished: Program) -> None:
    (row,) = finished("ls", "--json").json()
    assert (row["state"], row["finished"], row["runs"]) == ("finished", 3, 3)
    assert finished.newest().id in finished("ls").out


def test_attach_to_a_finished_experiment_shows_its_result(finished: Program) -> None:
    for where in ({}, {"TERM": "xterm-256color"}):  # without a terminal there is no dashboard
        done = finished("attach", env=where)
        assert done.code == 0
        assert "parameters" in done.out
        assert "\x1b" not in done.out


def test_resume_of_a_finished_experiment_prints_the_table(finished: Program) -> None:
    done = finished("resume", "--no-ui")
    assert (done.code, "parameters" in done.out) == (0, True)


def test_a_live_display_on_a_terminal(program: Program) -> None:
    import pty

    parent, child = pty.openpty()
    environment = {"TERM": "xterm-256color"}
    process = program.start("--no-ui", *SMALL, "--epochs", "1", "--models", "base", stdout=child, env=environment)
    os.close(child)
    shown = b""
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(parent)
    assert process.wait() == 0
    assert b"Ctrl+C stops" in shown
    assert b"parameters" in shown


def test_jobs_order_and_company_change_no_weight(program: Program, finished: Program) -> None:
    """Two workers, another order of the models, another experiment at the same time: the same bits."""
    program.environment["OMP_NUM_THREADS"] = "2"
    company = program("--no-ui", *SMALL, "--epochs", "2000", "--models", "base", "--detach", "--name", "company")
    assert company.code == 0
    done = program("--no-ui", *SMALL, "--epochs", "2", "--models", "self-attention,se,base", "--jobs", "2")
    assert done.code == 0, done.err
    assert "also used by experiment" in done.err
    assert digests(program) == digests(finished)


def test_json_prints_every_event_and_last_how_it_ended(program: Program) -> None:
    done = program("--json", *SMALL, "--epochs", "1", "--models", "se", "--seeds", "2")
    assert done.code == 0
    events = [json.loads(line) for line in done.out.splitlines()]
    last = {"type": "experiment_finished", "experiment": program.newest().id, "state": "finished"}
    assert events[-1] == last
    assert [event["run"] for event in events if event["type"] == "run_ended"] == ["se-s0", "se-s1"]
    assert {event["run"] for event in events if event["type"] == "epoch"} == {"se-s0", "se-s1"}
    assert sum(event["type"] == "experiment_finished" for event in events) == 1


def test_a_first_interrupt_stops_keeps_and_prints(program: Program) -> None:
    process = program.start("--no-ui", *SMALL, "--epochs", "500", "--models", "base")
    eventually(lambda: training(program))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=240)
    folder = program.newest()
    assert process.returncode == 130
    assert "stopped" in out
    assert "Press Ctrl+C again" in err
    assert read_state(folder).state.state == "stopped"
    assert alive(folder) == []
    assert list(folder.run("base-s0").checkpoints.glob("step-*.pt"))


def test_a_second_interrupt_ends_it_at_once(program: Program) -> None:
    process = program.start("--no-ui", *SMALL, "--epochs", "500", "--models", "base")
    eventually(lambda: training(program))
    folder = program.newest()
    worker = liveness.holder(folder.run("base-s0").lock)
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)  # a worker that doesn't listen any more
    process.send_signal(signal.SIGINT)
    eventually(lambda: folder.control.exists() and b"stop" in folder.control.read_bytes())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=240)
    assert process.returncode == 130
    eventually(lambda: not alive(folder))


def test_sigterm_stops_and_exits_143(program: Program) -> None:
    process = program.start("--no-ui", *SMALL, "--epochs", "500", "--models", "base")
    eventually(lambda: training(program))
    process.terminate()
    process.communicate(timeout=240)
    assert process.returncode == 143
    assert read_state(program.newest()).state.state == "stopped"


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGKILL, "closed pipe"])
def test_the_training_outlives_whoever_watches(program: Program, how: Any) -> None:
    process = program.start("--no-ui", *SMALL, "--epochs", "6", "--models", "base")
    eventually(lambda: training(program))
    if how == "closed pipe":
        assert process.stdout is not None
        process.stdout.close()
    else:
        process.send_signal(how)
    process.wait(timeout=240)
    if process.stderr is not None:
        assert "Traceback" not in process.stderr.read()
    attached = program("attach", "--no-ui")
    assert attached.code == 0
    assert read_state(program.newest()).state.runs["base-s0"].state == "finished"
    assert alive(program.newest()) == []


def test_steering_by_commands(program: Program) -> None:
    assert program("--detach", *SMALL, "--epochs", "400", "--models", "base,se").code == 0
    folder = program.newest()
    eventually(lambda: trained(folder, "base-s0") > 0)
    assert program("pause", "--run", "se-s0").code == 0
    assert read_state(folder).state.runs["se-s0"].state == "paused"
    assert program("unpause").code == 0
    assert program("skip", "--run", "se-s0").code == 0
    eventually(lambda: read_state(folder).state.runs["se-s0"].state == "skipped")
    assert program("pause", "--run", "nobody").code == 2
    assert program("stop").code == 0
    eventually(lambda: not alive(folder))
    assert read_state(folder).state.runs["base-s0"].state == "stopped"
    assert program("stop").code == 2


def test_a_loss_that_is_not_finite_ends_its_run_and_says_at_which_step(program: Program) -> None:
    options = ("--epochs", "2", "--models", "base,self-attention", "--precision", "fp32")
    done = program("--no-ui", *SMALL, *options, "--lr", "1000")
    runs = read_state(program.newest()).state.runs
    broken = runs["self-attention-s0"]
    assert (broken.state, runs["base-s0"].state) == ("failed", "finished")
    assert re.search(r"the loss became (NaN|infinite) at step \d+", broken.reason or "")
    assert math.isnan(broken.losses[-1]) or math.isinf(broken.losses[-1])
    assert f"step {int(broken.steps[-1])}" in (broken.reason or "")
    assert done.code == 3
    assert "failed" in done.out
    found = program("compare", "--json").json()["models"][1]
    assert (broken.diverged, found["runs"][0]["counts"], found["test_accuracy"]["mean"]) == (True, True, 0.1)
    assert "diverged: it enters means and verdicts with the accuracy of guessing, 10.00 %" in done.out


@pytest.mark.parametrize("command", ["stop", "pause", "skip", "unpause", "retry"])
def test_there_is_nothing_to_steer_in_a_finished_experiment(finished: Program, command: str) -> None:
    done = finished(command)
    assert done.code == 2
    assert done.err == f"tui-attn: {finished.newest().id} is finished: there is nothing to {command}\n"
