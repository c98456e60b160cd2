"""Workers in actors of real Ray clusters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import environment
from tests.ray_cluster import Cluster, cluster
from tests.recorded import record
from tests.waiting import eventually
from tui_attn.engines import ray_relay
from tui_attn.engines.ray_actor import News
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state

if not os.environ.get("TUI_ATTN_REQUIRE_RAY"):  # set in continuous integration, where all of this must run
    pytest.importorskip("ray", reason="RAY IS NOT INSTALLED, SO NOTHING OF --on ray IS TESTED")

CONFIG = ["--dataset", "synthetic", "--train-limit", "256", "--test-limit", "100", "--batch-size", "32"]
CONFIG += ["--models", "base,se", "--epochs", "12"]
HOSTILE = """it's a "$(touch pwned)" `touch pwned`; touch pwned # \\ %j\nnew line"""


def program(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """What `tui-attn` did with `arguments`."""
    command = [sys.executable, "-P", "-m", "tui_attn", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=500, check=False, env=env or environment(), cwd="/"
    )


def weights(runs: Path) -> dict[str, str]:
    """Run -> the digest of its weights, in the newest experiment."""
    said = json.loads(program("compare", "--json", "--runs-dir", runs).stdout)
    return {run["run"]: run["weights_sha256"] for model in said["models"] for run in model["runs"]}


def steps(folder: ExperimentDir) -> dict[str, list[float]]:
    """Run -> the steps of its logged points."""
    return {name: list(run.steps) for name, run in read_state(folder).state.runs.items()}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs folder of the same experiment, trained here without a break."""
    runs = tmp_path_factory.mktemp("reference")
    assert program("--no-ui", *CONFIG, "--runs-dir", runs).returncode == 0
    return runs


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as name:
        yield Path(name)


def start(ray: Cluster, runs: Path, *more: str) -> ExperimentDir:
    """Start the experiment on the cluster."""
    done = program("--detach", *CONFIG, *more, "--on", f"ray:{ray.address}", "--runs-dir", runs, env=ray.environment)
    assert done.returncode == 0, done.stderr
    return next(experiments(runs))


def trained(folder: ExperimentDir, epochs: int) -> bool:
    """Whether every run has ended that many epochs."""
    runs = read_state(folder).state.runs
    return len(runs) == 2 and all(len(run.epochs) >= epochs for run in runs.values())


def ended(folder: ExperimentDir) -> bool:
    """Whether the experiment is over."""
    return read_state(folder).state.state in {"finished", "stopped", "failed"}


def same(folder: ExperimentDir, reference: Path) -> None:
    """Assert that nothing tells the experiment from the one that was trained here."""
    eventually(lambda: ended(folder), "the end", seconds=400, interval=0.2)
    assert read_state(folder).state.state == "finished"
    assert weights(folder.path.parent) == weights(reference)
    assert steps(folder) == steps(next(experiments(reference)))


def test_a_cluster_of_its_own_gives_the_same_weights_and_ends_with_the_experiment(
    tmp_path: Path, reference: Path
) -> None:
    env = {name: value for name, value in environment().items() if not name.startswith("RAY_")}
    runs = tmp_path / HOSTILE
    done = program("--no-ui", *CONFIG, "--on", "ray", "--name", "a $(touch pwned)", "--runs-dir", runs, env=env)
    assert done.returncode == 0, done.stderr
    same(next(experiments(runs)), reference)
    eventually(lambda: not _of_ray(str(tmp_path)), "the end of the cluster")
    assert not [*Path("/").glob("pwned"), *tmp_path.rglob("pwned")]


def _of_ray(runs: str) -> list[str]:
    """Processes that the experiments in `runs` left."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if runs in words and "tui_attn" in words:
            found.append(words)
    return found


@pytest.mark.skipif(os.getuid() != 0, reason="only root can hide a folder from a node")
def test_nodes_without_the_folder_lose_nothing_when_one_dies(tmp_path: Path, short: Path, reference: Path) -> None:
    runs = tmp_path / HOSTILE
    runs.mkdir()
    with cluster(short, nodes=1, hidden=runs) as ray:
        said = program("doctor", "--on", f"ray:{ray.address}", "--runs-dir", runs, env=ray.environment).stdout
        assert f"{os.uname().nodename} doesn't see {tmp_path}" in said
        assert ": what it writes is fetched" in said
        folder = start(ray, runs)
        eventually(lambda: trained(folder, 2), "two epochs", seconds=300, interval=0.1)
        ray.kill("n1")
        ray.start("n2")
        same(folder, reference)
    reasons = {event["reason"] for event in _events(folder) if event["type"] == "run_restarted"}
    assert reasons
    assert all("its Ray actor or its node was lost" in str(each) for each in reasons)
    assert not any(path.name.startswith(".tmp") for path in folder.path.rglob("*"))


def _events(folder: ExperimentDir) -> list[dict[str, object]]:
    return [json.loads(line) for line in folder.events.read_text().splitlines()]


def test_a_killed_supervisor_and_a_frozen_head_cost_only_time(tmp_path: Path, short: Path, reference: Path) -> None:
    with cluster(short) as ray:
        folder = start(ray, tmp_path)
        eventually(lambda: trained(folder, 1), "an epoch", seconds=300, interval=0.1)
        os.kill(json.loads(folder.supervisor.read_text())["pid"], signal.SIGKILL)
        eventually(lambda: not _of_ray(str(tmp_path)), "the end of the workers", seconds=120)
        done = program("resume", "--detach", "--runs-dir", tmp_path, env=ray.environment)
        assert done.returncode == 0, done.stderr
        eventually(lambda: trained(folder, 2), "another epoch", seconds=300, interval=0.1)
        ray.signal("head", signal.SIGSTOP)
        assert program("stop", "--runs-dir", tmp_path, env=ray.environment).returncode == 0
        eventually(lambda: ended(folder), "the stop", seconds=180, interval=0.2)
        ray.signal("head", signal.SIGCONT)
        done = program("resume", "--detach", "--runs-dir", tmp_path, env=ray.environment)
        assert done.returncode == 0, done.stderr
        same(folder, reference)


def test_a_cluster_without_a_token_gets_no_orders(tmp_path: Path, short: Path) -> None:
    with cluster(short, nodes=0, token=False) as ray:
        done = program("--no-ui", *CONFIG, "--on", f"ray:{ray.address}", "--runs-dir", tmp_path, env=ray.environment)
        said = program("doctor", "--on", f"ray:{ray.address}", "--runs-dir", tmp_path, env=ray.environment).stdout
    assert "start it with RAY_AUTH_MODE=token" in " ".join(said.split())
    assert done.returncode == 3 or done.returncode == 1
    assert "start it with RAY_AUTH_MODE=token" in " ".join(done.stdout.split())


class Scripted:
    """In place of Ray and of an actor, which answers what it is told to."""

    def __init__(self, *answers: Any) -> None:
        import ray

        self.answers = list(answers)
        self.exceptions = ray.exceptions
        self.remote: Any = lambda **_: lambda _: None

    def wait(self, asked: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return asked, []

    def get(self, _: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, actor: Any) -> None:
        pass

    @property
    def news(self) -> Any:
        return self

    def options(self, **_: Any) -> Any:
        return type("Call", (), {"remote": staticmethod(object)})


@pytest.mark.parametrize(
    ("orphaned", "lost", "settled", "excuse"),
    [
        (False, True, 60.0, "its Ray actor or its node was lost"),
        (True, False, 60.0, "its Ray actor or its node was lost"),
        (False, False, -1.0, None),
    ],
)
def test_a_worker_killed_just_before_its_node_is_lost_is_not_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orphaned: bool, lost: bool, settled: float, excuse: str | None
) -> None:
    monkeypatch.setattr(ray_relay, "_SETTLED", settled)
    killed = News(-signal.SIGKILL, orphaned=orphaned)
    ray = Scripted(killed)
    if lost:
        ray.answers += [killed, ray.exceptions.RayActorError()]
    monkeypatch.setitem(sys.modules, "ray", ray)
    reader, writer = os.pipe()
    relay = ray_relay.Relay(record(tmp_path), writer)
    relay._remotes[7] = ray_relay._Remote(ray, 7, asked=object(), since=time.monotonic(), begun=True)
    while ray.answers:
        relay.look()
    os.close(writer)
    with os.fdopen(reader) as said:
        assert json.loads(said.read()) == {"worker": 7, "code": -signal.SIGKILL, "excuse": excuse}
