"""A Ray cluster on one machine: a head that runs nothing, and nodes with processors, each a process group of its own.

    with cluster(folder, nodes=2) as ray: ...

`127.0.0.1` would be replaced by the machine's outer address, so the nodes have other loopback addresses: of each
cluster its own, so that several at once, of other processes too, don't meet.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes import environment, free_ports
from tests.waiting import eventually

_QUICK = {
    **{"health_check_period_ms": 500, "health_check_failure_threshold": 4, "health_check_initial_delay_ms": 500},
    "prestart_worker_first_driver": 0,
}
"""A dead node is noticed soon, and no process starts before an actor needs it."""


@dataclass
class Cluster:
    """A running cluster."""

    folder: Path
    token: str | None
    hidden: Path | None
    """A folder that the nodes see empty."""
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    port: int = field(default_factory=free_ports)
    network: str = field(default_factory=lambda: f"127.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250}")

    @property
    def address(self) -> str:
        """Where the head listens."""
        return f"{self.network}.10:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What the parts and the program need."""
        auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token} if self.token else {"RAY_AUTH_MODE": "disabled"}
        return environment(RAY_USAGE_STATS_ENABLED="0", **auth) | {
            f"RAY_{name}": str(value) for name, value in _QUICK.items()
        }

    def condition(self) -> str:
        """What a person wants to know of it after a failure."""
        return f"dead: {', '.join(name for name, part in self.parts.items() if part.poll() is not None) or 'none'}"

    def start(self, name: str) -> None:
        """Start the head or a node, and wait until it is up."""
        ray = [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        ray += ["--object-store-memory=80000000", "--min-worker-port=0", "--max-worker-port=0"]
        if name == "head":
            ray += ["--head", f"--node-ip-address={self.network}.10", f"--port={self.port}"]
            ray += ["--num-cpus=0", "--num-gpus=0"]
            ray += ["--include-dashboard=false", f"--temp-dir={self.folder / 'tmp'}"]
        else:
            number = int(name.removeprefix("n"))
            ray += [f"--address={self.address}", f"--node-ip-address={self.network}.{10 + number}", "--num-cpus=4"]
            if self.hidden is not None:
                script = 'mount --bind "$0" "$1" && shift && exec "$@"'
                ray = ["unshare", "-m", "sh", "-c", script, str(self.folder / "empty"), str(self.hidden), *ray]
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            self.parts[name] = subprocess.Popen(
                ray, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.environment, start_new_session=True
            )
        eventually(lambda: b"Ray runtime started" in log.read_bytes(), f"{name} is up", seconds=180, interval=0.1)

    def signal(self, name: str, signum: int) -> None:
        """Send a signal to every process of the head or of a node."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.parts[name].pid, signum)

    def kill(self, name: str) -> None:
        """End the head or a node at once, with all it runs."""
        self.signal(name, signal.SIGKILL)
        self.parts.pop(name).wait()


@contextlib.contextmanager
def cluster(folder: Path, *, nodes: int = 1, token: bool = True, hidden: Path | None = None) -> Iterator[Cluster]:
    """A cluster in `folder`, whose path must be short: sockets lie in it. Ended at the end."""
    found = Cluster(folder, secrets.token_hex(32) if token else None, hidden)
    (folder / "empty").mkdir(parents=True, exist_ok=True)
    try:
        found.start("head")
        for number in range(1, nodes + 1):
            found.start(f"n{number}")
        yield found
    finally:
        for name in list(found.parts):
            found.signal(name, signal.SIGCONT)
            found.kill(name)
