"""Workers in Ray actors, with a process between that says what the test wants."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import record
from tests.waiting import eventually
from tui_attn.engines import ray_workers
from tui_attn.engines.ray_actor import Runner
from tui_attn.engines.ray_workers import RayLauncher, RayWorker
from tui_attn.engines.workers import CANNOT_WORK, Slot
from tui_attn.system import children
from tui_attn.system.files import write_atomically

RELAY = """
import json, sys
from pathlib import Path
folder = Path({folder!r})
(folder / "relays").open("a").write("begun\\n")
says = (folder / "says").read_text()
print(says, end="", flush=True)
if "joined" not in says:
    sys.exit(1)
for line in sys.stdin:
    (folder / "orders").open("a").write(line)
    if (folder / "dies").exists():
        sys.exit(0)
"""


class Relay:
    """What relays say at once, and the orders that they got."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def says(self, **news: Any) -> None:
        write_atomically(self.folder / "says", f"{json.dumps(news)}\n".encode(), sync=False)

    @property
    def orders(self) -> list[dict[str, Any]]:
        path = self.folder / "orders"
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []

    @property
    def begun(self) -> int:
        return len((self.folder / "relays").read_text().splitlines())


@pytest.fixture
def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    program = tmp_path / "relay.py"
    program.write_text(RELAY.format(folder=str(tmp_path)))
    started = []

    def python(module: str, *arguments: str | Path, **how: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, program], **how))
        return started[-1]

    monkeypatch.setattr(children, "python", python)
    monkeypatch.setattr(ray_workers, "_AGAIN", 0.0)
    yield Relay(tmp_path)
    for process in started:
        process.kill()
        process.wait()


def launched(tmp_path: Path) -> tuple[RayLauncher, RayWorker]:
    folder = record(tmp_path / "runs")
    launcher = RayLauncher(folder, None)
    folder.run("se-s0").make()
    return launcher, launcher.start(Slot("cpu", 0), folder.run("se-s0"))


def until(launcher: RayLauncher, condition: object) -> None:
    assert callable(condition)

    def looked() -> object:
        launcher.look()
        return condition()

    eventually(looked, "it")


def test_orders_wait_for_a_cluster_and_keep_their_order(tmp_path: Path, relay: Relay) -> None:
    relay.says(joined=True)
    launcher, worker = launched(tmp_path)
    worker.tell("train", "se-s0")
    worker.tell("pause", "se-s0")
    until(launcher, lambda: len(relay.orders) == 3)
    assert [order["do"] for order in relay.orders] == ["start", "feed", "feed"]
    assert [order["what"]["do"] for order in relay.orders[1:]] == ["train", "pause"]


def test_a_cluster_that_was_never_there_fails_the_run_with_the_reason(tmp_path: Path, relay: Relay) -> None:
    relay.says(failed="the Ray cluster can't be reached: no")
    launcher, worker = launched(tmp_path)
    until(launcher, lambda: worker.exit_code() is not None)
    assert worker.exit_code() == CANNOT_WORK
    (log,) = (tmp_path / "runs").rglob("worker.log")
    assert log.read_text().splitlines()[-1] == "the Ray cluster can't be reached: no"


def test_a_cluster_that_is_gone_is_asked_for_again_until_it_is_back(tmp_path: Path, relay: Relay) -> None:
    relay.says(joined=True)
    launcher, first = launched(tmp_path)
    until(launcher, lambda: relay.orders)
    (tmp_path / "dies").touch()
    first.tell("train", "se-s0")
    until(launcher, lambda: first.exit_code() is not None)
    assert (first.exit_code(), first.excuse()) == (-signal.SIGKILL, "the connection to Ray was lost")

    relay.says(failed="the Ray cluster at h:1 does not answer")
    (tmp_path / "dies").unlink()
    (tmp_path / "orders").unlink()
    folder = first._log
    second = launcher.start(Slot("cpu", 0), folder)
    stopped = launcher.start(Slot("cpu", 1), folder)
    second.tell("train", "se-s0")
    before = relay.begun
    until(launcher, lambda: relay.begun > before + 1)
    assert second.exit_code() is None
    until(launcher, lambda: second.waits == "the Ray cluster at h:1 does not answer")
    stopped.tell("exit")
    assert stopped.exit_code() == 0

    relay.says(joined=True)
    until(launcher, lambda: len(relay.orders) == 2)
    assert {order["worker"] for order in relay.orders} == {second.token}


def test_without_a_cluster_a_worker_is_killed_at_once(tmp_path: Path, relay: Relay) -> None:
    relay.says(failed="no")
    _, worker = launched(tmp_path)
    worker.kill(signal.SIGKILL)
    assert worker.exit_code() == -signal.SIGKILL


def test_news_come_in_an_order_in_which_nothing_is_written_before_what_it_names(tmp_path: Path) -> None:
    """A checkpoint after its log, a log after the files of its events, and last what lists the checkpoints."""
    runner = Runner()
    runner._scratch = tmp_path / "scratch"
    names = ["checkpoints/LATEST.json", "checkpoints/00000009.pt", "events.jsonl", "heartbeat", "probes/gates-1.npz"]
    for name in (*names, "predictions.npz", "lock", "claim"):
        path = runner._scratch / "se-s0" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}\n{half")
    runner._process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    living = runner.news()
    runner.finish()
    *others, log, checkpoint, latest = [name.removeprefix("se-s0/") for name, _, _ in living.changes]
    assert set(others) == {"heartbeat", "probes/gates-1.npz", "predictions.npz"}
    assert [log, checkpoint, latest] == ["events.jsonl", "checkpoints/00000009.pt", "checkpoints/LATEST.json"]
    assert living.code is None
    assert {name: (offset, data) for name, offset, data in living.changes}["se-s0/events.jsonl"] == (0, b"{}\n")
    ended = runner.news()
    assert ended.code == 0
    assert ended.changes == [("se-s0/events.jsonl", 3, b"{half")]
    assert not (tmp_path / "scratch").exists()
