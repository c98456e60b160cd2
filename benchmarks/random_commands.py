"""Sends random commands to a running experiment, and checks that each acknowledgement is true.

    python -m benchmarks.random_commands [--seconds 480] [--seed 0]

Commands come alone and in bursts, for one run, all runs and runs that don't exist; now and then the supervisor or a
worker is killed in between, and `resume` follows. `check` then replays the experiment's log against a model of the
commands, and finds acknowledgements that claim a missing effect, or deny an actual one. Finally the experiments are
finished and compared with an undisturbed one.
"""

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.campaign import Tally, adopt_orphans, end_children, parser, use_home, wait
from benchmarks.forks import SMALL, start
from tests.reliability.invariants import reference, violations
from tui_attn.experiment.event_log import LogReader, last_event
from tui_attn.experiment.events import Event
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir, run_id
from tui_attn.experiment.follower import read_state
from tui_attn.launch import control
from tui_attn.supervision.control import TOO_LATE
from tui_attn.system import liveness

COMMANDS = ("pause", "unpause", "stop", "skip", "retry", "extend")
ENDINGS = {"stop": "stopped", "skip": "skipped"}
PAUSED_WITHIN = 20.0
"""Seconds after which a paused run may log no more steps, on a busy machine."""
SEEDS = 3


class Model:
    """What an experiment's log says of its runs, event by event."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        """Queued, held, or how the run ended."""
        self.paused: set[str] = set()
        self.leaving: dict[str, str] = {}
        """Runs in training that were told to end -> how."""
        self.stopping = False
        self.seeds = 1

    def named(self, run: str | None) -> set[str]:
        return set(self.states) if run is None else {run} & set(self.states)

    def expected(self, command: Event) -> set[str]:
        """The runs on which `command` must have an effect now."""
        runs = self.named(command.get("run"))
        alive = {run for run in runs if self.states[run] in {"queued", "held"}}
        if command.type == "pause":
            return alive - self.paused
        if command.type == "unpause":
            return runs & self.paused
        if command.type == "retry":
            return (
                set()
                if self.stopping
                else {run for run in runs if self.states[run] in {"failed", "stopped", "skipped"}}
            )
        return alive

    def apply(self, event: Event) -> str:
        """Follow the log; what an event says that can't be."""
        run = event.get("run")
        before = self.states.get(run or "")
        wrong = ""
        if event.type == "experiment_started":
            self.paused, self.leaving, self.stopping = set(), {}, False
            self.states = {run: "lost" if state in {"queued", "held"} else state for run, state in self.states.items()}
        elif event.type == "run_queued":
            wrong = "queued twice" if before in {"queued", "held"} else ""
            self.states[run] = "queued"
        elif event.type == "run_started":
            wrong = "not queued" if before != "queued" else "paused" if run in self.paused else ""
            wrong = wrong or ("handed out while stopping" if self.stopping else "")
            self.states[run] = "held"
        elif event.type == "run_restarted":
            wrong = "told to end" if run in self.leaving else "not held" if before != "held" else ""
            self.states[run] = "queued"
        elif event.type == "run_ended":
            wrong = "not on its way" if before not in {"queued", "held"} else ""
            self.states[run] = event["state"]
            self.paused.discard(run)
            self.leaving.pop(run, None)
        elif event.type == "run_paused":
            self.paused.add(run)
        elif event.type == "run_unpaused":
            self.paused.discard(run)
        elif event.type == "extended":
            self.seeds = event["seeds"]
        return f"{run} {event.type}: {wrong}" if wrong else ""


def check(folder: ExperimentDir) -> Iterator[str]:
    """Where the answers to commands and the experiment's log disagree."""
    events = LogReader(folder.events).read()
    commands = {event["id"]: event for event in LogReader(folder.control).read()}
    started = [event.t for event in events if event.type == "experiment_started"]
    acknowledged = [event["id"] for event in events if event.type == "control_ack"]
    yield from (f"acknowledged twice: {id_}" for id_ in {*acknowledged} if acknowledged.count(id_) > 1)
    yield from (
        f"never acknowledged: {id_}" for id_, it in commands.items() if it.t < started[-1] and id_ not in acknowledged
    )
    model, begun = Model(), dict[str, tuple[set[str], bool, list[Event]]]()
    for event in events:
        for _, _, since in begun.values():
            since.append(event)
        if event.type == "control_begun":
            command = commands[event["id"]]
            if event["id"] in begun:
                yield f"begun twice: {event}"
            begun[event["id"]] = (model.expected(command), model.stopping, [])
            if command.type == "stop" and command["run"] is None:
                model.stopping = True
        elif event.type == "control_ack":
            command = commands[event["id"]]
            if (event["command"], event["run"]) != (command.type, command.get("run")):
                yield f"another command is acknowledged: {event}"
            yield from _answer(folder, model, command, event["result"], begun.pop(event["id"], None))
        if wrong := model.apply(event):
            yield f"{wrong} at {event.seq}"
    for id_, run in read_state(folder).state.runs.items():
        yield from _pauses(folder, events, id_)
        if run.state != model.states.get(id_):
            yield f"{id_} is {run.state} and {model.states.get(id_)}"


def _answer(
    folder: ExperimentDir, model: Model, command: Event, result: str, begun: tuple[set[str], bool, list[Event]] | None
) -> Iterator[str]:
    """Whether the answer to `command` matches what its supervisor did since it began to obey it."""
    where = f"{command.type} {command.get('run') or command.get('seeds') or 'all'}: {result}"
    if begun is None:
        if result not in {TOO_LATE} and command.type != "extend":
            yield f"{where}, but nobody began to obey it"
        return
    expected, stopping, since = begun
    settled = any(event.type == "experiment_started" for event in since)
    if command.type == "extend":
        seeds = folder.manifest_data().config.seeds
        extended = any(event.type == "extended" and event["seeds"] == command["seeds"] for event in since)
        if result == "done" and not (extended or (settled and seeds >= command["seeds"])):
            yield f"{where}, but it was not extended"
        if result != "done" and extended:
            yield f"{where}, but it was extended"
        if stopping and result == "done" and not settled:
            yield f"{where}, although it was stopping"
        return
    effect = {"pause": "run_paused", "unpause": "run_unpaused", "retry": "run_queued"}.get(command.type)
    own = []
    for event in since:
        if event.type == "experiment_started":
            break
        own.append(event)
    named = model.named(command["run"])
    changed = {
        event["run"]
        for event in own
        if event.get("run") in named
        and (event.type == effect or (event.type == "run_ended" and event["state"] == ENDINGS.get(command.type)))
    }
    if settled:  # the workers may have obeyed it after their supervisor had died
        logs = {run for run in named if command.type in ENDINGS and _ended(folder, run) == ENDINGS[command.type]}
        if result == TOO_LATE and changed:
            yield f"{where}, but {changed} changed"
        if result == "done" and not changed | logs:
            yield f"{where}, but nothing changed"
        return
    if command["run"] is not None and not named:
        if not result.startswith("refused"):
            yield f"{where}, but there is no such run"
        return
    if (result == "done") != bool(expected) or result not in {"done", "nothing to do"}:
        yield f"{where}, but it should affect {sorted(expected)}"
    if command.type in ENDINGS:
        for run in expected - changed:
            if model.states[run] != "held":
                yield f"{where}, but {run} is {model.states[run]}"
            model.leaving[run] = ENDINGS[command.type]
    elif changed != expected:
        yield f"{where}, but it affected {sorted(changed)} and not {sorted(expected)}"


def _ended(folder: ExperimentDir, run: str) -> str | None:
    ends = [event["state"] for event in LogReader(folder.run(run).events).read() if event.type == "ended"]
    return ends[-1] if ends else None


def _pauses(folder: ExperimentDir, events: list[Event], run: str) -> Iterator[str]:
    """Steps that a run logged although it was paused."""
    since: float | None = None
    spans = []
    for event in events:
        ends = event.type in {"run_unpaused", "run_ended", "run_restarted"} and event.get("run") == run
        if since is not None and (ends or event.type == "experiment_started"):
            spans.append((since, event.t))
            since = None
        if event.type == "run_paused" and event["run"] == run:
            since = event.t if since is None else since
    for event in LogReader(folder.run(run).events).read():
        if event.type == "metrics" and any(begin + PAUSED_WITHIN < event.t < end for begin, end in spans):
            yield f"{run} trained while it was paused: {event['step']}"


class Steering:
    """One experiment and its random commands."""

    def __init__(self, case: Path, draw: random.Random, tally: Tally) -> None:
        self.runs, self.output, self.draw, self.tally = case / "runs", case / "output", draw, tally
        case.mkdir()
        self._call("--detach", *SMALL, "--epochs", "4", "--seeds", "2")
        self.folder: ExperimentDir = next(experiments(self.runs))

    def _call(self, *arguments: str) -> None:
        pid = start([*arguments, "--runs-dir", str(self.runs)], self.output, lambda _: None)
        os.waitpid(pid, 0)

    def steer(self, commands: int) -> None:
        """Send so many commands, in bursts."""
        while commands > 0:
            time.sleep(self.draw.expovariate(5.0))
            burst = self.draw.choice((1, 1, 1, 2, 3, 6))
            commands -= burst
            for _ in range(burst):
                self._send(self.draw.choice(COMMANDS))
            if self.draw.random() < 0.15:
                self._kill()
            if last_event(self.folder.events).type == "experiment_finished" or not self._alive():  # type: ignore[union-attr]
                wait(lambda: not self._alive(), "the end of the supervisor")
                self._call("resume", "--detach", self.folder.id)
                self.tally.counts["resumes"] += 1

    def _alive(self) -> bool:
        return liveness.holder(self.folder.supervisor_lock) is not None

    def _send(self, command: str) -> None:
        self.tally.counts["commands"] += 1
        self.tally.counts[f"commands: {command}"] += 1
        if command == "extend":
            control.send(self.folder, command, seeds=self.draw.randint(1, SEEDS))
            return
        runs = [run_id(model, seed) for model in ("base", "se") for seed in range(SEEDS + 1)]
        control.send(self.folder, command, self.draw.choice((None, *runs[:2], *runs)))

    def _kill(self) -> None:
        locks = [self.folder.supervisor_lock, *self.folder.path.glob("*/lock")]
        victims = [pid for pid in map(liveness.holder, self.draw.sample(locks, 1)) if pid]
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.tally.counts["kills"] += 1

    def finish(self) -> None:
        """Take it to its end: every run is trained but those that are skipped when no supervisor lives any more."""
        for _ in range(5):
            if self._alive():
                control.send(self.folder, "unpause")
                control.send(self.folder, "retry")
                with suppress(TimeoutError):
                    wait(lambda: not self._alive(), "the end", 120)
            state = read_state(self.folder).state
            if state.state == "finished" and not self._alive():
                return
            if not self._alive():
                self._call("resume", "--detach", self.folder.id)


def main() -> int:
    options = parser(__doc__, 480)
    options.add_argument("--commands", type=int, default=40, help="commands to each experiment")
    options.add_argument("--experiments", type=int, default=10**9, help="end after so many")
    chosen = options.parse_args()
    adopt_orphans()
    tally = Tally()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="steering-", dir="/dev/shm") as name:
        folder = Path(name)
        use_home(folder)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        first = Steering(folder / "first", random.Random(0), tally)
        control.send(first.folder, "extend", seeds=SEEDS)
        end_children(300.0)
        known = reference(first.folder)
        while tally.seconds < chosen.seconds and tally.counts["experiments"] < chosen.experiments:
            seed = chosen.seed + tally.counts["experiments"]
            case = Steering(folder / str(seed), random.Random(seed), tally)
            tally.counts["experiments"] += 1
            case.steer(chosen.commands)
            case.finish()
            if left := end_children(30.0):
                tally.fault("hang", f"seed {seed}", str(left))
            runs = read_state(case.folder).state.runs
            found = violations(case.folder, {run: known[run] for run in runs})
            skipped = tuple(f"{run.id}:" for run in runs.values() if run.state == "skipped")
            tally.counts["runs"] += len(runs)
            tally.counts["runs skipped in the end"] += len(skipped)
            for words in (*check(case.folder), *(words for words in found if not words.startswith(skipped or "-"))):
                tally.fault("violation", f"seed {seed}", words)
            results = [event["result"] for event in LogReader(case.folder.events).read() if event.type == "control_ack"]
            for result in results:
                tally.counts[f"answers: {result.split(':')[0]}"] += 1
            logs = (case.output.read_text(), (case.folder.path / "supervisor.log").read_text())
            if any("Traceback" in log or "internal error" in log for log in logs):
                tally.fault("traceback", f"seed {seed}", "".join(logs)[-300:])
    return tally.end(chosen.json)


if __name__ == "__main__":
    sys.exit(main())
