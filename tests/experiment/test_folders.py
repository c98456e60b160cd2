"""Making, finding and listing experiments, beside whatever else lies in the folder."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.making import NOW, listed, make, refused
from tests.experiment.strategies import HOSTILE, texts
from tests.processes import run_python
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.finding import find_experiment
from tui_attn.experiment.folders import ID, ExperimentDir, RunDir, run_id
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.writing import make_experiment
from tui_attn.system.text import has_control_characters


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
