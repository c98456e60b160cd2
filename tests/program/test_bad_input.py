"""Bad input: an error of two lines at most that says what to do, exit code 2, and nothing written."""

from pathlib import Path

import pytest

from tests.program.conftest import Program

MISTAKES = {
    "unknown model": (["--models", "resnet"], "base, se, self-attention"),
    "misspelt model": (["--models", "base,sse"], "did you mean 'se'"),
    "no model": (["--models", ","], "--models: is empty"),
    "unknown data set": (["--dataset", "fashion"], "did you mean 'fashion-mnist'"),
    "unknown device": (["--device", "tpu"], "use auto, cpu, mps, cuda"),
    "a GPU that isn't there": (["--device", "cuda:7"], "--device: "),
    "zero epochs": (["--epochs", "0"], "--epochs: must be a whole number from 1"),
    "epochs x": (["--epochs", "x"], "--epochs"),
    "lr nan": (["--lr", "nan"], "--lr: must be a number above 0"),
    "lr negative": (["--lr", "-0.1"], "--lr: must be a number above 0"),
    "lr infinite": (["--lr", "inf"], "--lr: must be a number above 0"),
    "batch size 0": (["--batch-size", "0"], "--batch-size: must be a whole number"),
    "seeds 0": (["--seeds", "0"], "--seeds: must be a whole number"),
    "unknown precision": (["--precision", "fp8"], "choose from auto, fp32, bf16"),
    "unknown augmentation": (["--augment", "mixup"], "choose from crop, flip"),
    "jobs 0": (["--jobs", "0"], "--jobs: must be a whole number"),
    "control characters": (["--name", "a\x1b[2Jb"], "control characters"),
    "data folder missing": (["--dataset", "fashion-mnist", "--data-dir", "nowhere"], "does not exist"),
    "image folder missing": (["--dataset", "folder:nowhere"], "nowhere"),
    "config missing": (["--config", "nowhere.toml"], "nowhere.toml"),
    "unknown option": (["--epoch", "3"], "--epochs"),
    "unknown command": (["atach"], "atach"),
    "runs folder that can't be made": (["--dataset", "synthetic", "--runs-dir", "a-file/runs"], "--runs-dir"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_two_lines_and_nothing_else(program: Program, mistake: str) -> None:
    arguments, hint = MISTAKES[mistake]
    (program.folder / "a-file").write_text("in the way")
    before = sorted(program.folder.iterdir())
    done = program("--no-ui", *arguments)
    assert done.code == 2
    assert done.out == ""
    assert hint in done.err
    assert 1 <= len(done.err.splitlines()) <= 2
    assert "\x1b" not in done.err
    assert "Traceback" not in done.err
    assert sorted(program.folder.iterdir()) == before


@pytest.mark.parametrize("command", ["attach", "compare", "resume", "stop", "pause", "unpause", "skip", "retry", "ls"])
def test_a_command_with_nothing_there_is_one_line(program: Program, command: str) -> None:
    done = program(command)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert "tui-attn" in done.err


@pytest.mark.parametrize("target", ["nobody", ".", "..", "/etc", "a\x1b[2Jb", ""])
def test_what_is_no_experiment_of_ours_is_refused(finished: Program, target: str) -> None:
    done = finished("compare", target)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert "\x1b" not in done.err


def test_a_corrupted_file_in_the_data_folder_is_named(program: Program) -> None:
    raw = program.folder / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, size in (
        ("train-images-idx3", 47040016),
        ("train-labels-idx1", 60008),
        ("t10k-images-idx3", 7840016),
        ("t10k-labels-idx1", 10008),
    ):
        with (raw / f"{name}-ubyte").open("wb") as file:
            file.truncate(size)
    done = program("--no-ui", "--data-dir", "data")
    assert (done.code, done.out) == (2, "")
    assert "-ubyte" in done.err
    assert len(done.err.splitlines()) <= 2
    assert not program.runs.exists()


def test_config_file_errors_name_the_nearest_key(program: Program, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("epoch = 3\n")
    done = program("--no-ui", "--config", "c.toml")
    assert done.code == 2
    assert "did you mean 'epochs'" in done.err
