"""Whom it trusts: not what a folder from somewhere else holds, not links that lead out of it, not other users."""

import ast
import functools
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.conftest import Lab, make_experiment
from tests.reliability.invariants import Reference
from tui_attn.experiment import events
from tui_attn.experiment.event_log import LogReader, LogWriter
from tui_attn.experiment.finding import experiments, find_experiment
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.launch import control, starting
from tui_attn.launch.control import LaunchError
from tui_attn.system import children, files, liveness

PACKAGE = Path(control.__file__).parents[1]


def test_folders_and_files_are_the_owners_alone(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    mask = os.umask(0o000)  # the least careful user
    try:
        experiment = lab.make()
        lab.finish(experiment)
        control.send(experiment, "pause")
    finally:
        os.umask(mask)
    modes = {
        path.relative_to(experiment.path): stat.S_IMODE(path.stat().st_mode) for path in experiment.path.rglob("*")
    }
    folders = {mode for path, mode in modes.items() if (experiment.path / path).is_dir()}
    modes_of_files = {mode for path, mode in modes.items() if (experiment.path / path).is_file()}
    assert (folders, modes_of_files) == ({0o700}, {0o600}), modes
    assert stat.S_IMODE(experiment.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(experiment.path.parent.stat().st_mode) == 0o700
    assert undisturbed


def as_another_user(action: Callable[[], object]) -> str:
    """What `action` says when another user does it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            said = repr(action())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as file:
        return file.read()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("what", ["start", "resume"])
def test_a_folder_that_is_swapped_during_the_start_is_not_trained_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Even one of the same user with the same content, such as an experiment that somebody sent."""
    start_child = children.python
    ours = make_experiment(tmp_path / "runs")

    def swap(module: str, folder: Path, *arguments: str, **options: Any) -> object:
        folder.rename(tmp_path / "taken away")
        shutil.copytree(tmp_path / "taken away", folder)
        return start_child(module, folder, *arguments, **options)

    monkeypatch.setattr(children, "python", swap)
    config = ours.manifest_data().config
    with pytest.raises(LaunchError, match="replaced by another one during the start"):
        starting.start(config, runs_dir=tmp_path / "runs") if what == "start" else starting.resume(ours)
    assert not list((tmp_path / "runs").glob("*/events.jsonl"))


@pytest.mark.skipif(os.getuid() != 0, reason="only the superuser can become another user")
def test_another_users_experiment_can_be_watched_at_most(public_folder: Path) -> None:
    experiment = make_experiment(public_folder / "runs")
    closed = as_another_user(lambda: read_state(experiment).state)
    assert closed.startswith("RunsError"), closed
    assert "Permission denied" in as_another_user(lambda: list(experiments(public_folder / "runs")))
    for folder in (experiment.path.parent, experiment.path):
        folder.chmod(0o755)
    experiment.manifest.chmod(0o644)
    lock = liveness.Lock(experiment.supervisor_lock)
    experiment.supervisor_lock.chmod(0o644)
    assert as_another_user(lambda: supervisor_alive(experiment)) == "True"
    assert "starting" in as_another_user(lambda: read_state(experiment).situation().experiment)
    for action in (
        lambda: control.send(experiment, "stop"),
        lambda: starting.resume(experiment),
        lambda: control.kill(experiment),
    ):
        said = as_another_user(action)
        assert said == f"LaunchError: {experiment.id} belongs to another user (uid 0): you can watch it, not steer it"
    lock.release()


@pytest.mark.parametrize("name", ["..", "../outside", "base-s0/../../outside", "", ".hidden", "-rf", "a" * 65, "A-s0"])
def test_what_cannot_be_an_id_is_refused(tmp_path: Path, name: str) -> None:
    experiment = make_experiment(tmp_path / "runs")
    with pytest.raises(RunsError):
        experiment.run(name)
    log = LogWriter(experiment.events)
    log.append("run_queued", run=name, model="base", seed=0)
    log.close()
    assert read_state(experiment).state.runs == {}


def test_an_experiment_that_is_a_link_is_not_listed_and_not_found_by_its_name(tmp_path: Path) -> None:
    elsewhere = make_experiment(tmp_path / "elsewhere")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(elsewhere.path)
    assert list(experiments(tmp_path / "runs")) == []
    with pytest.raises(RunsError, match="symbolic link"):
        find_experiment(tmp_path / "runs", "linked")


def test_links_in_an_experiment_are_not_followed(tmp_path: Path) -> None:
    """Nothing outside is read, written, touched or removed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = outside / "events.jsonl"
    log = LogWriter(secret)
    log.append("warning", message="secret")
    log.close()
    (outside / ".x.tmp").write_text("not ours")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in outside.iterdir()}
    experiment = make_experiment(tmp_path / "runs")
    log = LogWriter(experiment.events)
    for model in ("base", "se"):
        log.append("run_queued", run=f"{model}-s0", model=model, seed=0)
        log.append("run_started", run=f"{model}-s0", device="cpu", worker=1, attempt=1)
    log.close()
    experiment.run("base-s0").path.symlink_to(outside)
    experiment.run("se-s0").path.mkdir()
    experiment.run("se-s0").events.symlink_to(secret)
    experiment.supervisor_log.symlink_to(secret)
    experiment.run("se-s0").heartbeat.symlink_to(outside / "made")
    follower = read_state(experiment)
    assert [run.warnings for run in follower.state.runs.values()] == [[], []]
    assert set(follower.problems) == {"base-s0/events.jsonl", "se-s0/events.jsonl"}
    files.remove_stale_files(experiment.path)
    with pytest.raises(OSError, match="symbolic link"):
        experiment.run("base-s0").make()
    with pytest.raises(OSError, match="symbolic link"):
        LogWriter(experiment.run("se-s0").events)
    with pytest.raises(LaunchError, match="can't write to"):
        control.start_supervisor(experiment)
    liveness.Heartbeat(experiment.run("se-s0").heartbeat).beat()
    assert control._locks(experiment) == [experiment.supervisor_lock, experiment.run("se-s0").lock]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in outside.iterdir()} == before


def test_a_checkpoint_that_is_a_link_or_no_file_is_passed_over(tmp_path: Path) -> None:
    import torch

    from tui_attn.train import checkpoint

    outside, folder = tmp_path / "outside.pt", tmp_path / "checkpoints"
    folder.mkdir()
    torch.save({"format": 1}, outside)
    (folder / "step-00000003.pt").symlink_to(outside)
    (folder / "step-00000002.pt").symlink_to("/dev/zero")
    os.mkfifo(folder / "step-00000001.pt")
    skipped: list[str] = []
    assert list(checkpoint.newest_first(folder, skipped)) == []
    assert [item.split(" (")[0] for item in skipped] == [f"step-0000000{step}.pt" for step in (3, 2, 1)]
    outside.rename(folder / "step-00000004.pt")
    assert [name for name, _ in checkpoint.newest_first(folder, skipped)] == ["step-00000004.pt"]


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    import torch

    from tui_attn.train import checkpoint

    class Trap:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"format": 1, "trap": Trap()}, tmp_path / "step-00000001.pt")
    skipped: list[str] = []
    assert list(checkpoint.newest_first(tmp_path, skipped)) == []
    assert "UnpicklingError" in skipped[0]
    assert not (tmp_path / "sprung").exists()


def test_only_commands_of_the_vocabulary_are_read(tmp_path: Path) -> None:
    """What isn't a command is passed over by the reader, before a supervisor sees it."""
    experiment = make_experiment(tmp_path / "runs")
    line = events.encode("stop", {"id": "x", "run": None}, seq=0, t=0.0).replace(b'"stop"', b'"exec"')
    head = line[: line.rindex(b',"crc"')]
    experiment.control.write_bytes(b'%s,"crc":"%08x"}\n' % (head, zlib.crc32(head)))
    reader = LogReader(experiment.control)
    assert reader.read() == []
    assert reader.damaged == 1


@functools.cache
def called() -> dict[str, list[tuple[Path, ast.Call]]]:
    """Every call in the package, by the last name of what is called."""
    found: dict[str, list[tuple[Path, ast.Call]]] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                found.setdefault(name, []).append((path.relative_to(PACKAGE), node))
    return found


def calls(name: str) -> list[tuple[Path, ast.Call]]:
    """Where the package calls something of this name."""
    return called().get(name, [])


def keywords(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


def test_nothing_is_unpickled_but_digest_checked_batches() -> None:
    """Every call in the source that could build objects from a file says that it must not."""
    loads = [(path, call) for path, call in calls("load") if ast.unparse(call.func) == "torch.load"]
    assert loads
    assert all(keywords(call)["weights_only"] == "True" for _, call in loads)
    arrays = [(path, call) for path, call in calls("load") if ast.unparse(call.func) in {"np.load", "numpy.load"}]
    arrays += calls("read_array")
    assert arrays
    assert all(keywords(call)["allow_pickle"] == "False" for _, call in arrays)
    unpicklers = {path for name in ("Unpickler", "loads") for path, call in calls(name) if "pickle" in ast.dump(call)}
    assert unpicklers <= {Path("data/cifar.py")}
    assert {path for path, call in calls("exec") if ast.unparse(call.func) == "exec"} == {Path("train/custom_model.py")}
    for forbidden in ("shutil.unpack_archive", "eval", "os.system"):
        name = forbidden.rpartition(".")[2]
        found = [path for path, call in calls(name) if ast.unparse(call.func) == forbidden]
        assert found == [], forbidden
    assert [path for path, call in calls("extractall")] == []
    shells = [path for path, call in [*calls("Popen"), *calls("run")] if keywords(call).get("shell") == "True"]
    assert shells == []
