"""Sends signals at random bytecodes of front end, supervisor and worker: none may hang.

    python -m benchmarks.signals [--seconds 480] [--seed 0]

A small experiment starts. At a random bytecode of the program's own code, from its first line to its last, one of its
processes sends itself one to twenty signals, and sometimes more a few bytecodes later. Then all processes must end
within a minute, without a traceback. What is left on disk must be nothing, or an experiment that `resume` finishes with
the weights of an undisturbed one.
"""

import os
import random
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.campaign import Tally, adopt_orphans, await_end, end_children, last_line, parser, use_home
from benchmarks.forks import SMALL, start
from tests.reliability.invariants import reference, violations
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.follower import read_state

LIMIT = 120.0
"""Seconds within which everything must have ended, on a busy machine."""
SIGNALS = {
    "front": (signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    "supervisor": (signal.SIGTERM, signal.SIGINT, signal.SIGHUP),
    "worker": (signal.SIGTERM, signal.SIGINT, signal.SIGHUP),
}


class Trigger:
    """Sends its own process signals at the `at`-th bytecode of the program's code; without `at` it only counts them."""

    def __init__(self, at: dict[int, list[int]] | None, counter: Path) -> None:
        self._at, self._counter, self._count = at, counter, 0

    def install(self) -> None:
        sys.settrace(self._called)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Any:
        if "/tui_attn/" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._opcode

    def _opcode(self, frame: FrameType, event: str, argument: Any) -> Any:
        self._count += event == "opcode"
        if self._at is None:
            if self._count % 100 == 0:
                self._counter.write_text(str(self._count))
        else:
            for signum in self._at.pop(self._count, ()):
                self._counter.write_text(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
                os.kill(os.getpid(), signum)
        return self._opcode


def main() -> int:
    options = parser(__doc__, 480)
    options.add_argument("--cases", type=int, default=10**9, help="end after so many")
    chosen = options.parse_args()
    draw = random.Random(chosen.seed)
    adopt_orphans()
    tally, places = Tally(), Counter[str]()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="signals-", dir="/dev/shm") as name:
        folder = Path(name)
        use_home(folder)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one thread, as the experiment records
        counts = {}
        for role in SIGNALS:
            one(folder / role, role, None, tally)
            counts[role] = int((folder / role / "place").read_text())
            tally.counts[f"bytecodes of {role}"] = counts[role]
        expected = reference(next(experiments(folder / "front" / "runs")))
        while tally.seconds < chosen.seconds and tally.counts["cases"] < chosen.cases:
            tally.counts["cases"] += 1
            role = draw.choice(list(SIGNALS))
            at = plan(draw, counts[role], SIGNALS[role])
            case = folder / str(tally.counts["cases"])
            one(case, role, at, tally)
            sent = sum(map(len, at.values()))
            place = case / "place"
            if place.exists():
                places[place.read_text()] += 1
                tally.counts["signals"] += sent
                tally.counts[f"signals to {role}"] += sent
                tally.counts["bursts"] += sent > 1
            for experiment in experiments(case / "runs"):
                state = read_state(experiment).state.state
                tally.counts[f"left {state}"] += 1
                if state != "finished":
                    if draw.random() > 0.25:
                        continue
                    tally.counts["resumed"] += 1
                    front = start(
                        ["resume", "--no-ui", "--runs-dir", str(case / "runs")], case / "output", lambda _: None
                    )
                    await_end(front, LIMIT)
                    end_children(LIMIT)
                for words in violations(experiment, expected):
                    tally.fault("violation", str(at), f"{place.read_text() if place.exists() else ''}: {words}")
            end_children(0.0)
    tally.counts["places in the code"] = len(places)
    return tally.end(chosen.json)


def plan(draw: random.Random, bytecodes: int, signals: tuple[int, ...]) -> dict[int, list[int]]:
    """Which signals at which bytecode; half of them near the beginning or the end."""
    near = int(10 ** draw.uniform(0, 4))
    first = draw.choice((draw.randrange(1, bytecodes), draw.randrange(1, bytecodes), near, bytecodes - near))
    signum = draw.choice(signals)
    found = {max(1, first): [signum] * draw.choice((1, 1, 2, 3, 20))}
    if draw.random() < 0.3:
        found[max(1, first) + draw.randrange(1, 200)] = [draw.choice(signals)]
    return found


def one(case: Path, role: str, at: dict[int, list[int]] | None, tally: Tally) -> None:
    """Start an experiment and disturb it."""
    case.mkdir()

    def prepare(process: str) -> None:
        if process == role and not (case / "place").exists():  # the first of several workers
            Trigger(None if at is None else dict(at), case / "place").install()

    front = start(["--no-ui", *SMALL, "--runs-dir", str(case / "runs")], case / "output", prepare)
    status = await_end(front, LIMIT)
    left = end_children(LIMIT)
    said = (case / "output").read_text(errors="replace")
    logs = "".join(path.read_text(errors="replace") for path in case.glob("runs/*/supervisor.log"))
    if logs.rstrip().endswith("KeyboardInterrupt"):  # in its first lines it dies of SIGINT
        tally.counts["died before its handlers"] += 1
        logs = ""
    where = f"{role}, {at}, {(case / 'place').read_text() if (case / 'place').exists() else ''}"
    if status is None:
        tally.fault("front hangs", where, last_line(said))
    if left:
        tally.fault("processes hang", where, str(left))
    if "Traceback" in said + logs or "internal error" in said:
        tally.fault("traceback", where, last_line(said + logs))
    ghosts = [path for path in case.glob("runs/*") if not (path / "experiment.json").exists()]
    if ghosts:
        tally.fault("ghost", where, str(ghosts))
    if at is None and status != 0:
        raise RuntimeError(said)


if __name__ == "__main__":
    sys.exit(main())
