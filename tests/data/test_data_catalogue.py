"""What is known of the data sets by name."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tui_attn.data import DATASETS, DataError, DatasetInfo, dataset_info, parse_dataset
from tui_attn.data.download import allowed
from tui_attn.experiment import config


def test_the_configuration_knows_the_same_names() -> None:
    assert tuple(DATASETS) == config.DATASETS


@pytest.mark.parametrize("info", DATASETS.values(), ids=DATASETS)
def test_every_entry_is_complete(info: DatasetInfo) -> None:
    assert len(info.class_names) == len(set(info.class_names)) == (100 if info.name == "cifar100" else 10)
    assert len(info.mean) == len(info.std) == info.channels
    assert info.image_size % 4 == 0
    assert re.fullmatch("[0-9a-f]{12}", info.version)
    for file in info.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256 or file.gz_sha256), file.name
    urls = [*info.urls, *(info.archive.urls if info.archive else ())]
    assert all(url.startswith("https://") and allowed(url) for url in urls)
    assert bool(urls) == bool(info.files) == (info.name != "synthetic")
    if info.layout == "idx":
        pixels = info.image_size**2
        assert [file.size for file in info.files] == [
            16 + info.train_size * pixels,
            8 + info.train_size,
            16 + info.test_size * pixels,
            8 + info.test_size,
        ]
        assert all(file.gz_size for file in info.files)


def test_versions_and_pins_are_of_one_set_each() -> None:
    assert len({info.version for info in DATASETS.values()}) == len(DATASETS)
    digests = [file.sha256 or file.gz_sha256 for info in DATASETS.values() for file in info.files]
    assert len(set(digests)) == len(digests)


def test_torchvision_pins_the_same_files() -> None:
    """torchvision's MD5s of the archives can't be compared with ours; its names and folders can."""
    from torchvision import datasets

    for name, kind in (
        ("fashion-mnist", datasets.FashionMNIST),
        ("mnist", datasets.MNIST),
        ("kmnist", datasets.KMNIST),
    ):
        info = DATASETS[name]
        assert info.folder == f"{kind.__name__}/raw"
        assert {f"{file.name}.gz" for file in info.files} == {resource[0] for resource in kind.resources}
    for name, kind in (("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)):
        info = DATASETS[name]
        assert info.folder == kind.base_folder
        assert [file.name for file in info.files] == [
            *(entry[0] for entry in kind.train_list + kind.test_list),
            kind.meta["filename"],
        ]
    assert DATASETS["fashion-mnist"].class_names == tuple(datasets.FashionMNIST.classes)
    assert DATASETS["kmnist"].class_names == tuple(datasets.KMNIST.classes)


def test_a_name_is_taken_in_any_case() -> None:
    assert parse_dataset(" Fashion-MNIST ") == "fashion-mnist"
    assert dataset_info("CIFAR10") is DATASETS["cifar10"]


@pytest.mark.parametrize(("text", "near"), [("fashon-mnist", "fashion-mnist"), ("cifar-10", "cifar10")])
def test_an_unknown_name_gets_the_nearest_one(text: str, near: str) -> None:
    with pytest.raises(DataError, match=f"unknown data set '{text}'; did you mean '{near}'.*known: fashion-mnist"):
        parse_dataset(text)


@pytest.mark.parametrize("text", ["", "../etc", "imagenet", "x\x1b]0;title\x07", "folder:", "folder:a\x1b[2J"])
def test_a_bad_name_is_refused_in_two_plain_lines(text: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_dataset(text)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    assert "\x1b" not in message


def test_the_package_is_cheap_to_import() -> None:
    heavy = [
        "numpy",
        "torch",
        "torchvision",
        "rich",
        "textual",
        "ssl",
        "urllib.request",
        "subprocess",
        "tarfile",
        "gzip",
    ]
    script = f"import sys, tui_attn.data; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_finding_and_verifying_need_no_numpy_either() -> None:
    script = "import sys; from tui_attn.data import ensure, verify; assert not verify(ensure('synthetic')); "
    script += "print('numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
