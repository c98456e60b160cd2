"""What must hold of every experiment that was taken to its end, whatever was killed on the way."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.system import liveness
from tui_attn.system.files import read_json


@dataclass(frozen=True)
class Reference:
    """A run that nothing interrupted: its points and its weights."""

    losses: dict[int, float]
    """By step."""
    accuracies: list[float]
    """On the test set, by epoch."""
    weights_sha256: str


def reference(folder: ExperimentDir) -> dict[str, Reference]:
    """The runs of `folder`, which were trained without any interruption."""
    state = read_state(folder).state
    assert state.state == "finished"
    return {
        run.id: Reference(
            {int(step): loss for step, loss in zip(run.steps, run.losses, strict=True)},
            [result.test_accuracy for result in run.epochs],
            run.weights_sha256 or "",
        )
        for run in state.runs.values()
    }


def violations(folder: ExperimentDir, expected: dict[str, Reference]) -> list[str]:
    """What is not as it must be with the finished experiment `folder`; nothing, when nothing was lost."""
    follower = read_state(folder)
    found = []
    if follower.state.state != "finished":
        found.append(f"the experiment is {follower.state.state}")
    if set(follower.state.runs) != set(expected):
        found.append(f"the runs are {sorted(follower.state.runs)}")
    for id_, run in follower.state.runs.items():
        known = expected[id_]
        found += [f"{id_}: {what}" for what in _of_steps(folder, id_, list(run.steps), known)]
        if [result.epoch for result in run.epochs] != list(range(1, len(known.accuracies) + 1)):
            found.append(f"{id_}: the epochs in the fold are {[result.epoch for result in run.epochs]}")
        if [result.test_accuracy for result in run.epochs] != known.accuracies:
            found.append(f"{id_}: test accuracies differ")
        if any(loss != known.losses.get(int(step)) for step, loss in zip(run.steps, run.losses, strict=True)):
            found.append(f"{id_}: losses differ")
        if run.weights_sha256 != known.weights_sha256:
            found.append(f"{id_}: weights differ: {run.weights_sha256} instead of {known.weights_sha256}")
        elif digest_of_file(folder.run(id_).weights) != known.weights_sha256:
            found.append(f"{id_}: weights.safetensors holds other weights than the log says")
        found += [f"{id_}: {what}" for what in _of_checkpoints(folder.run(id_).checkpoints)]
    if follower.damaged:
        found.append(f"damaged lines: {follower.damaged}")
    return found + leftovers(folder)


def steps_lost(folder: ExperimentDir, expected: dict[str, Reference]) -> int:
    """How many of the steps that a run without interruption logs are missing in the fold, or twice in it."""
    state = read_state(folder).state
    lost = 0
    for id_, known in expected.items():
        steps = [int(step) for step in state.runs[id_].steps] if id_ in state.runs else []
        lost += len(set(known.losses) - set(steps)) + len(steps) - len(set(steps))
    return lost


def leftovers(folder: ExperimentDir) -> list[str]:
    """Processes of `folder` that live, and temporary files in it."""
    found = [f"process {pid} lives" for pid in processes(folder.path)]
    held = [lock for lock in (folder.supervisor_lock, *folder.path.glob("*/lock")) if liveness.holder(lock) is not None]
    found += [f"{lock.relative_to(folder.path)} is held" for lock in held]
    hidden = [path for path in folder.path.rglob(".*") if path.is_file()]
    return found + [f"{path.relative_to(folder.path)} is left" for path in hidden]


def processes(folder: Path) -> list[int]:
    """The supervisors and workers that live and hold a folder open that is `folder` or under it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            ours = any(word.startswith((b"tui_attn.", b"tests.reliability.")) for word in command)
            if not ours or not any(file.readlink().is_relative_to(folder) for file in (process / "fd").iterdir()):
                continue
        except OSError:  # over by now, or another user's
            continue
        if liveness.process_start_time(int(process.name)) is not None:
            found.append(int(process.name))
    return found


def _of_steps(folder: ExperimentDir, id_: str, folded: list[float], known: Reference) -> list[str]:
    found = []
    if folded != sorted(known.losses):
        found.append(f"the steps in the fold are {folded}")
    logged = {
        step for event in LogReader(folder.run(id_).events).read() if event.type == "metrics" for step in event["step"]
    }
    if logged - set(folded):
        found.append(f"steps {sorted(logged - set(folded))} were logged and are not in the fold")
    return found


def _of_checkpoints(folder: Path) -> list[str]:
    index = (read_json(folder / "LATEST.json") or {}).get("checkpoints", [])
    files = sorted(path.name for path in folder.glob("*.pt"))
    if not 1 <= len(files) <= 2 or files != sorted(item["file"] for item in index):
        return [f"checkpoints {files}, listed {index}"]
    return [
        f"{item['file']} is not what LATEST.json says"
        for item in index
        if hashlib.sha256((folder / item["file"]).read_bytes()).hexdigest() != item["sha256"]
    ]


def digest_of_file(path: Path) -> str:
    """The digest of design.md, of the weights in a safetensors file."""
    weights = load_file(path)
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(np.ascontiguousarray(weights[name]).astype("<f4").tobytes())
    return digest.hexdigest()
