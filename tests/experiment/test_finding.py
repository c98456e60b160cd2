"""Finding an experiment by id, name or path, and whether it has an owner."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.experiment.making import NOW, listed, make, refused
from tests.experiment.strategies import texts
from tui_attn.experiment.finding import find_experiment, next_in_order
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.ownership import run_silent, supervisor_alive
from tui_attn.system import liveness
from tui_attn.system.text import has_control_characters

# ---- finding


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """Four experiments, one of them with a name that is the start of another's id."""
    for experiment, name in (("20231114-se", None), ("20231114-se-2", "My run"), ("20231201-x", "[red]"), ("y", "202")):
        make(tmp_path, experiment, name=name)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("20231114-se", "20231114-se"),
        ("20231114-se-", "20231114-se-2"),
        ("202312", "20231201-x"),
        ("My run", "20231114-se-2"),
        ("[red]", "20231201-x"),
        ("y", "y"),
    ],
)
def test_an_experiment_is_found_by_id_by_the_start_of_one_and_by_name(several: Path, name: str, found: str) -> None:
    assert find_experiment(several, name).id == found


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2023", "'2023' fits 3 experiments"),
        ("202", "'202' fits 4 experiments"),
        ("2024", "no experiment '2024'"),
        ("", "no experiment ''"),
        ("My", "no experiment 'My'"),
        ("\x1b[2J", "no experiment '␛[2J'"),
        ("x" * 300, "no experiment"),
    ],
)
def test_what_fits_none_or_several_is_refused(several: Path, name: str, message: str) -> None:
    assert refused(several, name).startswith(message)


def test_an_experiment_is_found_by_its_path(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = several / "20231201-x"
    elsewhere = several / "nothing here"
    (there / "se-s0").mkdir()
    for name in (str(there), f"{there}/", f"{there}/se-s0/.."):
        assert find_experiment(elsewhere, name).path == there
    monkeypatch.chdir(there)
    found = [find_experiment(elsewhere, name) for name in (".", "./", "../20231201-x")]
    monkeypatch.chdir(there / "se-s0")
    found.append(find_experiment(elsewhere, ".."))
    monkeypatch.chdir("/")
    assert {(folder.id, folder.path) for folder in found} == {("20231201-x", there)}


@pytest.mark.parametrize(
    "name", ["/", "..", "./nowhere", "/proc/self/mem", "~no-such-user-here/x", "a\x00/b", "/" * 9000]
)
def test_a_path_that_is_no_experiment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    refused(tmp_path, name)


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path, str(tmp_path / "loop" / "x"))
    refused(tmp_path, "loop")


@given(name=texts())
def test_any_name_is_found_or_refused(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runs_dir = Path(folder)
        make(runs_dir, "one")
        try:
            assert find_experiment(runs_dir, name).id == "one"
        except RunsError as error:
            assert not has_control_characters(str(error))


def test_an_experiment_that_lost_its_manifest_is_still_listed_and_says_what_is_wrong(tmp_path: Path) -> None:
    good = make(tmp_path, "good", created=1.0)
    for name, spoil in (("gone", "unlink"), ("torn", "truncate"), ("odd", "folder")):
        folder = make(tmp_path, name)
        folder.events.touch()
        folder.supervisor_lock.touch()
        folder.manifest.unlink()
        if spoil == "truncate":
            folder.manifest.write_text('{"format": "tui-a')
        elif spoil == "folder":
            folder.manifest.mkdir()
    assert listed(tmp_path) == [good.id, "torn", "odd", "gone"]
    assert "is missing: restore it" in refused(tmp_path, "gone")
    assert "is damaged: restore it" in refused(tmp_path, "torn")
    assert "can't be read (it is no file): restore it" in refused(tmp_path, "odd")
    assert find_experiment(tmp_path, None).id == "good"


# ---- who owns it


HERE: dict[str, Any] = {"pid": 1, "start_time": "1", "uid": 0}


@pytest.mark.parametrize(
    ("host", "age", "alive"),
    [("another-host", 5, True), ("another-host", 60, False), ("here", 5, False), ("damaged", 5, False)],
)
def test_without_a_lock_only_another_hosts_heartbeat_counts(tmp_path: Path, host: str, age: int, alive: bool) -> None:
    folder = make(tmp_path, "one")
    named = os.uname().nodename if host == "here" else host
    who = {"host": named, "boot_id": "an earlier boot", **HERE}
    folder.supervisor.write_text("{" if host == "damaged" else f'{{"identity": {who}}}'.replace("'", '"'))
    folder.supervisor_lock.touch()
    os.utime(folder.supervisor_lock, (NOW, NOW))
    assert supervisor_alive(folder, now=NOW + age) == alive


@pytest.mark.parametrize("since_boot", [True, False])
def test_another_machine_of_the_same_name_is_told_by_its_boot(tmp_path: Path, since_boot: bool) -> None:
    """What beat since this machine booted isn't this machine before its boot."""
    folder = make(tmp_path, "one")
    who = {"host": os.uname().nodename, "boot_id": "another machine's", **HERE}
    folder.supervisor.write_text(json.dumps({"identity": who}))
    folder.supervisor_lock.touch()
    at = liveness.boot_time() + (1.0 if since_boot else -1.0)
    os.utime(folder.supervisor_lock, (at, at))
    assert supervisor_alive(folder, now=at + 5) == since_boot


def test_a_manifest_of_thousands_of_devices_is_damaged(tmp_path: Path) -> None:
    folder = make(tmp_path, "one")
    data = json.loads(folder.manifest.read_text()) | {"devices": [f"cuda:{number}" for number in range(5000)]}
    del data["crc"]
    folder.manifest.write_text(json.dumps(data))
    with pytest.raises(RunsError, match="damaged"):
        folder.manifest_data()


def test_a_folder_that_nobody_ever_supervised_is_not_alive(tmp_path: Path) -> None:
    assert not supervisor_alive(make(tmp_path, "one"))


@pytest.mark.parametrize(("age", "silent"), [(0, False), (29, False), (31, True), (-3600, False)])
def test_a_run_is_silent_after_half_a_minute_without_a_sign_of_life(tmp_path: Path, age: int, silent: bool) -> None:
    run = make(tmp_path, "one").run("se-s0")
    run.make()
    assert not run_silent(run, now=NOW)
    run.heartbeat.touch()
    os.utime(run.heartbeat, (NOW, NOW))
    assert run_silent(run, now=NOW + age) == silent


def test_a_name_with_blanks_is_found_and_case_matters_only_where_both_exist(tmp_path: Path) -> None:
    make(tmp_path, "a", name="my  lab run")
    assert find_experiment(tmp_path, "my  lab run").id == "a"
    assert find_experiment(tmp_path, "My lab run ").id == "a"
    make(tmp_path, "b", name="My lab run")
    assert find_experiment(tmp_path, "My lab run").id == "b"
    assert "fits 2 experiments" in refused(tmp_path, "MY LAB RUN")


def test_a_path_that_can_t_be_shown_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path, "a")
    folder.path.rename(tmp_path / "\x1b]0;title\x07")
    assert "rename it" in refused(tmp_path, str(tmp_path / "\x1b]0;title\x07"))


def test_a_later_experiment_is_the_newest_though_the_clock_was_set_back(tmp_path: Path) -> None:
    assert next_in_order(tmp_path / "nothing-here", NOW) == NOW
    make(tmp_path, "a", created=NOW)
    make(tmp_path, "b", created=next_in_order(tmp_path, NOW - 3600))
    assert listed(tmp_path) == ["b", "a"]
    assert next_in_order(tmp_path, NOW + 60) == NOW + 60
    assert next_in_order(tmp_path, NOW - 10 * 86400) == NOW - 10 * 86400
