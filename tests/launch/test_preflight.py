"""What is said of the data and the devices before a start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.processes import TAKE_SLOTS, python, said
from tui_attn.launch.devices import Machine
from tui_attn.launch.preflight import device_choices, of_data, of_devices

CPU = Machine(gpus=0, torch_version="2.11.0", torch_cuda=None, mps=False)
GPUS = Machine(gpus=2, torch_version="2.11.0", torch_cuda="13.0", mps=False)
MEMORY = {"cuda:0": (3_000_000_000, 80_000_000_000)}


pytestmark = pytest.mark.usefixtures("own_folders")


def test_what_must_be_downloaded_is_said_with_its_size() -> None:
    found = of_data("cifar10", None)
    assert found.status.text == "not here: 170.5 MB to download at the start"
    assert found.status.level == "warning"
    assert found.sizes == (50_000, 10_000)


def test_what_is_made_on_the_spot_needs_no_download() -> None:
    found = of_data("synthetic", None)
    assert (found.status.text, found.status.level) == ("generated, nothing to download", "ok")


def test_a_folder_of_images_is_counted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "images" / name / f"{number}.png").write_bytes(b"x" * 100)
    found = of_data(f"folder:{tmp_path / 'images'}", None)
    assert (found.status.text, found.status.level) == ("here, 20 images in 2 classes", "ok")
    assert found.sizes == (16, 4)


def test_what_can_t_be_used_says_why(tmp_path: Path) -> None:
    missing = of_data(f"folder:{tmp_path / 'none'}", None)
    assert missing.status.level == "wrong"
    assert missing.sizes is None
    assert "does not exist" in of_data("fashion-mnist", str(tmp_path / "none")).status.text


def test_choices_are_what_the_machine_has() -> None:
    assert device_choices(CPU) == ("auto", "cpu")
    assert device_choices(GPUS) == ("auto", "cpu", "cuda:0", "cuda:1", "all")
    assert device_choices(Machine(0, "2.11.0", None, True)) == ("auto", "cpu", "mps")


def test_free_memory_and_other_experiments_are_said(tmp_path: Path) -> None:
    assert of_devices("cuda:0", GPUS, MEMORY).text == "77.0 GB of 80.0 GB free, no other experiment on it"
    assert of_devices("auto", GPUS, {}).text == "cuda:0: no other experiment on it"
    locks = tmp_path / "state" / "tui-attn" / "devices"

    with python(TAKE_SLOTS, locks / os.uname().nodename, "20260101-other", 1, "cuda:1") as other:
        said(other)
        remark = of_devices("cuda:0,cuda:1", GPUS, MEMORY)
    assert remark.level == "warning"
    assert remark.text.endswith("cuda:1: shared with 20260101-other")


def test_a_device_that_isn_t_here_is_refused_in_the_words_of_the_command_line() -> None:
    remark = of_devices("cuda:7", GPUS, {})
    assert (remark.text, remark.level) == ("there is no cuda:7 here, only cuda:0, cuda:1", "wrong")
    assert of_devices("cuda", CPU, {}).level == "wrong"
