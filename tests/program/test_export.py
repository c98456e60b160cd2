"""Exports by the program itself, read back by what they are meant for."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.program.conftest import Program
from tui_attn.experiment.follower import read_state

LOAD = """
import json, sys
import numpy as np, torch
from safetensors.torch import load_file
import models

config = json.load(open("config.json"))
network = getattr(models, config["architecture"])(config["in_channels"], config["image_size"], config["num_classes"])
network.load_state_dict(load_file("model.safetensors"))
network.eval()
images = torch.from_numpy(np.load(sys.argv[1])).float() / 255
norm = {key: torch.tensor(value)[:, None, None] for key, value in config["normalisation"].items()}
with torch.inference_mode():
    np.save(sys.argv[2], network((images - norm["mean"]) / norm["std"]).numpy())
"""


@pytest.fixture
def copy(finished: Program, tmp_path: Path) -> Program:
    """The finished experiment in a folder of its own, to write to."""
    made = Program(tmp_path)
    shutil.copytree(finished.runs, made.runs)
    return made


def test_weights_make_the_network_that_was_measured(finished: Program, tmp_path: Path) -> None:
    """With the exported files alone: no program, no installed `models`."""
    import numpy as np

    from tui_attn.data import synthetic

    out = tmp_path / "out"
    done = finished("export", "--safetensors", "--out", str(out))
    assert (done.code, done.out) == (0, f"{out}\n"), done.err
    folder = finished.newest()
    state = read_state(folder).state
    assert {path.name for path in out.iterdir() if path.is_dir()} == set(state.runs)
    images, labels = synthetic.make("test", 300)
    np.save(tmp_path / "images.npy", images)
    for run in state.runs.values():
        arguments = [str(tmp_path / "images.npy"), str(tmp_path / "logits.npy")]
        subprocess.run([sys.executable, "-c", LOAD, *arguments], cwd=out / run.id, check=True)
        logits = np.load(tmp_path / "logits.npy")
        with np.load(folder.run(run.id).predictions, allow_pickle=False) as kept:
            # They were measured in bfloat16 where the machine is fast at it, and are computed in float32 here.
            np.testing.assert_allclose(logits, kept["logits"], rtol=0.02, atol=0.02)
        right, told = float((logits.argmax(1) == labels).mean()), run.epochs[-1].test_accuracy
        assert right == pytest.approx(told, abs=0.01)
        config = json.loads((out / run.id / "config.json").read_text())
        assert config["results"]["test_accuracy"] == told
        card = (out / run.id / "README.md").read_text()
        assert f"{100 * told:.2f} %" in card
        assert run.weights_sha256 is not None
        assert run.weights_sha256 in card
        assert "one seed" in card.lower()


def test_damaged_weights_are_not_exported(copy: Program) -> None:
    folder = copy.newest()
    weights = folder.run("base-s0").weights
    data = bytearray(weights.read_bytes())
    data[-3] ^= 0xFF
    weights.write_bytes(data)
    done = copy("export", "--safetensors", "--run", "base-s0", "--out", "out")
    assert (done.code, done.out) == (2, "")
    assert "base-s0: weights.safetensors is damaged" in done.err
    assert not (copy.folder / "out").exists()
    assert copy("export", "--safetensors", "--out", "out").code == 0
    assert not (copy.folder / "out" / "base-s0").exists()


def test_event_files_in_the_runs_disturb_nothing(copy: Program) -> None:
    before = {command: copy(*command.split()).out for command in ("ls", "compare", "ls --json", "compare --json")}
    followed = copy("attach", "--no-ui").out
    done = copy("export", "--tensorboard")
    assert (done.code, done.out) == (0, f"{copy.newest().path}\n"), done.err
    (copy.runs / "events.out.tfevents.1.elsewhere").write_bytes(b"somebody's")
    (copy.runs / "another").mkdir()
    (copy.runs / "another" / "events.out.tfevents.1.elsewhere").write_bytes(b"somebody's")
    assert {command: copy(*command.split()).out for command in before} == before
    assert copy("attach", "--no-ui").out == followed
    assert copy("resume", "--no-ui").code == 0
    found = EventAccumulator(str(copy.newest().run("se-s0").path)).Reload()
    run = read_state(copy.newest()).state.runs["se-s0"]
    assert [event.value for event in found.Scalars("accuracy/test")] == pytest.approx(
        [result.test_accuracy for result in run.epochs]
    )


def test_all_kinds_fit_into_one_folder(finished: Program, tmp_path: Path) -> None:
    kinds = ("--csv", "--safetensors", "--tensorboard")
    out = str(tmp_path / "out")
    assert finished("export", *kinds, "--out", out).code == 0
    assert finished("export", *kinds, "--out", out).code == 0
    assert {path.name for path in (tmp_path / "out" / "se-s0").iterdir()} == {
        "README.md",
        "config.json",
        "events.out.tfevents.tui-attn",
        "model.safetensors",
        "models",
    }


MISTAKES = {
    "nothing asked": ([], "say what to export"),
    "no such run": (["--csv", "--run", "se-s9"], "has no run 'se-s9': it has base-s0"),
    "standard output": (["--csv", "--out", "-"], "name a folder"),
    "a folder in use": (["--csv", "--out", "mine"], "mine is not empty: choose another folder"),
    "no such experiment": (["nobody", "--csv"], "no experiment 'nobody'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(copy: Program, mistake: str) -> None:
    arguments, hint = MISTAKES[mistake]
    (copy.folder / "mine").mkdir()
    (copy.folder / "mine" / "notes").write_text("mine")
    before = sorted(copy.folder.rglob("*"))
    done = copy("export", *arguments)
    assert (done.code, done.out) == (2, "")
    assert hint in done.err
    assert len(done.err.splitlines()) == 1
    assert sorted(copy.folder.rglob("*")) == before


WITHOUT = "import sys; sys.modules['tensorboard'] = None; from tui_attn.cli import run; sys.exit(run(sys.argv[1:]))"


def test_without_the_extra_one_line_says_how_to_get_it(copy: Program) -> None:
    for arguments in (["export", "--tensorboard"], ["--tensorboard", "--dataset", "synthetic", "--no-ui"]):
        before = sorted(copy.folder.rglob("*"))
        command = [sys.executable, "-P", "-c", WITHOUT, *arguments]
        done = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert "pip install 'tui-attn[tensorboard]'" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert sorted(copy.folder.rglob("*")) == before


def test_event_files_are_kept_up_to_date_through_start_and_extend(program: Program) -> None:
    small = ("--models", "se", "--dataset", "synthetic", "--train-limit", "600", "--test-limit", "100")
    done = program("--no-ui", "--tensorboard", *small, "--epochs", "2", "--device", "cpu")
    assert done.code == 0, done.err
    folder = program.newest()
    first = folder.run("se-s0").path / "events.out.tfevents.tui-attn"
    written = first.read_bytes()
    # As on a machine without the extra: said at once, and trained all the same.
    command = [sys.executable, "-P", "-c", WITHOUT, "extend", "--seeds", "2", "--no-ui"]
    extended = subprocess.run(
        command, cwd=program.folder, env=program.environment, capture_output=True, text=True, check=False
    )
    assert extended.returncode == 0, extended.stderr
    (said,) = [line for line in extended.stderr.splitlines() if "TensorBoard" in line]
    assert said.startswith(f"{folder.id} trains on without TensorBoard's event files: ")
    assert said.endswith("pip install 'tui-attn[tensorboard]'")
    for run in read_state(folder).state.runs.values():
        found = EventAccumulator(str(folder.run(run.id).path)).Reload()
        assert [event.step for event in found.Scalars("loss/test")] == [result.step for result in run.epochs]
    assert program("export", "--tensorboard").code == 0
    assert first.read_bytes() == written
    assert (folder.path / "exporter.log").read_bytes() == b""
    assert read_state(folder).troubles() == []
