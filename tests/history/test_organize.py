"""Names, notes, pins and the trash."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import processes, recorded
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.finding import experiments, find_experiment
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.writing import extend_manifest
from tui_attn.history import organize
from tui_attn.history.organize import Annotations


def test_note_and_pin_are_kept_and_everything_else_stays(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    assert organize.read_annotations(folder) == Annotations()
    organize.note(folder, "the one with flips: é 中")
    organize.pin(folder, True)
    assert organize.read_annotations(folder) == Annotations("the one with flips: é 中", True)
    assert {path: path.read_bytes() for path in before} == before
    assert organize.annotations_path(folder).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", "{", '{"note": 3, "pinned": "yes"}', '{"note": null}', "\x00" * 100])
def test_remarks_that_make_no_sense_are_none(tmp_path: Path, text: str) -> None:
    folder = recorded.scene(tmp_path, "finished")
    organize.annotations_path(folder).write_text(text)
    assert organize.read_annotations(folder) == Annotations()


def test_a_note_from_elsewhere_is_made_safe(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")
    organize.annotations_path(folder).write_text(json.dumps({"note": "a\x1b[2J\nb" + "x" * 5000, "pinned": True}))
    found = organize.read_annotations(folder)
    assert found.pinned
    assert found.note.startswith("a␛[2J b")
    assert len(found.note) == organize.MOST_NOTE


@pytest.mark.parametrize("note", ["a\nb", "\x1b[2J", "x" * 1001])
def test_a_note_that_cannot_be_shown_is_refused(tmp_path: Path, note: str) -> None:
    folder = recorded.scene(tmp_path, "finished")
    with pytest.raises(RunsError, match="the note"):
        organize.note(folder, note)
    assert not organize.annotations_path(folder).exists()


def test_a_link_in_the_place_of_the_remarks_is_not_followed(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"note": "secret"}')
    organize.annotations_path(folder).symlink_to(elsewhere)
    assert organize.read_annotations(folder) == Annotations()
    organize.note(folder, "mine")
    assert elsewhere.read_text() == '{"note": "secret"}'
    assert organize.read_annotations(folder).note == "mine"


def test_a_name_is_changed_and_taken_away_again(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished", config=ExperimentConfig(epochs=5, name="first"))
    organize.rename(folder, "  with flips ")
    manifest = folder.manifest_data()  # which verifies the checksum
    assert manifest.config.name == "with flips"
    assert find_experiment(tmp_path, "with flips").id == folder.id
    organize.rename(folder, "")
    assert folder.manifest_data().config.name is None


@pytest.mark.parametrize("name", ["\x1b[2J", "x" * 201, "a\nb"])
def test_a_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    folder = recorded.scene(tmp_path, "finished")
    before = folder.manifest.read_bytes()
    with pytest.raises(RunsError, match="the name"):
        organize.rename(folder, name)
    assert folder.manifest.read_bytes() == before


def test_what_is_thrown_away_comes_back_whole(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")
    other = recorded.scene(tmp_path, "stopped")
    before = {path.relative_to(tmp_path): path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    item = organize.trash(folder)
    assert item.id == folder.id
    assert [found.id for found in experiments(tmp_path)] == [other.id]
    assert [found.id for found in organize.trashed(tmp_path)] == [folder.id]
    back = organize.restore(organize.find_trashed(tmp_path, None))
    assert back == folder
    assert {path.relative_to(tmp_path): path.read_bytes() for path in back.path.rglob("*") if path.is_file()} == before
    assert organize.trashed(tmp_path) == []


def test_two_of_one_id_are_both_kept_in_the_trash(tmp_path: Path) -> None:
    for note in ("first", "second"):
        folder = recorded.scene(tmp_path, "finished")
        organize.note(folder, note)
        organize.trash(folder)
    items = organize.trashed(tmp_path)
    assert [item.id for item in items] == [folder.id] * 2
    assert {organize.read_annotations(item.folder).note for item in items} == {"first", "second"}
    assert organize.find_trashed(tmp_path, folder.id) == items[0], "the one that was deleted last"
    assert organize.find_trashed(tmp_path, f"{folder.id}~2") == items[0]
    assert organize.restore(items[0]) == folder
    with pytest.raises(RunsError, match=f"there is another {folder.id}"):
        organize.restore(items[1])
    assert [item.folder for item in organize.trashed(tmp_path)] == [items[1].folder]


def test_nothing_is_thrown_away_while_it_is_trained(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")
    with recorded.supervised(folder), pytest.raises(RunsError, match=f"is running: 'tui-attn stop {folder.id} --"):
        organize.trash(folder)
    assert folder.manifest.exists()
    organize.trash(folder)
    assert not folder.path.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")
    os.chown(folder.path, 12345, -1)
    with pytest.raises(RunsError, match="belongs to another user"):
        organize.trash(folder)
    with pytest.raises(RunsError, match="belongs to another user"):
        organize.rename(folder, "mine")
    with pytest.raises(RunsError, match="belongs to another user"):
        organize.note(folder, "mine")
    assert folder.manifest_data().config.name is None


def test_a_link_called_trash_is_not_followed(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / ".trash").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunsError, match="symbolic link"):
        organize.trash(folder)
    assert organize.trashed(tmp_path / "runs") == []


def test_an_unknown_or_ambiguous_name_in_the_trash_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunsError, match="nothing is in"):
        organize.find_trashed(tmp_path, None)
    for scene in ("finished", "failed"):
        organize.trash(recorded.scene(tmp_path, scene))
    (tmp_path / ".trash" / "somebody-elses").mkdir()
    with pytest.raises(RunsError, match="fits 2 experiments"):
        organize.find_trashed(tmp_path, "2023")
    with pytest.raises(RunsError, match="no experiment 'somebody-elses'"):
        organize.find_trashed(tmp_path, "somebody-elses")
    assert organize.find_trashed(tmp_path, "20231114-221320-fi").id.endswith("finished")
    with pytest.raises(RunsError, match=r"no experiment '' in .*: 'tui-attn trash' lists those there are"):
        organize.find_trashed(tmp_path, "")


def test_a_whole_id_in_the_trash_is_found_though_others_begin_with_it(tmp_path: Path) -> None:
    for ending in ("", "-2", "-3"):
        folder = recorded.scene(tmp_path, "finished", experiment=f"20231114-221320-mine{ending}")
        organize.trash(folder)
    assert organize.find_trashed(tmp_path, "20231114-221320-mine").id == "20231114-221320-mine"


def test_what_is_in_the_trash_is_found_by_its_display_name(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished", config=ExperimentConfig(epochs=2, models=("se",), name="the lab"))
    organize.trash(folder)
    assert organize.find_trashed(tmp_path, "the lab").id == folder.id


def test_threads_and_processes_that_change_one_experiment_lose_nothing(tmp_path: Path) -> None:
    """Notes, pins and names, 200 times each, from two threads and another process; seeds are added meanwhile."""
    folder = recorded.record(tmp_path, probes=False, predictions=False)
    failures: list[BaseException] = []
    rounds = 200

    def keep(work: Callable[[int], object]) -> None:
        try:
            for number in range(rounds):
                work(number)
        except BaseException as error:
            failures.append(error)

    def note_and_name(number: int) -> None:
        organize.note(folder, f"note {number}")
        assert organize.read_annotations(folder).note == f"note {number}"
        organize.rename(folder, f"name {number}")
        assert folder.manifest_data().config.name == f"name {number}"

    def pin_and_extend(number: int) -> None:
        organize.pin(folder, number % 2 == 0)
        assert organize.read_annotations(folder).pinned == (number % 2 == 0)
        seeds = folder.manifest_data().config.seeds + 1
        extend_manifest(folder, seeds)
        assert folder.manifest_data().config.seeds == seeds

    before = folder.manifest_data().config.seeds
    other = """
        import sys
        from pathlib import Path
        from dataclasses import replace
        from tui_attn.experiment.folders import ExperimentDir
        from tui_attn.experiment.writing import change_manifest
        folder = ExperimentDir(Path(sys.argv[1]))
        for number in range(200):
            change_manifest(folder, lambda manifest: replace(manifest, threads=number % 8 + 1))
            assert folder.manifest_data().threads == number % 8 + 1
    """
    with processes.python(other, folder.path) as process:
        threads = [threading.Thread(target=keep, args=(work,)) for work in (note_and_name, pin_and_extend)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert process.wait(240) == 0
    assert failures == []
    manifest = folder.manifest_data()
    assert (manifest.config.name, manifest.config.seeds, manifest.threads) == ("name 199", before + rounds, 8)
    assert organize.read_annotations(folder) == organize.Annotations("note 199", False)
