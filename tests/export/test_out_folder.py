"""Where exports may write: an empty folder or one of their own, all files of an export or none."""

import json
from pathlib import Path

import pytest

from tui_attn.export.outfolder import INDEX, ExportError, OutFolder


def write(path: Path, files: dict[str, bytes], experiment: str = "lab") -> None:
    with OutFolder(path, experiment) as out:
        for name, content in files.items():
            with out.file(name) as file:
                file.write(content)


def found(path: Path) -> dict[str, bytes]:
    files = (file for file in path.rglob("*") if file.is_file() and file.name != INDEX)
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_it_writes_into_a_new_folder_and_again_over_its_own(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    write(out, {"runs": b"1", "points": b"1"})
    write(out, {"runs": b"2"})
    assert found(out) == {"runs": b"2", "points": b"1"}
    assert set(json.loads((out / INDEX).read_text())["files"]) == {"runs", "points"}


def test_what_else_is_put_there_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, {"runs": b"1"})
    (out / "notes").write_bytes(b"mine")
    write(out, {"runs": b"2"})
    assert found(out) == {"runs": b"2", "notes": b"mine"}
    with pytest.raises(ExportError, match="is there already and not ours"):
        write(out, {"runs": b"3", "notes": b"3"})
    assert found(out) == {"runs": b"2", "notes": b"mine"}


@pytest.mark.parametrize("name", ["notes", INDEX])
def test_a_folder_of_anybody_elses_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(ExportError, match="is not empty: choose another folder with --out"):
        write(tmp_path, {"runs": b"1"})
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_an_export_of_another_experiment_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, {"runs": b"1"}, "lab")
    with pytest.raises(ExportError, match="holds an export of another experiment"):
        write(out, {"runs": b"2"}, "other")
    assert found(out) == {"runs": b"1"}


def test_no_link_is_followed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, {"se-s0/card": b"1"})
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (out / "se-s0" / "card").unlink()
    (out / "se-s0" / "card").symlink_to(victim)
    with pytest.raises(ExportError, match="card is a symbolic link, which is not followed: choose another --out"):
        write(out, {"se-s0/card": b"2"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / "base-s0").symlink_to(elsewhere)
    with pytest.raises(ExportError, match="base-s0 is a symbolic link, which is not followed"):
        write(out, {"base-s0/card": b"2"})
    assert victim.read_bytes() == b"mine"
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with OutFolder(out, "lab") as folder:
        with folder.file("se-s0/card") as file:
            file.write(b"1")
        (out / "se-s0").rename(out / "moved")
        (out / "se-s0").symlink_to(elsewhere)
        with folder.file("se-s0/weights") as file:
            file.write(b"2")
    assert list(elsewhere.iterdir()) == []
    assert {path.name for path in (out / "moved").iterdir()} == {"card", "weights"}


def test_a_claimed_place_stays_in_its_folder_and_is_shown_as_the_user_knows_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with OutFolder(out, "lab") as folder:
        place = folder.claim("se-s0/events")
        assert folder.shown(place) == str(out / "se-s0" / "events")
        (out / "se-s0").rename(out / "moved")
        place.write_bytes(b"1")
    assert (out / "moved" / "events").read_bytes() == b"1"


def test_a_failure_leaves_everything_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, {"runs": b"1"})
    with pytest.raises(KeyError), OutFolder(out, "lab") as folder:
        with folder.file("runs") as file:
            file.write(b"2")
        raise KeyError
    assert found(out) == {"runs": b"1"}


def test_what_cant_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExportError, match=r"can't write the export to .*file"):
        write(tmp_path / "file" / "out", {"runs": b"1"})


def test_a_path_is_shown_without_control_characters(tmp_path: Path) -> None:
    with OutFolder(tmp_path / "red \x1b[31m", "lab") as folder:
        assert "\x1b" not in folder.shown(tmp_path / "red \x1b[31m" / "card")
