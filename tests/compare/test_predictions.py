"""Saved predictions: what is good is read, and whatever else is told in words."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui_attn.compare.predictions import PredictionsError, load_predictions

LOGITS = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 3, 1]]
LABELS = np.array([0, 1, 2, 3, 0, 0])


def save(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.uint8])
def test_what_a_worker_saves_is_read(tmp_path: Path, dtype: type) -> None:
    found = load_predictions(save(tmp_path / "p.npz", logits=LOGITS, labels=LABELS.astype(dtype)))
    assert found.logits.tolist() == LOGITS.tolist()
    assert found.labels.tolist() == LABELS.tolist()
    assert found.labels.dtype.name == "int64"
    assert found.right.tolist() == [True, True, True, True, False, False]
    assert found.accuracy == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"logits": LOGITS}, "damaged"),
        ({"labels": LABELS}, "damaged"),
        ({"logits": LOGITS, "labels": LABELS[:-1]}, "don't fit"),
        ({"logits": LOGITS[0], "labels": LABELS}, "wrong shape"),
        ({"logits": LOGITS[:, :1], "labels": LABELS * 0}, "wrong shape"),
        ({"logits": LOGITS[:0], "labels": LABELS[:0]}, "wrong shape"),
        ({"logits": LOGITS.astype(int), "labels": LABELS}, "wrong shape or type"),
        ({"logits": LOGITS, "labels": LABELS.astype(float)}, "don't fit"),
        ({"logits": LOGITS, "labels": LABELS + 1}, "no logits for"),
        ({"logits": LOGITS, "labels": LABELS - 1}, "no logits for"),
        ({"logits": np.where(LOGITS > 0, np.nan, LOGITS), "labels": LABELS}, "not numbers"),
        ({"logits": np.where(LOGITS > 0, np.inf, LOGITS), "labels": LABELS}, "not numbers"),
        ({"logits": LOGITS.astype(object), "labels": LABELS}, "damaged|another size"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(PredictionsError, match=words):
        load_predictions(save(tmp_path / "p.npz", **arrays))


def test_other_files_are_refused(tmp_path: Path) -> None:
    good = save(tmp_path / "good.npz", logits=LOGITS, labels=LABELS)
    link, pipe, folder = tmp_path / "link.npz", tmp_path / "pipe.npz", tmp_path / "folder.npz"
    link.symlink_to(good)
    os.mkfifo(pipe)
    folder.mkdir()
    for path, words in [(link, "not a file"), (pipe, "not a file"), (folder, "not a file")]:
        with pytest.raises(PredictionsError, match=words):
            load_predictions(path)
    with pytest.raises(PredictionsError, match="is missing"):
        load_predictions(tmp_path / "none.npz")


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr("logits.npy", header.getvalue() + pickle.dumps(Trap()))
        archive.writestr("labels.npy", header.getvalue() + pickle.dumps(Trap()))
    with pytest.raises(PredictionsError):
        load_predictions(tmp_path / "p.npz")
    assert not (tmp_path / "sprung").exists()


def test_an_array_that_claims_to_be_huge_is_not_made(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 10)})
    with zipfile.ZipFile(tmp_path / "p.npz", "w") as archive:
        archive.writestr("logits.npy", header.getvalue())
    with pytest.raises(PredictionsError, match="another size"):
        load_predictions(tmp_path / "p.npz")


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damage_is_told_and_never_raises_anything_else(tmp_path: Path, data: st.DataObject) -> None:
    good = save(tmp_path / "p.npz", logits=LOGITS, labels=LABELS).read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    if data.draw(st.booleans()):
        damaged = good[:at]
    else:
        damaged = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    path = tmp_path / "damaged.npz"
    path.write_bytes(damaged)
    try:
        found = load_predictions(path)
    except PredictionsError as error:
        assert str(error)
    else:  # a byte that doesn't matter, such as a date in the archive
        assert found.logits.tolist() == LOGITS.tolist()
        assert found.labels.tolist() == LABELS.tolist()
