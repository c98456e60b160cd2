"""Making, finding and listing experiments, beside whatever else lies in the folder."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.strategies import HOSTILE, texts
from tests.processes import run_python
from tests.recorded import scene
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.finding import experiments, find_experiment, next_in_order
from tui_attn.experiment.folders import ID, ExperimentDir, RunDir, run_id
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.ownership import run_silent, supervisor_alive
from tui_attn.experiment.writing import make_experiment, write_manifest
from tui_attn.system import liveness
from tui_attn.system.text import has_control_characters

NOW = 1_700_000_000.0


def make(runs_dir: Path, experiment: str, *, created: float = NOW, name: str | None = None) -> ExperimentDir:
    """An experiment that has said nothing yet."""
    folder = scene(runs_dir, "empty", experiment=experiment, config=ExperimentConfig(name=name))
    write_manifest(folder, replace(folder.manifest_data(), created=created))
    return folder


def listed(runs_dir: Path) -> list[str]:
    """The ids of the experiments, in the order in which they are listed."""
    return [folder.id for folder in experiments(runs_dir)]


def refused(runs_dir: Path, name: str | None) -> str:
    """The message with which `name` is refused; one line, fit to be shown."""
    with pytest.raises(RunsError) as caught:
        find_experiment(runs_dir, name)
    assert not has_control_characters(str(caught.value))
    return str(caught.value)


def mode(path: Path) -> int:
    """The permissions of `path`."""
    return stat.S_IMODE(path.stat().st_mode)


# ---- making


def test_a_new_experiment_is_a_folder_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = make_experiment(tmp_path / "new" / "runs", ExperimentConfig(name="My Test, №1"), now=NOW)
        folder.run("se-s0").make()
    finally:
        os.umask(before)
    assert ID.fullmatch(folder.id)
    assert folder.id.endswith("-my-test-1")
    assert folder.path.is_absolute()
    run = folder.run("se-s0")
    for path in (tmp_path / "new" / "runs", folder.path, run.path, run.checkpoints, run.probes):
        assert mode(path) == 0o700


def test_experiments_of_the_same_second_get_names_of_their_own(tmp_path: Path) -> None:
    config = ExperimentConfig(name="x" * 200)
    found = [make_experiment(tmp_path, config, now=NOW) for _ in range(12)]
    assert len({folder.id for folder in found}) == 12
    assert all(ID.fullmatch(folder.id) for folder in found)


def test_when_a_thousand_names_are_taken_it_says_so(tmp_path: Path) -> None:
    first = make_experiment(tmp_path, ExperimentConfig(), now=NOW)
    for number in range(2, 1001):
        (tmp_path / f"{first.id}-{number}").touch()
    with pytest.raises(RunsError, match="can't find a free name"):
        make_experiment(tmp_path, ExperimentConfig(), now=NOW)


@given(name=texts().filter(lambda text: bool(text.strip()) and not has_control_characters(text)))
def test_every_display_name_makes_an_id(name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = make_experiment(Path(folder), ExperimentConfig(name=name[:200]), now=NOW)
        assert ID.fullmatch(found.id)
        assert found.path.parent == Path(folder)


@pytest.mark.parametrize("what", ["a file", "below a file", "no such device"])
def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").touch()
    place = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "x"}.get(what, Path("/proc/nowhere"))
    with pytest.raises(RunsError, match=r"can't write to .*: choose another folder with --runs-dir"):
        make_experiment(place, ExperimentConfig())


def test_a_run_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "runs", "one")
    (tmp_path / "elsewhere").mkdir()
    folder.run("se-s0").path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        folder.run("se-s0").make()
    assert list((tmp_path / "elsewhere").iterdir()) == []


# ---- ids


@pytest.mark.parametrize(
    "run", ["", ".", "..", "../x", "a/b", "/etc", "-x", ".hidden", "Se-s0", "a b", "x\n", "x" * 65, "é", *HOSTILE]
)
def test_what_can_be_no_id_is_no_run(tmp_path: Path, run: str) -> None:
    with pytest.raises(RunsError, match="is not a run's id"):
        ExperimentDir(tmp_path).run(run)


@given(run=st.from_regex(ID, fullmatch=True) | texts())
def test_a_run_never_leads_out_of_its_experiment(run: str) -> None:
    folder = ExperimentDir(Path("/runs/x"))
    try:
        found = folder.run(run)
    except RunsError as error:
        assert not has_control_characters(str(error))
    else:
        assert found == RunDir(folder.path / run)
        assert Path(os.path.normpath(found.path)).parent == folder.path


def test_the_ids_of_the_labs_runs_are_ids() -> None:
    for model in ExperimentConfig().models:
        assert ID.fullmatch(run_id(model, 2**31))


# ---- listing


def test_experiments_are_listed_newest_first(tmp_path: Path) -> None:
    for experiment, created in (("b", 20.0), ("a", 30.0), ("c", 10.0)):
        make(tmp_path, experiment, created=created)
    assert listed(tmp_path) == ["a", "b", "c"]
    assert find_experiment(tmp_path, None).id == "a"


@pytest.mark.parametrize("created", ["NaN", "Infinity", "1" + "0" * 400, "null", '"x"', "[]", "{}", "-5"])
def test_a_damaged_date_does_not_hide_the_others(tmp_path: Path, created: str) -> None:
    make(tmp_path, "good")
    bad = make(tmp_path, "bad")
    text = bad.manifest.read_text()
    bad.manifest.write_text(text.replace('"created": 1700000000.0', f'"created": {created}'))
    assert bad.manifest.read_text() != text
    assert listed(tmp_path) == ["good", "bad"]
    assert "damaged" in refused(tmp_path, "bad")


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1").touch()
    for name in ("wandb", "Nov23_host", ".hidden", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "experiment.json").write_text('{"format": "another"}')
    for name, content in (("number", "5"), ("list", "[]"), ("garbage", "{"), ("empty", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "experiment.json").write_text(content)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "experiment.json").mkdir()
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "experiment.json")
    make(tmp_path, "ours")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    assert listed(tmp_path) == ["ours"]
    assert find_experiment(tmp_path, None).id == "ours"
    assert "not an experiment of tui-attn" in refused(tmp_path, "mine")
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_link_is_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", "target")
    inside = tmp_path / "runs"
    inside.mkdir()
    (inside / "link").symlink_to(outside.path)
    assert listed(inside) == []
    assert "symbolic link" in refused(inside, "link")
    assert find_experiment(inside, str(inside / "link")).path == outside.path

    copy = inside / "copy"
    copy.mkdir()
    (copy / "experiment.json").symlink_to(outside.manifest)
    assert listed(inside) == []


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert listed(tmp_path / "nowhere") == []
    assert refused(tmp_path / "nowhere", None).startswith(f"no experiment in {tmp_path / 'nowhere'}: start one with")
    (tmp_path / "file").touch()
    with pytest.raises(RunsError, match="can't read"):
        listed(tmp_path / "file")


OTHER_USER = """
import contextlib, os, sys
from pathlib import Path
from tui_attn.experiment import finding
from tui_attn.experiment.manifest import RunsError

with contextlib.suppress(PermissionError):
    os.seteuid(65534)  # root may read everything
print([folder.id for folder in finding.experiments(Path(sys.argv[1]))])
for name in ("private", "shared"):
    try:
        print(finding.find_experiment(Path(sys.argv[1]), name).id)
    except RunsError as error:
        print(error)
"""


def test_a_folder_that_only_another_user_may_read_does_not_hide_the_others() -> None:
    with tempfile.TemporaryDirectory() as place:
        runs_dir = Path(place)
        make(runs_dir, "shared")
        make(runs_dir, "private")
        for path in (runs_dir, runs_dir / "shared", runs_dir / "shared" / "experiment.json"):
            path.chmod(0o755)
        (runs_dir / "private").chmod(0)
        done = run_python(OTHER_USER, place)
        (runs_dir / "private").chmod(0o700)
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "['shared']"
    assert "private" in done.stdout.splitlines()[1]
    assert done.stdout.splitlines()[2] == "shared"


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
    for name in ("torn", "odd"):
        assert "is damaged: restore it" in refused(tmp_path, name)
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
