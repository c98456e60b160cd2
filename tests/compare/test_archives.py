"""Archives of arrays: what is wrong with one is told in words that a terminal can be given."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tui_attn.compare.archives import ArchiveError, read_archive, read_weights
from tui_attn.experiment.folders import RunDir
from tui_attn.system.files import read_json
from tui_attn.system.text import has_control_characters


def test_a_hostile_name_in_an_archive_is_told_without_its_control_characters(tmp_path: Path) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros(3, np.float32))
    path = tmp_path / "epoch-00001.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\x1b]52;c;eA==\x07\u202e" + "a" * 500 + ".npy", array.getvalue() + b"more")
    with pytest.raises(ArchiveError, match="of another size than it says") as caught:
        read_archive(path)
    assert not has_control_characters(str(caught.value))
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("linked", [".", "probes"])
def test_nothing_is_read_through_a_folder_that_is_a_link(tmp_path: Path, linked: str) -> None:
    run = RunDir(tmp_path / "se-s0")
    run.make()
    np.savez(run.probes / "epoch-00000.npz", x=np.zeros(3))
    (run.probes / "interventions.json").write_text("{}")
    run.weights.write_bytes(b"")
    assert read_archive(run.probes / "epoch-00000.npz", folders=2)
    (run.path / linked).rename(tmp_path / "outside")
    (run.path / linked).symlink_to(tmp_path / "outside")
    with pytest.raises(ArchiveError, match="is not a file"):
        read_archive(run.probes / "epoch-00000.npz", folders=2)
    if linked == ".":
        with pytest.raises(ArchiveError, match="is not a file"):
            read_weights(run, "")
    assert read_json(run.probes / "interventions.json", folders=2) is None
    assert read_json(run.probes / "interventions.json") == {}
