"""Every file of an experiment cut at many offsets and hit by flipped bits: no command crashes, hangs or is silent."""

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.reliability.conftest import Lab, folder_in_memory, gone, kill
from tests.reliability.invariants import Reference, digest_of_file
from tests.waiting import eventually
from tui_attn import cli
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.launch import control
from tui_attn.system import liveness

NOT_READ = {"heartbeat", "claim", "supervisor.lock", "weights.safetensors", "LATEST.json", "step-00000010.pt"}
"""Files whose content no command that shows something depends on."""
TOLD = re.compile(
    r"damaged|missing|can't|cut off|lost|left out|did not finish|not an experiment|no experiment|is gone|later version"
    r"|weights|not paired|not compared|unlike|no test|before the end|have ended"
)


@pytest.fixture(scope="module")
def finished(zygote: "subprocess.Popen[str]") -> Iterator[ExperimentDir]:
    """An experiment that ended well; damaged and restored again and again."""
    with folder_in_memory() as folder:
        lab = Lab(zygote, folder)
        experiment = lab.make()
        lab.finish(experiment)
        control.send(experiment, "pause")
        yield experiment


@pytest.fixture(scope="module")
def interrupted(zygote: "subprocess.Popen[str]") -> Iterator[ExperimentDir]:
    """An experiment that was killed when its first run was trained and not yet finished; to be copied."""
    with folder_in_memory() as folder:
        lab = Lab(zygote, folder)
        experiment = lab.make()
        supervisor = lab.start(experiment, worker_faults=("end:1:stop",))
        worker = lab.await_frozen(experiment)
        kill(supervisor)
        kill(worker)
        yield experiment


def files(experiment: ExperimentDir) -> list[str]:
    """Every kind of file there is, by its path in the experiment."""
    found = (path.relative_to(experiment.path) for path in sorted(experiment.path.rglob("*")) if path.is_file())
    return [str(path) for path in found if path.parts[0] != "base-s0"]


def spoilt(data: bytes, name: str) -> Iterator[tuple[str, bytes]]:
    """`data` cut at many offsets and with flipped bits, each with what was done to it."""
    draw = random.Random(name)
    size, many = len(data), how_many(name)
    cuts = {0, size // 2, size - 1, *(draw.randrange(size + 1) for _ in range(many - 2))}
    for cut in sorted(cut for cut in cuts if 0 <= cut < size):
        yield f"cut to {cut} of {size} bytes", data[:cut]
    for _ in range(many if size else 0):
        position, bit = draw.randrange(size), draw.randrange(8)
        yield f"bit {bit} of byte {position} flipped", _flipped(data, position, bit)


def how_many(name: str) -> int:
    """How many cuts and flips of each file: more with `--hypothesis-profile=thorough`, and where content is read."""
    thorough = settings().max_examples >= 1000
    return (200 if thorough else 4) if name.rpartition("/")[2] not in NOT_READ else 2


def _flipped(data: bytes, position: int, bit: int) -> bytes:
    return data[:position] + bytes([data[position] ^ (1 << bit)]) + data[position + 1 :]


KINDS = [
    "experiment.json",
    "events.jsonl",
    "control.jsonl",
    "supervisor.json",
    "supervisor.lock",
    "se-s0/events.jsonl",
    "se-s0/predictions.npz",
    "se-s0/checkpoints/LATEST.json",
    "se-s0/checkpoints/step-00000010.pt",
    "se-s0/probes/epoch-00002.npz",
    "se-s0/weights.safetensors",
    "se-s0/heartbeat",
    "se-s0/claim",
]


def test_no_kind_of_file_is_forgotten(finished: ExperimentDir) -> None:
    kinds = {re.sub(r"\d+", "", name) for name in files(finished)}
    empty = {re.sub(r"\d+", "", name) for name in files(finished) if not (finished.path / name).stat().st_size}
    assert kinds - empty == {re.sub(r"\d+", "", name) for name in KINDS}


def looks(experiment: ExperimentDir, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[int, str, str]]:
    """What each command that shows an experiment says: exit code, stdout, stderr."""
    runs_dir = str(experiment.path.parent)
    found = {}
    for command in (
        ["ls", "--runs-dir", runs_dir],
        ["attach", "--no-ui", experiment.id, "--runs-dir", runs_dir],
        ["compare", experiment.id, "--runs-dir", runs_dir],
        ["compare", "--json", experiment.id, "--runs-dir", runs_dir],
    ):
        code = cli.run(command)
        out, err = capsys.readouterr()
        assert "internal error" not in err, (command, err)
        assert "Traceback" not in out + err
        assert code in {0, 1, 2, 3}
        assert len(err.splitlines()) <= 6
        found[" ".join(command[:2])] = code, out, err
    return found


@pytest.mark.parametrize("name", KINDS)
def test_looking_at_a_damaged_experiment(
    finished: ExperimentDir, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    before = looks(finished, capsys)
    path = finished.path / name
    data = path.read_bytes()
    try:
        for what, spoiling in spoilt(data, name):
            path.write_bytes(spoiling)
            after = looks(finished, capsys)
            if path.name in NOT_READ:
                assert after == before, what
            for command, (_, out, err) in after.items():
                changed = (out, err) != before[command][1:]
                # JSON for programs has no room for words: null stands for what is not known.
                assert not changed or command == "compare --json" or TOLD.search(out + err), (what, command, out, err)
    finally:
        path.write_bytes(data)
    assert looks(finished, capsys) == before


# ---- taking up what is damaged


@pytest.fixture
def resume(
    lab: Lab, zygote: "subprocess.Popen[str]", capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """`tui-attn resume` with supervisors from the zygote: exit code, stdout, stderr."""

    class Handle:
        def __init__(self, pid: int) -> None:
            self.pid = pid

        def poll(self) -> int | None:
            return 0 if gone(self.pid) else None

        def wait(self) -> None:
            eventually(lambda: gone(self.pid), "the end of the supervisor")

    def start(folder: ExperimentDir, **_: object) -> Handle:
        handle = Handle(lab.start(folder))
        eventually(lambda: gone(handle.pid) or liveness.holder(folder.supervisor_lock) == handle.pid, "a supervisor")
        return handle

    monkeypatch.setattr(control, "start_supervisor", start)

    def call(experiment: ExperimentDir) -> tuple[int, str, str]:
        code = cli.run(["resume", experiment.id, "--no-ui", "--runs-dir", str(experiment.path.parent)])
        out, err = capsys.readouterr()
        assert "internal error" not in err, err
        assert "Traceback" not in out + err
        return code, out, err

    return call


def copied(experiment: ExperimentDir, folder: Path) -> ExperimentDir:
    copy = folder / "runs" / "copy"
    shutil.copytree(experiment.path, copy)
    return ExperimentDir(copy)


def digests(experiment: ExperimentDir) -> dict[str, str]:
    return {run: digest_of_file(experiment.run(run).weights) for run in ("base-s0", "se-s0")}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["se-s0/checkpoints/step-00000005.pt"], "skipped step-00000005.pt"),
        (["se-s0/checkpoints/LATEST.json"], ""),
        (["base-s0/checkpoints/LATEST.json", "base-s0/checkpoints/step-00000010.pt"], "skipped step-00000010.pt"),
        (["base-s0/checkpoints/step-00000005.pt", "base-s0/checkpoints/step-00000010.pt"], "resumed from step 0"),
        (["events.jsonl"], ""),
        (["se-s0/events.jsonl", "base-s0/events.jsonl"], "damaged"),
    ],
)
def test_taking_up_a_damaged_experiment_ends_with_the_same_weights(
    interrupted: ExperimentDir,
    resume: Any,
    undisturbed: dict[str, Reference],
    tmp_path: Path,
    names: list[str],
    words: str,
) -> None:
    experiment = copied(interrupted, tmp_path)
    for name in names:
        path = experiment.path / name
        data = path.read_bytes()
        path.write_bytes(_flipped(data, len(data) // 2, 3))
    code, out, err = resume(experiment)
    assert code == 0, err
    assert words in out
    assert digests(experiment) == {run: known.weights_sha256 for run, known in undisturbed.items()}


@pytest.mark.parametrize("seed", range(4))
def test_taking_up_after_damage_anywhere(
    interrupted: ExperimentDir, resume: Any, undisturbed: dict[str, Reference], tmp_path: Path, seed: int
) -> None:
    """Three files spoilt at random: it goes on to the same weights, or says why not. It never ends with others."""
    experiment = copied(interrupted, tmp_path)
    draw = random.Random(seed)
    names = [str(path.relative_to(experiment.path)) for path in sorted(experiment.path.rglob("*")) if path.is_file()]
    for name in draw.sample([name for name in names if (experiment.path / name).stat().st_size], 3):
        path = experiment.path / name
        path.write_bytes(draw.choice(list(spoilt(path.read_bytes(), f"{seed}/{name}")))[1])
    code, out, err = resume(experiment)
    if code == 2:
        assert "experiment.json" in err
        return
    assert code in {0, 3}, (out, err)
    for run, state in read_state(experiment).state.runs.items():
        assert state.state == "finished" or state.reason, run
        if state.state == "finished":
            assert digest_of_file(experiment.run(run).weights) == undisturbed[run].weights_sha256


@pytest.mark.parametrize("how", ["cut", "gone"])
def test_without_its_configuration_it_is_not_taken_up_and_the_others_are_shown(
    interrupted: ExperimentDir, resume: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    experiment = copied(interrupted, tmp_path)
    shutil.copytree(experiment.path, experiment.path.with_name("good"))
    if how == "cut":
        experiment.manifest.write_bytes(experiment.manifest.read_bytes()[:100])
    else:
        experiment.manifest.unlink()
    code, _, err = resume(experiment)
    assert code == 2
    assert "restore it from a copy" in err
    assert cli.run(["ls", "--runs-dir", str(experiment.path.parent)]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"^good +lost", out, re.MULTILINE)
    assert re.search(r"^copy +damaged", out, re.MULTILINE)
    assert "experiment.json" in err


@pytest.mark.parametrize("what", ["a folder", "a pipe", "a link"])
def test_an_unreadable_run_beside_good_ones(
    finished: ExperimentDir, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    import os

    experiment = copied(finished, tmp_path)
    log = experiment.run("se-s0").events
    log.unlink()
    if what == "a folder":
        log.mkdir()
    elif what == "a pipe":
        os.mkfifo(log)
    else:
        log.symlink_to(finished.run("se-s0").events)
    after = looks(experiment, capsys)
    for command in ("ls --runs-dir", "attach --no-ui", f"compare {experiment.id}"):
        _, out, err = after[command]
        assert "se-s0/events.jsonl" in out + err
        assert "can't be read" in out + err
    code, out, _ = after["compare --json"]
    assert code == 0
    assert f'"weights_sha256": "{digest_of_file(experiment.run("base-s0").weights)}"' in out
