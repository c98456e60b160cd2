"""Bad input: an error of two lines at most that says what to do, exit code 2, and nothing written."""

import contextlib
import fcntl
import os
import pty
import struct
import termios
from pathlib import Path

import pytest

from tests.program.conftest import Program, harmless
from tui_attn.cli import run

MISTAKES = {
    "unknown model": (["--models", "resnet"], "base, se, self-attention"),
    "misspelt model": (["--models", "base,sse"], "did you mean 'se'"),
    "no model": (["--models", ","], "--models: is empty"),
    "unknown data set": (["--dataset", "fashion"], "did you mean 'fashion-mnist'"),
    "unknown device": (["--device", "tpu"], "use auto, all, cpu, mps, cuda"),
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
    "a word for a number": (["--epochs", "abc"], "--epochs: must be a whole number from 1 to 1,000,000, not abc"),
    "a space after a comma": (["--models", "base,", "se"], "write a list without spaces, as in base,se"),
    "blanks for commas": (["--models", "base se"], "separate names with commas"),
    "a path for a data set": (["--dataset", "./flowers"], "a folder of images is written folder:./flowers"),
    "an address for a data set": (["--dataset", "https://a.b/c.zip"], "choose from fashion-mnist"),
    "a number of the GPU": (["--device", "0"], "use auto, all, cpu, mps, cuda, or a list such as cuda:0,cuda:1"),
    "a GPU in capitals": (["--device", "GPU:7"], "--device: "),
    "nothing for a path": (["--runs-dir="], "--runs-dir: is empty"),
    "nothing for the file": (["--config="], "--config: is empty"),
    "nobody's home": (["--data-dir", "~no-such-user/x"], "~no-such-user/x: there is no such user"),
    "unknown option": (["--epoch", "3"], "--epochs"),
    "unknown command": (["atach"], "atach"),
    "runs folder that can't be made": (["--dataset", "synthetic", "--runs-dir", "a-file/runs"], "--runs-dir"),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_two_lines_and_nothing_else(
    here: Path, mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, hint = MISTAKES[mistake]
    (here / "a-file").write_text("in the way")
    assert run(["--no-ui", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert hint in err
    assert 1 <= len(err.splitlines()) <= 2
    harmless(err)
    assert [path.name for path in here.iterdir()] == ["a-file"]


@pytest.mark.parametrize("command", ["attach", "compare", "resume", "stop", "pause", "unpause", "skip", "retry", "ls"])
def test_a_command_with_nothing_there_is_one_line(here: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "tui-attn" in err


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


def test_a_shell_leaves_a_tilde_after_an_equals_sign(program: Program) -> None:
    home = {"HOME": str(program.folder)}
    done = program("ls", "--runs-dir=~/mine", env=home)
    assert done.err.startswith(f"tui-attn: no experiment in {program.folder}/mine")
    for arguments in (["data", "--data-dir=~no-such-user/x"], ["compare", "--report=~no-such-user/x"]):
        assert "there is no such user" in program(*arguments).err
    assert not (program.folder / "~no-such-user").exists()
    (program.folder / "lab.toml").write_text("epochs = 7\n")
    done = program("--config=~/lab.toml", "config", "--json", env=home)
    assert done.json()["settings"]["epochs"]["value"] == 7


def test_a_set_without_files_has_no_place(program: Program) -> None:
    lines = program("data").out.splitlines()
    (line,) = [line for line in lines if line.startswith("synthetic")]
    assert line.endswith("made on the spot")


@pytest.mark.parametrize("columns", ["0", "1", "-5", "wide", "9" * 30])
def test_help_and_errors_on_a_terminal_of_no_width(program: Program, columns: str) -> None:
    done = program("--help", env={"COLUMNS": columns})
    assert (done.code, done.err) == (0, "")
    assert "--epochs" in done.out
    done = program("--epochs", "abc", env={"COLUMNS": columns})
    assert (done.code, len(done.err.splitlines())) == (2, 1)


def test_help_on_a_terminal_of_zero_columns(program: Program) -> None:
    terminal, device = pty.openpty()
    fcntl.ioctl(device, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
    process = program.start("ls", "--help", stdout=device, stderr=device)
    os.close(device)
    shown = b""
    with contextlib.suppress(OSError):  # EIO: the program has closed its end
        while part := os.read(terminal, 4096):
            shown += part
    os.close(terminal)
    assert process.wait() == 0
    assert b"List the experiments and studies, newest first." in shown


def test_an_empty_home_is_not_the_root_folder(program: Program) -> None:
    done = program("config", env={"HOME": "", "XDG_CONFIG_HOME": ""})
    assert done.code == 0
    assert not done.out.startswith("file: /.config")
