"""Commands on experiments in which one file was replaced by something hostile.

    python -m benchmarks.hostile_folders [--commands look,resume] [--kinds pipe,device] [--files WORDS] [--part 1/2]

Each file of an interrupted experiment is replaced in turn by each of `KINDS`. Each group of `COMMANDS` runs on a fresh
copy, from inside the copy. Modules that would run code are planted there, and search paths have empty elements. Counted
are commands that hang, tracebacks (also in the logs of supervisor and workers), files outside that were opened or
changed, relative paths that were opened, planted code that ran, and processes left. Linux with strace only; devices and
other owners need the superuser. It begins with folders chosen at random and ends after eight minutes.

Processes are forks of one that has imported torch. With `--exec` each is a new interpreter, as it is for users, which
also tests what is loaded at its start; all folders then take an hour or two.
"""

import argparse
import contextlib
import functools
import os
import random
import re
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks import forks
from benchmarks.campaign import (
    CHANGES,
    STRACE,
    Tally,
    adopt_orphans,
    await_end,
    end_children,
    last_line,
    parser,
    program,
    run,
    snapshot,
    traced,
    use_home,
    wait,
)
from tui_attn.system import text
from tui_attn.train import tuned_constants

LIMIT = 240.0
"""Seconds after which a group of commands counts as hanging, on a busy machine and under strace."""
MEMORY = 8 << 30

COMMANDS = {
    "look": [
        "ls",
        "attach ID --no-ui",
        "compare ID",
        "export ID --csv --out OUT/tables",
        "export ID --safetensors --out OUT/weights",
        "export ID --tensorboard --out OUT/events",
        "stop ID",
    ],
    "probe": ["probe ID"],
    "resume": ["resume ID --no-ui"],
    "extend": ["extend ID --seeds 3 --no-ui"],
}
"""Commands that run one after the other; ID stands for the experiment, OUT for a new folder."""

KINDS = ("link", "hard link", "pipe", "socket", "device", "folder", "sparse", "huge", "other owner")
NOT_FOR_FOLDERS = ("hard link", "folder", "sparse", "huge")

MAY_BE_MISSING = (
    ".reserve",
    "control.jsonl",
    "notes.json",
    "supervisor.lock",
    "supervisor.log",
    "se-s1/heartbeat",
    "se-s1/lock",
    "se-s1/worker.log",
)
"""Files that some moments of an experiment lack, planted all the same."""

PLANTED = ("sitecustomize.py", "usercustomize.py", "torch.py", "numpy.py", "tui_attn.py", "json.py")
FRONT = """
import os, sys
os.chdir(sys.argv[1])
for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "PATH"):
    os.environ[name] = f":{os.environ.get(name, '')}:."
from tui_attn import cli
for line in sys.argv[2:]:
    print(f"\\n{line}\\nstatus {cli.run(line.split())}", file=sys.stderr, flush=True)
"""
"""Commands, from inside the folder that is the first argument, with search paths that lead their children there."""
TRACES = "HOSTILE_TRACES"
"""In the environment: the folder where strace writes a file for each process of this campaign."""


def main() -> int:
    options = parser(__doc__, 480)
    options.add_argument("--commands", default=",".join(COMMANDS))
    options.add_argument("--kinds", default=",".join(KINDS))
    options.add_argument("--files", default="", help="only files whose path contains this")
    options.add_argument("--part", default="1/1", metavar="N/M", help="only the Nth of M parts of the folders")
    options.add_argument("--verbose", action="store_true", help="print what the commands say")
    options.add_argument("--exec", action="store_true", help="each process is a new interpreter")
    chosen = options.parse_args()
    if TRACES not in os.environ:
        with tempfile.TemporaryDirectory(prefix="traces-") as name:
            strace = [*("-q" if word == "-qq" else word for word in STRACE), "-ff", "-o", f"{name}/of"]
            strace += ["-e", f"trace=openat,open,creat,execve,{CHANGES}"]
            command = [*strace, sys.executable, "-m", "benchmarks.hostile_folders", *sys.argv[1:]]
            return subprocess.call(command, env=os.environ | {TRACES: name, "OMP_NUM_THREADS": "1"})
    adopt_orphans()
    tuned_constants.STEPS = 2  # of the processes that are forks
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        folder = Path(name)
        use_home(folder / "case" / "in")
        original = interrupted_experiment(folder)
        folders = [
            (target, kind)
            for kind in chosen.kinds.split(",")
            for target in targets(original, chosen.files)
            if not ((original / target).is_dir() and kind in NOT_FOR_FOLDERS)
            and (os.getuid() == 0 or kind not in {"device", "other owner"})
        ]
        random.Random(chosen.seed).shuffle(folders)
        number, parts = map(int, chosen.part.split("/"))
        folders = [case for case in folders if zlib.crc32(" ".join(case).encode()) % parts == number - 1]
        for target, kind in folders:
            if tally.seconds > chosen.seconds:
                break
            tally.counts["folders"] += 1
            for group in chosen.commands.split(","):
                tally.counts["commands"] += len(COMMANDS[group])
                for fault, words in one(folder / "case", original, target, kind, group, chosen):
                    tally.fault(fault, f"{group}, {target} as {kind}", words)
        tally.counts["folders left out"] = len(folders) - tally.counts["folders"]
        return tally.end(chosen.json)


def interrupted_experiment(folder: Path) -> Path:
    """An experiment of which one run has finished and the other was killed after its first checkpoint."""
    runs = folder / "case" / "runs"
    options = "--models se --seeds 2 --dataset synthetic --epochs 2 --train-limit 128 --test-limit 50 --device cpu"
    command = program(*options.split(), "--detach", "--runs-dir", runs)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    path = next(entry for entry in runs.iterdir() if (entry / "experiment.json").exists())
    wait(lambda: list(path.glob("se-s1/checkpoints/*.pt")), "its second run")
    end_children(0.0)
    # The front end of a command must find it where each copy of it is.
    shutil.move(path, folder / path.name)
    shutil.rmtree(folder / "case")
    return folder / path.name


def targets(original: Path, words: str) -> list[str]:
    """One path for each kind of file and folder in `original`, and those that may be missing."""
    kinds: dict[str, str] = {}
    for path in sorted(original.rglob("*")):
        name = str(path.relative_to(original))
        kinds.setdefault(re.sub(r"\d{2,}", "", name), name)
    return [name for name in sorted({*kinds.values(), *MAY_BE_MISSING}) if words in name]


def one(
    case: Path, original: Path, target: str, kind: str, group: str, chosen: argparse.Namespace
) -> Iterator[tuple[str, str]]:
    """Run the commands of `group` where `target` is a `kind`; the faults, each with words about it."""
    inside, outside, marker, output, trace = (case / name for name in ("in", "outside", "code-ran", "in/said", "trace"))
    experiment = inside / "runs" / original.name
    shutil.copytree(original, experiment)
    outside.mkdir()
    with planted(experiment, outside, target, kind):
        for name in PLANTED:
            (experiment / name).write_text(f"open({str(marker)!r}, 'a').write('{name} ')\n")
        before = snapshot(outside)
        names = (("ID", experiment.name), ("OUT", str(inside / "out")))
        lines = [f"{line} --runs-dir {experiment.parent}" for line in COMMANDS[group]]
        lines = [functools.reduce(lambda known, name: known.replace(*name), names, line) for line in lines]
        for path in _traces():
            path.unlink()
        environment = {"TMPDIR": str(inside), "OMP_NUM_THREADS": "1"}
        if chosen.exec:
            command = [sys.executable, "-P", "-c", FRONT, str(experiment), *lines]
            status = run(command, output, LIMIT, cwd="/", env=os.environ | environment, preexec_fn=_limit_memory)
        else:

            def front() -> int:
                _limit_memory()
                os.environ.update(environment)
                sys.argv = ["", str(experiment), *lines]
                exec(FRONT, {})  # as the other way
                return 0

            status = await_end(forks.start_call(front, output, lambda _: None), LIMIT)
        left = end_children()
        after = snapshot(outside)
        gather_traces(trace)
    said = output.read_text(errors="replace")
    logs = said + "".join(log(path) for path in (experiment / "supervisor.log", *experiment.glob("*/worker.log")))
    if chosen.verbose:
        print(f"--- {group}, {target} as {kind}\n{text.safe_text(said)}", flush=True)
    if status is None:
        yield "hang", last_line(said)
    if "Traceback" in logs or "internal error" in logs:
        yield "traceback", last_line(logs)
    statuses = re.findall(r"^status (\S+)$", said, re.MULTILINE)
    if status is not None and (len(statuses) < len(COMMANDS[group]) or not set(statuses) <= set("0123")):
        yield "crash", f"status {status}, {statuses}: {last_line(said)}"
    if after != before:
        yield "outside changed", ", ".join(sorted(set(before.items()) ^ set(after.items()))[0])
    if marker.exists():
        yield "code ran", marker.read_text()
    if left and status is not None:
        yield "process left", "; ".join(left)
    for words in dict.fromkeys(traced(trace, inside, outside)):
        yield "path", words
    shutil.rmtree(case)


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def _traces() -> list[Path]:
    """What strace wrote of other processes than this one."""
    return [path for path in Path(os.environ[TRACES]).iterdir() if path.suffix != f".{os.getpid()}"]


def gather_traces(to: Path) -> None:
    """Move what strace wrote to one file, as it would write it itself, once all processes have ended."""
    wait(lambda: all(path.read_bytes().endswith(b"+++\n") for path in _traces()), "strace", 20.0)
    with to.open("w") as file:
        for path in _traces():
            file.writelines(f"{path.suffix[1:]} {line}" for line in path.open(errors="replace"))
            path.unlink()


@contextlib.contextmanager
def planted(experiment: Path, outside: Path, target: str, kind: str) -> Iterator[None]:
    """Replace `target` in `experiment` by a `kind`; what links lead to lies in `outside`."""
    path, stranger = experiment / target, outside / "stranger"
    if kind == "other owner":
        path.touch()
        os.chown(path, 65534, 65534)
        yield
        return
    if path.is_dir():
        path.rename(stranger)
    elif path.exists():
        shutil.copyfile(path, stranger)
        path.unlink()
    else:
        stranger.write_bytes(b"precious\n")
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "link":
            path.symlink_to(stranger)
        elif kind == "hard link":
            path.hardlink_to(stranger)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            listening.bind(str(path))
        elif kind == "device":
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
        elif kind == "folder":
            path.mkdir()
        else:
            with path.open("wb") as file:
                if kind == "huge":
                    file.write(b'{"t":1.0,"event":"metrics","crc":"00000000"}\n' * (1 << 20))
                else:
                    file.truncate(1 << 40)
        yield


def log(path: Path) -> str:
    """What a supervisor or worker wrote to its log."""
    with contextlib.suppress(OSError):
        if stat.S_ISREG(path.lstat().st_mode) and path.stat().st_size < 1 << 20:
            return path.read_text(errors="replace")
    return ""


if __name__ == "__main__":
    sys.exit(main())
