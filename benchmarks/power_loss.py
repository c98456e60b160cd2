"""Power losses: every state that a disk may be left in during a small experiment, checked; some resumed to the end.

    python -m benchmarks.power_loss [--seconds 480] [--resume 20] [--seed 0] [--twice]

strace records what front end, supervisor and worker ask of the file system. The recording is replayed into a model in
which only what was synced is certain: a file's content as of its last sync, a folder's entries as of the folder's last
sync. After each call that changes or syncs something, the power fails in several ways (`Ways`). Each different state is
written to a folder and checked quickly: nothing that reads it fails, no log line is damaged but a last one, no
checkpoint that is listed is missing or ahead of the log, and heatmaps, predictions and weights that the log tells of up
to the newest checkpoint are there. Then `resume` takes some of them to the end, which must equal the undisturbed one.

With `--twice` the worker writes a checkpoint at every point of the log, and two of the last step of an epoch: before
and after the evaluation. Both have one name, so that for a moment the file is not the one that LATEST.json lists.
Linux with strace.
"""

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.campaign import STRACE, Tally, adopt_orphans, end_children, parser, program, use_home
from benchmarks.forks import SMALL, start
from benchmarks.unsynced_disk import Disk, File, Folder, Name
from tests.reliability.invariants import Reference, reference, violations
from tui_attn.compare.archives import ArchiveError, read_archive
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import RunsError
from tui_attn.train import checkpoint, session
from tui_attn.train.session import Session

CALLS = (
    "openat,write,pwrite64,writev,ftruncate,fallocate,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "fsync,fdatasync,clone,clone3,fork,vfork"
)

# ---- how the power fails: what of each file and folder survives

Ways = dict[str, tuple[Callable[[File], bytes], Callable[[Folder], dict[str, "File | Folder"]]]]


def ways(draw: random.Random) -> Ways:
    """By name: the content of a file and the entries of a folder after the loss."""

    def some_content(file: File) -> bytes:
        kind = draw.randrange(4)
        if kind == 0:
            return file.synced
        if kind == 1:
            return bytes(file.content)
        if kind == 2:  # the size came to the disk, the content didn't
            return file.synced[: len(file.content)] + bytes(max(0, len(file.content) - len(file.synced)))
        return bytes(file.content[: draw.randint(min(len(file.synced), len(file.content)), len(file.content))])

    def some_entries(folder: Folder) -> dict[str, File | Folder]:
        kept = dict(folder.synced)
        for name in sorted(folder.synced.keys() | folder.entries.keys()):
            if folder.synced.get(name) is not folder.entries.get(name) and draw.random() < 0.5:
                kept.pop(name, None)
                if name in folder.entries:
                    kept[name] = folder.entries[name]
        return kept

    return {
        "everything survives": (lambda file: bytes(file.content), lambda folder: folder.entries),
        "only what was synced": (lambda file: file.synced, lambda folder: folder.synced),
        "names, but no content": (lambda file: file.synced, lambda folder: folder.entries),
        "some of it": (some_content, some_entries),
    }


def survivors(folder: Folder, way: str, kinds: Ways, at: Name = ()) -> Iterator[tuple[Name, bytes | None]]:
    """All files with their contents, and folders, after a loss."""
    content, entries = kinds[way]
    for name, child in entries(folder).items():
        if isinstance(child, File):
            yield (*at, name), content(child)
        else:
            yield (*at, name), None
            yield from survivors(child, way, kinds, (*at, name))


# ---- the recording


def record(folder: Path, trace: Path, *, twice: bool) -> None:
    """Train the small experiment in `folder` to its end under strace."""
    arguments = ["--no-ui", *SMALL, "--runs-dir", str(folder / "runs")]
    command = program(*arguments)
    if twice:
        command = [sys.executable, "-m", "benchmarks.power_loss", TWICE, *arguments]
    strace = [*STRACE, "-xx", "-s", str(1 << 24), "-e", f"trace={CALLS}", "-o", str(trace)]
    subprocess.run([*strace, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


TWICE = "train-with-two-checkpoints-of-a-step"


def train_twice(arguments: list[str]) -> int:
    """`tui-attn arguments` with a worker that writes two checkpoints of the last step of an epoch, and many others."""

    def prepare(role: str) -> None:
        if role == "worker":
            end_epoch = Session._end_epoch

            def checkpoint_first(self: Session) -> None:
                self._checkpoint()
                end_epoch(self)

            setattr(Session, "_end_epoch", checkpoint_first)  # noqa: B010 - mypy would take it for a mistake
            session.CHECKPOINT_EVERY = 0.0

    pid = start(arguments, Path(os.devnull), prepare)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def calls(trace: Path) -> Iterator[tuple[int, str, str, str]]:
    """The successful calls in the order in which they ended: process or thread, name, arguments, result."""
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        pid, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", text):
            text = begun.pop(pid, "") + resumed[1]
        found = re.fullmatch(r"(\w+)\((.*)\)\s+= (\d+)(<.*>)?", text)
        if found:
            yield int(pid), found[1], found[2], found[3] + (found[4] or "")


def plain(text: str) -> bytes:
    """What strace wrote in hexadecimal."""
    return bytes.fromhex(text.replace("\\x", ""))


class Replay:
    """Plays a recording into a disk; `step` is called after each call that changes or syncs something."""

    def __init__(self, folder: Path, trace: Path) -> None:
        self._folder, self._trace = folder, trace
        self.disk = Disk()
        self._parents: dict[int, tuple[int, bool]] = {}
        for pid, name, arguments, result in calls(trace):
            if name in {"clone", "clone3", "fork", "vfork"}:
                self._parents[int(result)] = pid, "CLONE_THREAD" in arguments
        self._folders: dict[int, dict[int, str]] = {}
        """By process, the folders that it has open."""

    def _opened(self, pid: int) -> dict[int, str]:
        if pid not in self._folders:
            parent, thread = self._parents.get(pid, (0, False))
            known = self._opened(parent) if parent else {}
            self._folders[pid] = known if thread else dict(known)
        return self._folders[pid]

    def _name(self, pid: int, path: str) -> Name | None:
        """Where `path` is in the folder that is watched; None for elsewhere."""
        if by_descriptor := re.match(r"/proc/self/fd/(\d+)(.*)", path):
            path = self._opened(pid).get(int(by_descriptor[1]), "") + by_descriptor[2]
        inside = Path(path).is_relative_to(self._folder)
        return Path(path).relative_to(self._folder).parts if inside else None

    def steps(self) -> Iterator[str]:
        """Do one call after the other; what was done."""
        for pid, name, arguments, result in calls(self._trace):
            described = [plain(it).decode(errors="replace") for it in re.findall(r"<((?:\\x\w\w)+)>", arguments)]
            texts = [plain(it) for it in re.findall(r'"((?:\\x\w\w)*)"', arguments)]
            if done := self._do(pid, name, arguments, result, described, texts):
                yield done

    def _do(self, pid: int, name: str, arguments: str, result: str, described: list[str], texts: list[bytes]) -> str:
        if name == "openat":
            fd, _, opened = result.partition("<")
            where = plain(opened.rstrip(">")).decode(errors="replace")
            self._opened(pid)[int(fd)] = where
            target = self._name(pid, where)
            if target is None or "O_DIRECTORY" in arguments:
                return ""
            created = "O_CREAT" in arguments and self.disk.find(target) is None
            self.disk.make(target, folder=False)
            if "O_TRUNC" in arguments:
                self.disk.resize(target, 0, shrink=True)
            return f"create {target}" if created else ""
        paths = [self._name(pid, text.decode(errors="replace")) for text in texts]
        if name.startswith(("rename", "unlink", "mkdir", "rmdir")):
            if not paths or paths[0] is None:
                return ""
            if name.startswith("rename"):
                assert paths[1] is not None
                self.disk.rename(paths[0], paths[1])
            elif name.startswith("mkdir"):
                self.disk.make(paths[0], folder=True)
            else:
                self.disk.remove(paths[0])
            return f"{name} {paths[0]}"
        target = self._name(pid, described[0]) if described else None
        if target is None:
            return ""
        if name in {"write", "pwrite64", "writev"}:
            at = int(arguments.rpartition(",")[2]) if name == "pwrite64" else None
            self.disk.write(target, b"".join(texts), at)
        elif name == "ftruncate":
            self.disk.resize(target, int(arguments.rpartition(",")[2]), shrink=True)
        elif name == "fallocate":
            offset, size = map(int, arguments.split(",")[-2:])
            self.disk.resize(target, offset + size, shrink=False)
        elif name in {"fsync", "fdatasync"}:
            self.disk.sync(target)
        return f"{name} {target}"


# ---- the checks


def write_state(state: list[tuple[Name, bytes | None]], folder: Path) -> None:
    """Write what survived to `folder`."""
    folder.mkdir(parents=True)
    for name, content in state:
        path = folder.joinpath(*name)
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content)


def check(folder: ExperimentDir) -> Iterator[str]:
    """What is wrong with an experiment after a power loss."""
    try:
        follower = read_state(folder)
    except RunsError as error:
        # The front end syncs it before it starts a supervisor, which begins with this file.
        if folder.events.exists():
            yield f"the supervisor had begun, but: {error}"
        return
    follower.situation()
    for id_, run in follower.state.runs.items():
        place = folder.run(id_)
        yield from (f"{id_}: {words}" for words in _run(place))
        if run.state == "finished":
            if not any(event.type == "ended" for event in LogReader(place.events).read()):
                yield f"{id_} is finished, but its own log does not say so"
            for path in (place.weights, place.predictions):
                if not path.exists() or not path.stat().st_size:
                    yield f"{id_} is finished without {path.name}"


def _run(place: RunDir) -> Iterator[str]:
    reader = LogReader(place.events)
    events = reader.read()
    lines = place.events.read_bytes().split(b"\n") if place.events.exists() else []
    if reader.damaged > 1 or (reader.damaged and b"\0" not in lines[-2]):
        yield f"{reader.damaged} damaged lines"
    skipped: list[str] = []
    found = [name for name, _ in checkpoint.newest_first(place.checkpoints, skipped)]
    yield from (f"passed over: {words}" for words in skipped)
    newest = next((saved for saved in checkpoint.latest(place.checkpoints) if saved.file in found), None)
    if newest is None:
        return
    steps = {step for event in events if event.type == "metrics" for step in event["step"]}
    epochs = {event["epoch"] for event in events if event.type == "epoch"}
    if (newest.step and not steps) or max(steps, default=0) < newest.step:
        yield f"the checkpoint of step {newest.step} is ahead of the log"
    if epochs != set(range(1, newest.epoch + 1)) and not epochs >= set(range(1, newest.epoch + 1)):
        yield f"the checkpoint of epoch {newest.epoch} is ahead of the log"
    for event in events:
        if event.type == "probe" and event["epoch"] <= newest.epoch:
            try:
                read_archive(place.probes / event["file"], folders=2)
            except ArchiveError as error:
                yield f"{event['file']} is told of and {error}"


def resumed(folder: Path, expected: dict[str, Reference], probes: dict[str, bytes]) -> Iterator[str]:
    """Take the experiment in `folder` to its end; what is not as it was in the undisturbed one."""
    (experiment,) = experiments(folder / "runs")
    pid = start(["resume", "--no-ui", "--runs-dir", str(folder / "runs")], folder / "output", lambda _: None)
    os.waitpid(pid, 0)
    if left := end_children(30.0):
        yield f"left: {left}"
    found = violations(experiment, expected)
    yield from found
    if found:
        yield (folder / "output").read_text()[-300:]
    again = heatmaps(experiment)
    yield from (f"{name} is missing or differs" for name, content in probes.items() if again.get(name) != content)


def heatmaps(folder: ExperimentDir) -> dict[str, bytes]:
    """All probes and predictions by name."""
    found = [*folder.path.glob("*/probes/*.npz"), *folder.path.glob("*/predictions.npz")]
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in found}


def unlisted(place: RunDir) -> bool:
    """Whether a checkpoint's file is another than the one that LATEST.json lists under its name."""
    listed = {saved.file: saved.sha256 for saved in checkpoint.latest(place.checkpoints)}
    there = checkpoint.names(place.checkpoints) & set(listed)
    digests = {name: hashlib.sha256((place.checkpoints / name).read_bytes()).hexdigest() for name in there}
    return any(digests[name] != listed[name] for name in there)


def main() -> int:
    if sys.argv[1:2] == [TWICE]:
        return train_twice(sys.argv[2:])
    options = parser(__doc__, 480)
    options.add_argument("--twice", action="store_true", help="with two checkpoints of the last step of each epoch")
    options.add_argument("--resume", type=int, default=20, help="how many states to take to the end")
    chosen = options.parse_args()
    draw = random.Random(chosen.seed)
    adopt_orphans()
    tally = Tally()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="power-", dir="/dev/shm") as name:
        folder = Path(name)
        use_home(folder)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        original = folder / "original"
        original.mkdir()
        record(original, folder / "trace", twice=chosen.twice)
        (undisturbed,) = experiments(original / "runs")
        expected, probes = reference(undisturbed), heatmaps(undisturbed)
        replay, seen = Replay(original, folder / "trace"), set[str]()
        replay.disk.sync(())
        to_resume: list[list[tuple[Name, bytes | None]]] = []
        for done in replay.steps():
            tally.counts["calls"] += 1
            kinds = ways(draw)
            for way in kinds:
                state = list(survivors(replay.disk.root, way, kinds))
                digest = hashlib.sha256(repr(state).encode()).hexdigest()
                if digest in seen:
                    continue
                seen.add(digest)
                tally.counts["states"] += 1
                tally.counts[f"states: {way}"] += 1
                write_state(state, folder / "state")
                for experiment in experiments(folder / "state" / "runs"):
                    tally.counts["states with an experiment"] += 1
                    tally.counts["states with a checkpoint not as listed"] += any(
                        unlisted(RunDir(path.parent)) for path in experiment.path.glob("*/checkpoints")
                    )
                    for words in check(experiment):
                        tally.fault("check", f"{way} after {done}", words)
                    if _can_be_resumed(experiment):
                        to_resume.append(state)
                shutil.rmtree(folder / "state")
        last = list(survivors(replay.disk.root, "everything survives", ways(draw)))
        real = {path for path in original.rglob("*") if path.is_file()}
        if {original.joinpath(*name): content for name, content in last if content is not None} != {
            path: path.read_bytes() for path in real
        }:
            tally.fault("model", "the replayed disk", "differs from the real one")
        for state in draw.sample(to_resume, min(chosen.resume, len(to_resume))):
            if tally.seconds > chosen.seconds:
                break
            tally.counts["resumed"] += 1
            write_state(state, folder / "state")
            for words in resumed(folder / "state", expected, probes):
                tally.fault("resumed", str(tally.counts["resumed"]), words)
            shutil.rmtree(folder / "state")
    return tally.end(chosen.json)


def _can_be_resumed(experiment: ExperimentDir) -> bool:
    try:
        return read_state(experiment).state.state != "finished"
    except RunsError:
        return False


if __name__ == "__main__":
    sys.exit(main())
