"""The process between a supervisor and a Ray cluster: `python -m tui_attn.engines.ray_relay FOLDER ID [ADDRESS]`.

Ray's own calls may wait for another machine and may end their process, so the supervisor makes none. It sends orders,
a JSON object a line, to this process's standard input; news comes back the same way (see `ray_workers`). When the
supervisor is gone, the workers checkpoint and exit, and so does this process.

Where a node doesn't see the experiment's folder, this process writes there what the node's worker wrote.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui_attn.engines.ray_actor import News, Runner, owner_of
from tui_attn.engines.workers import DISPLACED, worker_environment
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.system import children, files, liveness
from tui_attn.system.console import open_standard_streams
from tui_attn.system.json_lines import LineReader
from tui_attn.system.plain_file import open_to_read, open_to_write
from tui_attn.system.text import safe_text

_LOOK = 0.1
"""Seconds between two looks at the supervisor's orders."""
_BEAT = 2.0
_PENDING = 3.0
"""Seconds after which a worker that Ray didn't place is said to wait."""
_CHECK_WITHIN = 30.0
"""Seconds that a cluster gets to refuse a caller without a token."""
_SETTLED = 3.0
"""Seconds after which a worker that was killed was not killed with its node."""
_LOST = "its Ray actor or its node was lost"
_LAST_WITHIN = 60.0
"""Seconds that workers get to checkpoint when the supervisor is gone."""
_MIRRORED = re.compile(
    r"[a-z0-9][a-z0-9._-]{0,63}/"
    r"(heartbeat|events\.jsonl|worker\.log|predictions\.npz|weights\.safetensors|(checkpoints|probes)/[A-Za-z0-9][A-Za-z0-9._-]{0,127})"
)
"""What a worker may have written."""


@dataclass
class _Remote:
    """A worker on a node."""

    actor: Any
    token: int
    asked: Any
    """What the actor was asked last: to begin, then for news."""
    since: float
    begun: bool = False
    shared: bool = True
    said_waiting: bool = False
    killed: float | None = None
    """When its worker was first found killed by SIGKILL."""
    unsent: list[tuple[str, Any]] = field(default_factory=list)
    """Orders that wait for the worker to begin."""
    locks: dict[str, liveness.Lock] = field(default_factory=dict)
    """Of the runs whose files are written here."""


class Relay:
    """Starts and watches workers in Ray actors."""

    def __init__(self, folder: ExperimentDir, answers: int) -> None:
        import ray

        self._ray = ray
        self._folder = folder
        self._answers = answers
        self._manifest = folder.manifest_data()
        self._remotes: dict[int, _Remote] = {}
        remote: Any = ray.remote
        self._actor_class = remote(concurrency_groups={"orders": 1, "news": 1})(Runner)

    # ---- orders

    def obey(self, order: Mapping[str, Any]) -> None:
        """Execute an order of the supervisor; those for a dead worker are dropped."""
        if order["do"] == "start":
            self._start(order)
            return
        remote = self._remotes.get(order["worker"])
        if remote is None:
            return
        if order["do"] == "kill":
            self._ray.kill(remote.actor)
        elif remote.begun:
            self._pass_on(remote, order["do"], order.get("what"))
        else:
            remote.unsent.append((order["do"], order.get("what")))

    def _start(self, order: Mapping[str, Any]) -> None:
        device: str = order["device"]
        wanted: dict[str, Any] = {"num_cpus": self._manifest.threads, "max_restarts": 0, "max_task_retries": 0}
        if device.startswith("cuda"):
            wanted["num_gpus"] = 1
        actor = self._actor_class.options(**wanted).remote()
        place, owner = str(self._folder.path.resolve()), owner_of(self._folder.path)
        arguments = "cuda" if device.startswith("cuda") else device, self._folder.id, str(order["worker"])
        environment = worker_environment(self._manifest.threads, crowded=False)
        begin = actor.begin.options(concurrency_group="orders")
        asked = begin.remote(place, order["log"], owner, arguments, environment, dict(_needed(self._folder)))
        self._remotes[order["worker"]] = _Remote(actor, order["worker"], asked, time.monotonic())

    def _pass_on(self, remote: _Remote, do: str, what: Any) -> None:
        arguments: list[Any] = [] if what is None else [what]
        if do == "feed":
            sent: dict[str, bytes] = {}
            if what["do"] == "train" and not remote.shared:
                if not self._take(remote, what["run"]):
                    return
                sent = dict(_of_run(self._folder.run(what["run"])))
            arguments = [json.dumps(what).encode() + b"\n", sent]
        getattr(remote.actor, do).options(concurrency_group="orders").remote(*arguments)

    def _take(self, remote: _Remote, run: str) -> bool:
        """Lock a run whose files are to be written here; one that another process writes ends the worker."""
        for other in self._remotes.values():
            if run in other.locks:
                remote.locks[run] = other.locks.pop(run)
                return True
        try:
            remote.locks[run] = liveness.Lock(self._folder.run(run).lock)
        except OSError:
            self._end(remote, DISPLACED, None)
            self._ray.kill(remote.actor)
            return False
        return True

    # ---- news

    def look(self) -> None:
        """Take what the actors answered, for `_LOOK` seconds at most."""
        asked = {remote.asked: remote for remote in self._remotes.values()}
        done, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=_LOOK) if asked else ([], [])
        for answer in done:
            remote = asked[answer]
            if remote.token not in self._remotes:
                continue
            try:
                self._hear(remote, self._ray.get(answer))
            except self._ray.exceptions.RayActorError as error:
                memory = "low on memory" in str(error).casefold()
                self._end(remote, -signal.SIGKILL, None if memory else _LOST)
            except self._ray.exceptions.RayError as error:  # what the actor itself raised
                self._end(remote, 1, f"its node could not start it: {_one_line(error)}")
                self._ray.kill(remote.actor)
        for remote in self._remotes.values():
            if not remote.begun and not remote.said_waiting and time.monotonic() - remote.since > _PENDING:
                remote.said_waiting = True
                self.say(worker=remote.token, waits=f"no node has {self._manifest.threads} CPUs free")

    def _hear(self, remote: _Remote, answer: Any) -> None:
        if not remote.begun:
            host, remote.shared = answer
            remote.begun = True
            self.say(worker=remote.token, host=host, shared=remote.shared)
            for do, what in remote.unsent:
                self._pass_on(remote, do, what)
        else:
            news = News(*answer)
            if not remote.shared and remote.killed is None:
                self._mirror(remote, news)
            if news.code == -signal.SIGKILL:  # an actor may outlive its worker for a moment where their node dies
                remote.killed = remote.killed or time.monotonic()
            settled = remote.killed is None or news.orphaned or time.monotonic() > remote.killed + _SETTLED
            if news.code is not None and settled:
                self._end(remote, news.code, _LOST if remote.killed and news.orphaned else None)
                self._ray.kill(remote.actor)
        if remote.token in self._remotes:
            remote.asked = remote.actor.news.options(concurrency_group="news").remote()

    def _end(self, remote: _Remote, code: int, excuse: str | None) -> None:
        self._remotes.pop(remote.token, None)
        for lock in remote.locks.values():
            lock.release()
        self.say(worker=remote.token, code=code, excuse=excuse)

    def _mirror(self, remote: _Remote, news: News) -> None:
        """Write what the worker wrote of the runs that it holds."""
        over: set[str] = set()
        for name, offset, data in news.changes:
            run, _, file = name.partition("/")
            if run not in remote.locks or not _MIRRORED.fullmatch(name):
                continue
            if file == "heartbeat":
                heart = liveness.Heartbeat(self._folder.run(run).heartbeat)
                heart.beat()
                heart.close()
                continue
            if offset is None:
                files.write_atomically(self._folder.path / name, data)
                continue
            _append(self._folder.path / name, offset, data)
            last = data.rstrip(b"\n").rpartition(b"\n")[2]
            if file == "events.jsonl" and b'"type":"ended"' in last.replace(b" ", b""):
                over.add(run)
        for run in remote.locks:
            for path in self._folder.run(run).checkpoints.glob("*.pt"):
                if f"{run}/checkpoints/{path.name}" not in news.names:
                    path.unlink(missing_ok=True)
        for run in over:
            remote.locks.pop(run).release()

    def say(self, **news: Any) -> None:
        """Send news to the supervisor; empty news says that this process doesn't hang."""
        os.write(self._answers, json.dumps(news).encode() + b"\n")

    # ---- the end

    def leave(self) -> None:
        """Let the workers checkpoint, and take what they wrote last."""
        for token in list(self._remotes):
            self.obey({"do": "finish", "worker": token})
        deadline = time.monotonic() + _LAST_WITHIN
        with contextlib.suppress(BrokenPipeError):
            while self._remotes and time.monotonic() < deadline:
                self.look()


def _needed(folder: ExperimentDir) -> Iterator[tuple[str, bytes]]:
    """What a worker reads of an experiment: the manifest and the code of custom models."""
    yield "experiment.json", _read(folder.manifest)
    for path in sorted((folder.path / "models").glob("*.py")):
        yield f"models/{path.name}", _read(path)


def _of_run(run: RunDir) -> Iterator[tuple[str, bytes]]:
    """What a run continues from. Of the log only whole lines: what follows them is written anew."""
    for path in (run.events, *run.checkpoints.glob("*"), *run.probes.glob("*")):
        if not path.name.startswith("."):
            with contextlib.suppress(OSError):
                data = _read(path)
                where = "" if path == run.events else f"{path.parent.name}/"
                yield f"{run.id}/{where}{path.name}", data[: data.rfind(b"\n") + 1] if path == run.events else data


def _read(path: Path) -> bytes:
    with os.fdopen(open_to_read(path), "rb") as file:
        return file.read()


def _append(path: Path, offset: int, data: bytes) -> None:
    with os.fdopen(open_to_write(path), "r+b") as file:
        file.seek(offset)
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


# ---- the cluster


class ClusterError(Exception):
    """The cluster can't be used; the message is one line."""


def join(address: str | None) -> None:
    """Connect to the cluster at `address`, else at RAY_ADDRESS, else start one here that ends with this process.

    Raises `ClusterError`.
    """
    address = address or os.environ.get("RAY_ADDRESS") or None
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_BACKEND_LOG_LEVEL": "error"}
    how: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address is None:
        # Without the second, the cluster starts a process for each CPU before an actor asks for one.
        os.environ |= {"RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_prestart_worker_first_driver": "0"}
        how |= {"address": "local", "include_dashboard": False}
    else:
        _demand_token(address)
        how["address"] = address
    try:
        import ray  # reads its environment when it is imported

        ray.init(**how)
    except (Exception, SystemExit) as error:
        raise ClusterError(f"the Ray cluster can't be reached: {_one_line(error)}") from None


def _demand_token(address: str) -> None:
    """Refuse a cluster that takes orders from callers without a token: whoever reaches its ports runs code there."""
    call = sys.executable, "-P", "-m", "ray.scripts.scripts", "status", "--address", address.removeprefix("ray://")
    without_token = "env", "-u", "RAY_AUTH_TOKEN", "RAY_AUTH_MODE=disabled"
    try:
        answer = children.run(*without_token, *call, seconds=_CHECK_WITHIN)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"the Ray cluster at {address} does not answer") from None
    if answer.returncode == 0:
        raise ClusterError(
            f"the Ray cluster at {address} takes orders from anybody who reaches its ports: "
            "start it with RAY_AUTH_MODE=token"
        )


def _one_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return safe_text(lines[-1] if lines else type(error).__name__, one_line=True)[:300]


# ---- the process


def main(arguments: list[str]) -> int:
    """Serve the supervisor until it is gone."""
    os.umask(0o077)
    open_standard_streams()
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing that a library prints gets between the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        join(arguments[2] if len(arguments) > 2 else None)
    except ClusterError as error:
        os.write(answers, json.dumps({"failed": str(error)}).encode() + b"\n")
        return 1
    os.write(answers, b'{"joined": true}\n')
    relay, orders, beaten = Relay(ExperimentDir(Path(arguments[0]), name=arguments[1]), answers), LineReader(0), 0.0
    with contextlib.suppress(BrokenPipeError):
        while True:
            found = orders.read()
            if orders.ended:
                break
            for order in found:
                relay.obey(order)
            relay.look()
            if time.monotonic() > beaten + _BEAT:
                beaten = time.monotonic()
                relay.say()
            time.sleep(_LOOK)
    relay.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
