"""Where a report is written: foreign files stay, our old ones go, and the page comes last."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tui_attn.report import output
from tui_attn.report.output import INDEX, ReportError, write_files
from tui_attn.system.files import write_atomically

PAGE = {"report.html": b"<p>1</p>", "tables/runs.csv": b"run\n", "pictures/a.png": b"\x89PNG"}


def found(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != INDEX
    }


def test_everything_is_written_into_a_folder_that_need_not_be_there(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    write_files(folder, PAGE, last="report.html")
    assert found(folder) == PAGE


def test_foreign_files_stay_and_ours_are_replaced(tmp_path: Path) -> None:
    mine = {"notes.txt": b"mine", "tables/other.csv": b"mine", "pictures/b.png": b"mine"}
    for name, content in mine.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    write_files(tmp_path, PAGE, last="report.html")
    write_files(tmp_path, PAGE | {"report.html": b"<p>2</p>"}, last="report.html")
    assert found(tmp_path) == mine | PAGE | {"report.html": b"<p>2</p>"}


def test_what_the_new_report_lacks_goes_unless_it_was_changed(tmp_path: Path) -> None:
    write_files(tmp_path, PAGE | {"pictures/old.png": b"1", "tables/old.csv": b"2"}, last="report.html")
    (tmp_path / "tables" / "old.csv").write_bytes(b"my notes")
    write_files(tmp_path, {"report.html": b"<p>2</p>"}, last="report.html")
    assert found(tmp_path) == {"report.html": b"<p>2</p>", "tables/old.csv": b"my notes"}
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize(
    "name", ["../victim", "/etc/victim", "a/b/../../../victim", "..", "a/../../victim", "a\\..\\b"]
)
def test_an_index_cannot_make_us_remove_other_files(tmp_path: Path, name: str) -> None:
    folder, victim = tmp_path / "report", tmp_path / "victim"
    victim.write_bytes(b"")
    write_files(folder, PAGE, last="report.html")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (folder / INDEX).write_text(json.dumps({"format": "tui-attn-report", "files": {name: empty}}))
    write_files(folder, PAGE, last="report.html")
    assert victim.exists()


def test_no_link_in_the_folder_is_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "report", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "runs.csv").write_bytes(b"mine")
    (folder / "tables").symlink_to(elsewhere)
    with pytest.raises(ReportError, match=r"report/tables .it is a symbolic link.: choose another folder"):
        write_files(folder, PAGE, last="report.html")
    assert found(elsewhere) == {"runs.csv": b"mine"}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": "tui-attn-report", "files": 3}', '{"files": {}}'])
def test_a_damaged_index_is_no_obstacle(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text)
    write_files(tmp_path, PAGE, last="report.html")
    assert found(tmp_path) == PAGE


def test_the_page_is_replaced_last_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, PAGE, last="report.html")
    order: list[str] = []

    def failing(path: Path, content: bytes, **options: Any) -> None:
        order.append(path.name)
        if path.name == "report.html":
            raise OSError(28, "No space left on device", str(path))
        write_atomically(path, content, **options)

    monkeypatch.setattr(output, "write_atomically", failing)
    with pytest.raises(ReportError, match="No space left on device"):
        write_files(tmp_path, PAGE | {"report.html": b"<p>2</p>"}, last="report.html")
    assert order[-1] == "report.html"
    assert len(order) == 3
    assert (tmp_path / "report.html").read_bytes() == b"<p>1</p>"


def test_a_full_disk_leaves_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ReportError):
        write_files(tmp_path, PAGE, last="report.html")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ReportError, match=r"can't write the report to .*file.*choose another folder"):
        write_files(tmp_path / "file", PAGE, last="report.html")


def test_new_files_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_files(tmp_path, PAGE, last="report.html")
    finally:
        os.umask(before)
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o644
