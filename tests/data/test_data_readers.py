"""Reading idx files and CIFAR's pickles, sound and hostile ones."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.small_sets import Made, batch_pickle, idx_bytes, make_cifar_set, make_idx_set, sha256, some_images
from tui_attn.data.base import Arrays, DataError
from tui_attn.data.cifar import decode_batch, loads
from tui_attn.data.files import DamagedError
from tui_attn.data.locate import located
from tui_attn.data.reading import load_info


def load(made: Made, folder: Path, train_limit: int | None = None, test_limit: int | None = None) -> Arrays:
    made.write_raw(folder)
    return load_info(made.info, located(made.info, folder, "test"), train_limit, test_limit)


@pytest.mark.parametrize("made", [make_idx_set(), make_cifar_set()], ids=["idx", "cifar"])
@pytest.mark.parametrize("limits", [(None, None), (7, 3), (33, 1), (1000, 1000)])
def test_what_is_read_is_what_was_written(made: Made, limits: tuple[int | None, int | None], tmp_path: Path) -> None:
    arrays = load(made, tmp_path, *limits)
    train, test = limits
    np.testing.assert_array_equal(arrays.train_images, made.train[0][:train])
    np.testing.assert_array_equal(arrays.train_labels, made.train[1][:train])
    np.testing.assert_array_equal(arrays.test_images, made.test[0][:test])
    np.testing.assert_array_equal(arrays.test_labels, made.test[1][:test])
    assert arrays.class_names == made.info.class_names
    assert arrays.train_images.dtype == np.uint8
    assert arrays.train_labels.dtype == np.int64
    assert arrays.train_images.flags.c_contiguous
    assert arrays.train_images.flags.writeable


@pytest.mark.parametrize("made", [make_idx_set(), make_cifar_set()], ids=["idx", "cifar"])
def test_a_limit_below_one_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 1"):
        load(made, tmp_path, 0)


@pytest.mark.parametrize("made", [make_idx_set(), make_cifar_set()], ids=["idx", "cifar"])
def test_a_file_that_changed_since_it_was_found_is_noticed(made: Made, tmp_path: Path) -> None:
    name = made.info.files[0].name
    damaged = bytearray(made.raw[name])
    damaged[-10] ^= 1
    with pytest.raises(DataError, match=f"{name} .*SHA-256"):
        load(replace(made, raw=made.raw | {name: bytes(damaged)}), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"{name} cannot be read: no such file"):
        load_info(made.info, located(made.info, tmp_path, "test"), None, None)


def repinned(made: Made, name: str, content: bytes) -> Made:
    """`made` with other bytes in one file, pinned as if they were right: what is left are the format's own checks."""
    files = tuple(
        file._replace(size=len(content), sha256=sha256(content)) if file.name == name else file
        for file in made.info.files
    )
    return replace(made, info=replace(made.info, files=files), raw=made.raw | {name: content})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\x00\x00\x08\x01" + idx_bytes(np.zeros((40, 8, 8), np.uint8))[4:], "is not an idx file of 40 x 8 x 8"),
        (b"\x00\x00\x0d\x03" + idx_bytes(np.zeros((40, 8, 8), np.uint8))[4:], "is not an idx file"),
        (idx_bytes(np.zeros((39, 8, 8), np.uint8)), "is not an idx file"),
        (idx_bytes(np.zeros((40, 8, 8), np.uint8)) + b"x", "is 2,577 bytes long, not 2,576"),
        (idx_bytes(np.zeros((40, 8, 8), np.uint8))[:-1], "is 2,575 bytes long, not 2,576"),
        (b"\x00\x00", "is not an idx file"),
        (b"", "is not an idx file"),
    ],
)
def test_an_idx_header_must_say_what_is_there(content: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=why):
        load(repinned(make_idx_set(), "train-images-idx3-ubyte", content), tmp_path)


def test_an_idx_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    content = idx_bytes(np.full(12, 10, dtype=np.uint8))
    with pytest.raises(DataError, match="holds the label 10, and there are 10 classes"):
        load(repinned(make_idx_set(), "t10k-labels-idx1-ubyte", content), tmp_path)


def test_an_error_names_the_file_and_a_way_out_in_two_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(repinned(make_idx_set(), "train-images-idx3-ubyte", b"junk"), tmp_path)
    first, second = str(caught.value).splitlines()
    assert first.startswith(str(tmp_path / "train-images-idx3-ubyte"))
    assert "tui-attn data" in second


def test_the_bytes_of_a_batch_are_those_of_python_2() -> None:
    """Python's own unpickler, which torchvision uses, reads our made batches as it reads CIFAR's."""
    images, labels = some_images(2100, 3, 8, 10, seed=5)
    content = batch_pickle(images, labels.tolist())
    entry = pickle.loads(content, encoding="latin1")
    np.testing.assert_array_equal(entry["data"], images.reshape(2100, -1))
    assert entry["labels"] == labels.tolist()
    assert content.startswith(
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(K"
    )
    batch = loads(content)
    assert set(batch) == {b"batch_label", b"labels", b"data", b"filenames"}


def test_torchvision_reads_what_we_read(tmp_path: Path) -> None:
    import hashlib

    from torchvision import datasets

    made = make_cifar_set(side=32)
    made.write_raw(tmp_path / "made-batches-py")
    md5 = {name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in made.raw.items()}

    pins = {
        "base_folder": "made-batches-py",
        "train_list": [[f"data_batch_{n}", md5[f"data_batch_{n}"]] for n in range(1, 6)],
        "test_list": [["test_batch", md5["test_batch"]]],
        "meta": {"filename": "batches.meta", "key": "label_names", "md5": md5["batches.meta"]},
    }
    theirs = type("MadeCIFAR", (datasets.CIFAR10,), pins)(tmp_path, train=True)
    ours = load_info(made.info, located(made.info, tmp_path / "made-batches-py", "test"), None, None)
    np.testing.assert_array_equal(ours.train_images, theirs.data.transpose(0, 3, 1, 2))
    assert ours.train_labels.tolist() == theirs.targets


class Evil:
    """A pickle that calls something as soon as it is read."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.what = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.what


def hostile() -> dict[str, bytes]:
    import builtins
    import os
    import subprocess

    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n"
    return {
        "os.system": pickle.dumps({"data": Evil(os.system, "touch {canary}")}, 2),
        "eval": pickle.dumps(Evil(builtins.eval, "open('{canary}', 'w')"), 2),
        "open": pickle.dumps(Evil(builtins.open, "{canary}", "w"), 0),
        "subprocess": pickle.dumps(Evil(subprocess.Popen, ["touch", "{canary}"]), 4),
        "INST": b"(S'touch {canary}'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nU\x0etouch {canary}o.",
        "numpy.load": b"cnumpy\nload\n(U\x08{canary}tR.",
        "another numpy function": b"cnumpy.core.multiarray\narray\n(K\x01tR.",
        "dotted name": b"\x80\x04cnumpy\nndarray.tofile\n.",
        "stand-in's attributes": reconstruct + b"}U\x09__class__K\x01sb.",
        "stand-in's slots": reconstruct + b"N}U\x08__call__K\x01s\x86b.",
        "array of another kind": reconstruct + b"(cnumpy\ndtype\nK\x00\x85U\x01btR.",
        "state on a kind": b"cnumpy\nndarray\n}U\x01aK\x01sb.",
        "new object": b"\x80\x02cnumpy\nndarray\n)\x81.",
        "extension code": b"\x82\x01.",
        "persistent id": b"U\x01aQ.",
        "out of order": b"tb.",
        "cut off": b"\x80\x02}q\x01(U\x04data",
        "endless nesting": b"(" * 100_000,
        "nothing": b"",
    }


@pytest.mark.parametrize("kind", hostile())
def test_a_hostile_pickle_runs_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = hostile()[kind].replace(b"{canary}", b"./canary")
    with pytest.raises(DamagedError, match="is not a batch of CIFAR") as caught:
        loads(content)
    assert list(tmp_path.iterdir()) == []
    assert len(str(caught.value)) < 200
    images, labels = some_images(3, 3, 8, 10, seed=0)  # and the reader is none the worse for it
    read, _ = decode_batch(loads(batch_pickle(images, labels.tolist())), make_cifar_set().info)
    np.testing.assert_array_equal(read, images)


def test_a_hostile_batch_ends_in_an_error_for_the_user(tmp_path: Path) -> None:
    """Even one that is pinned, as if somebody had pinned the wrong digest."""
    import os

    content = pickle.dumps({"data": Evil(os.system, f"touch {tmp_path}/canary"), "labels": []}, 2)
    with pytest.raises(DataError, match=r"names posix\.system, which no batch has"):
        load(repinned(make_cifar_set(), "data_batch_3", content), tmp_path)
    assert not (tmp_path / "canary").exists()


def test_a_hostile_batch_that_is_not_pinned_is_not_even_opened(tmp_path: Path) -> None:
    made = make_cifar_set()
    (made.write_raw(tmp_path) / "data_batch_1").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(DataError, match="is 23 bytes long, not"):
        load_info(made.info, located(made.info, tmp_path, "test"), None, None)


def batches() -> dict[str, tuple[bytes, str]]:
    images, labels = some_images(4, 3, 8, 10, seed=0)
    some = labels.tolist()
    return {
        "label too large": (batch_pickle(images, [0, 1, 2, 10]), "labels that are not 0 to 9"),
        "negative label": (batch_pickle(images, [0, 1, 2, -1]), "labels that are not 0 to 9"),
        "label is no number": (batch_pickle(images, [0, 1, 2, b"3"]), "labels that are not 0 to 9"),
        "too few labels": (batch_pickle(images, some[:3]), "no label for each of its 4 images"),
        "labels under another name": (batch_pickle(images, some, b"coarse_labels"), "no label for each"),
        "another kind of number": (batch_pickle(images, some, code=b"i1"), "not of two dimensions and unsigned bytes"),
        "objects": (batch_pickle(images, some, code=b"O8"), "not of two dimensions and unsigned bytes"),
        "another width": (batch_pickle(images[:, :2], some), "images of 128 bytes"),
        "no images": (pickle.dumps({b"labels": [1]}, 3), "has no images"),
        "a list": (pickle.dumps([1, 2], 2), "has no images"),
        "images as a list": (pickle.dumps({b"data": [1], b"labels": [1]}, 3), "has no images"),
    }


@pytest.mark.parametrize("kind", batches())
def test_a_batch_of_the_wrong_make_is_refused(kind: str) -> None:
    content, why = batches()[kind]
    with pytest.raises(DamagedError, match=why):
        decode_batch(loads(content), make_cifar_set().info)


def test_an_array_that_says_more_than_it_holds_is_refused() -> None:
    images, labels = some_images(4, 3, 8, 10, seed=0)
    content = batch_pickle(images, labels.tolist())
    assert content.count(b"(K\x01K\x04K\xc0\x86") == 1
    with pytest.raises(DamagedError, match="768 in all"):
        decode_batch(loads(content.replace(b"(K\x01K\x04K\xc0\x86", b"(K\x01K\x05K\xc0\x86")), make_cifar_set().info)


def test_protocols_beyond_python_2s_give_the_same_types_only() -> None:
    stream = io.BytesIO()
    pickle.Pickler(stream, 5).dump({b"a": [1, (2, "x")], b"b": b"bytes"})
    assert loads(stream.getvalue()) == {b"a": [1, (2, "x")], b"b": b"bytes"}
