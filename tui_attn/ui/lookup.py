"""What is looked up while an experiment is being described, and its start, in threads: no disk holds the screen up."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from textual.message import Message

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.options import ConfigError
from tui_attn.launch import devices, estimate, preflight
from tui_attn.launch.preflight import DataOutlook, OwnOutlook, Remark
from tui_attn.ui.devices import reader

Post = Callable[[Message], object]


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be looked up."""

    dataset: str
    data_dir: str | None
    device: str
    own: str = ""
    """The custom models, as they were typed."""

    @property
    def place(self) -> Question:
        """What it asks of data and devices."""
        return replace(self, own="")


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out so far; None for what wasn't yet."""

    question: Question | None = None
    data: DataOutlook | None = None
    own: OwnOutlook | None = None
    device: Remark | None = None
    devices: tuple[str, ...] = ("cpu",)
    choices: tuple[str, ...] = ("auto", "cpu")
    free: tuple[tuple[str, Remark], ...] = ()
    """Every device of this machine, and what is free of it."""
    past: tuple[estimate.Pace, ...] | None = None
    """How fast the past runs on this machine were."""

    def answer_place(self, question: Question | None) -> bool:
        """Whether they are of the data and the devices of `question`."""
        return question is not None and self.question is not None and question.place == self.question.place


@dataclass
class LookedUp(Message, bubble=False):
    """More was found out."""

    findings: Findings


class Scout(threading.Thread):
    """Answers the newest question by `LookedUp`, from its own thread."""

    def __init__(self, runs_dir: Path, post: Post, *, host: str | None = None) -> None:
        super().__init__(name="scout", daemon=True)
        self._runs_dir = runs_dir
        self._post = post
        self._host = platform.node() if host is None else host
        self._question: Question | None = None
        self._asked = threading.Event()
        self._stopping = False

    def ask(self, question: Question) -> None:
        """Look this up next; a question before it that wasn't begun is dropped."""
        self._question = question
        self._asked.set()

    def stop(self) -> None:
        """End the thread soon."""
        self._stopping = True
        self._asked.set()

    def run(self) -> None:
        """Answer until stopped; the past is read last, because that takes longest."""
        machine = devices.probe()
        findings = Findings(choices=preflight.device_choices(machine))
        memory = _memory_reader(machine)
        while True:
            self._asked.wait()
            self._asked.clear()
            question = self._question
            if self._stopping:
                return
            if question is not None:
                findings = self._look(findings, question, machine, memory())
                self._post(LookedUp(findings))
            if findings.past is None:
                findings = replace(findings, past=tuple(estimate.paces(self._runs_dir, self._host)))
                self._post(LookedUp(findings))

    @staticmethod
    def _look(before: Findings, question: Question, machine: devices.Machine, memory: preflight.Memory) -> Findings:
        before = replace(before, own=preflight.of_custom_models(question.own))
        if before.answer_place(question):
            return replace(before, question=question)
        try:
            chosen = devices.choose(question.device, machine)
        except ConfigError:
            chosen = ("cpu",)
        return replace(
            before,
            question=question,
            data=preflight.of_data(question.dataset, question.data_dir),
            device=preflight.of_devices(question.device, machine, memory),
            devices=chosen,
            free=tuple(
                (name, preflight.of_devices(name, machine, memory))
                for name in before.choices
                if name != "auto" and "," not in name
            ),
        )


def _memory_reader(machine: devices.Machine) -> Callable[[], preflight.Memory]:
    if not machine.gpus:
        return dict
    read = reader([f"cuda:{index}" for index in range(machine.gpus)])

    def memory() -> preflight.Memory:
        return {
            f"cuda:{gpu.index}": (gpu.memory_used, gpu.memory_total)
            for gpu in read().gpus
            if gpu.memory_used is not None and gpu.memory_total is not None
        }

    return memory


# ---- the start


@dataclass
class StartAdvanced(Message, bubble=False):
    """A start gets on: what it does, in a line."""

    start: Start
    line: str


@dataclass
class StartEnded(Message, bubble=False):
    """A start is over: there is a folder, or a reason why there is none; neither when it was cancelled."""

    start: Start
    folder: Path | None = None
    reason: str | None = None


class Start:
    """One start, which can be cancelled until its experiment's folder is there."""

    _EVERY = 0.2
    """Seconds between two lines of progress."""

    def __init__(self, config: ExperimentConfig, runs_dir: Path, post: Post) -> None:
        from tui_attn.launch.starting import Attempt

        self._attempt = Attempt(config, runs_dir)
        self._post = post
        self._phase = ""
        self._begun = self._next = 0.0
        self._begun_at = 0
        threading.Thread(target=self._run, name="start", daemon=True).start()

    def cancel(self) -> bool:
        """Break it off; False when it is too late."""
        return self._attempt.cancel()

    def _run(self) -> None:
        from tui_attn.data import DataError
        from tui_attn.experiment.manifest import RunsError
        from tui_attn.launch.control import LaunchError
        from tui_attn.launch.starting import CancelledError

        try:
            started = self._attempt.run(self._progress)
        except CancelledError:
            self._post(StartEnded(self))
        except (ConfigError, DataError, RunsError, LaunchError) as error:
            self._post(StartEnded(self, reason=str(error)))
        except OSError as error:
            self._post(StartEnded(self, reason=f"it could not be started: {error.strerror or error}"))
        else:
            self._post(StartEnded(self, folder=started.folder.path))
            started.supervisor.wait()  # it is this process's child as long as this process lives

    def _progress(self, phase: str, done: int, total: int | None) -> None:
        from tui_attn.system.console import fetch_line

        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._begun, self._begun_at, self._next = phase, now, done, now
        if now >= self._next:
            self._next = now + self._EVERY
            line = fetch_line("", done, total, fresh=done - self._begun_at, seconds=now - self._begun)
            self._post(StartAdvanced(self, f"{line}  {phase}".strip()))
