"""Commands on experiments in which one file was replaced by something hostile.

    python -m benchmarks.hostile_folders [--commands ls,resume] [--kinds pipe,device] [--files WORDS] [--json FILE]
                                         [--seconds N] [--verbose]

Each file of an interrupted experiment is replaced in turn by each of `KINDS`, and each of `COMMANDS` runs on a fresh
copy. Modules and search paths that would run code from the folder are planted, too. Counted are commands that hang,
tracebacks (also in the supervisor's log), changes outside the experiment, planted code that ran, and
processes left. The exit status is 1 if there are any. Linux only; devices and other owners need the superuser.
"""

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tui_attn import cli
from tui_attn.system import text

LIMIT = 60.0
MEMORY = 8 << 30
ID = "hostile"
PR_SET_CHILD_SUBREAPER = 36

COMMANDS = {
    "ls": ["ls"],
    "attach": ["attach", ID, "--no-ui"],
    "compare": ["compare", ID],
    "export": ["export", ID, "--csv", "--out", "OUT"],
    "export-weights": ["export", ID, "--safetensors", "--out", "OUT"],
    "export-tensorboard": ["export", ID, "--tensorboard"],
    "stop": ["stop", ID],
    "probe": ["probe", ID],
    "resume": ["resume", ID, "--no-ui"],
    "extend": ["extend", ID, "--seeds", "2", "--no-ui"],
}
"""The arguments of each command; OUT stands for a new folder."""

KINDS = ("link", "hard link", "pipe", "socket", "device", "folder", "sparse", "huge", "other owner")
NOT_FOR_FOLDERS = ("hard link", "folder", "sparse", "huge")

MAY_BE_MISSING = (
    ".reserve",
    "control.jsonl",
    "notes.json",
    "supervisor.lock",
    "supervisor.log",
    "base-s0/heartbeat",
    "base-s0/lock",
    "base-s0/worker.log",
)
"""Files that some moments of an experiment lack, planted all the same."""

PLANTED = ("sitecustomize.py", "usercustomize.py", "torch.py", "numpy.py", "tui_attn.py", "json.py")


def main() -> int:
    arguments = _arguments()
    # Supervisors leave their front end's session; as a subreaper this process still finds and ends them.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    counts: Counter[str] = Counter()
    found: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        folder = Path(name)
        # Nothing of the user's own takes part.
        for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
            os.environ[variable] = str(folder / "home")
        original = interrupted_experiment(folder)
        until = time.monotonic() + arguments.seconds
        for kind in arguments.kinds.split(","):
            for target in targets(original, arguments.files):
                if time.monotonic() > until:
                    counts["folders left out"] += 1
                    continue
                if (original / target).is_dir() and kind in NOT_FOR_FOLDERS:
                    continue
                if os.getuid() != 0 and kind in {"device", "other owner"}:
                    continue
                counts["folders"] += 1
                for command in arguments.commands.split(","):
                    counts["commands"] += 1
                    if arguments.verbose:
                        print(f"{command}, {target} as {kind}:", end=" ", flush=True)
                    for fault, words in one(folder / "case", original, target, kind, command, arguments.verbose):
                        counts[fault] += 1
                        found.append({"fault": fault, "file": target, "kind": kind, "command": command, "words": words})
                        print(f"{fault}: {command}, {target} as {kind}: {words}", flush=True)
    print(json.dumps(counts))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"counts": counts, "found": found}, indent=1))
    return 1 if found else 0


def interrupted_experiment(folder: Path) -> Path:
    """An experiment of which one run has finished and the other was killed after its first checkpoint."""
    runs = folder / "runs"
    options = "--models se,base --dataset synthetic --epochs 3 --train-limit 256 --test-limit 100 --jobs 1 --device cpu"
    command = [sys.executable, "-m", "tui_attn", *options.split(), "--name", ID, "--detach", "--runs-dir", str(runs)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    path = next(entry for entry in runs.iterdir() if (entry / "experiment.json").exists())
    deadline = time.monotonic() + 300
    while not list(path.glob("base-s0/checkpoints/*.pt")):
        if time.monotonic() > deadline:
            raise TimeoutError("The experiment did not get to its second run.")
        time.sleep(0.005)
    end_children()
    return path


def targets(original: Path, words: str) -> list[str]:
    """One path for each kind of file and folder in `original`, and those that may be missing."""
    kinds: dict[str, str] = {}
    for path in sorted(original.rglob("*")):
        name = str(path.relative_to(original))
        kinds.setdefault(re.sub(r"\d{2,}", "", name), name)
    return [name for name in sorted({*kinds.values(), *MAY_BE_MISSING}) if words in name]


def one(case: Path, original: Path, target: str, kind: str, command: str, verbose: bool) -> Iterator[tuple[str, str]]:
    """Run `command` where `target` is a `kind`; the faults, each with words about it."""
    experiment, outside, marker = case / "runs" / original.name, case / "outside", case / "code-ran"
    shutil.copytree(original, experiment)
    outside.mkdir()
    with planted(experiment, outside, target, kind):
        for name in PLANTED:
            (experiment / name).write_text(f"open({str(marker)!r}, 'a').write('{name} ')\n")
        before = snapshot(outside)
        output, status = run_command(case, experiment, command)
        left = end_children()
        after = snapshot(outside)
    said = output.read_text(errors="replace") + supervisor_log(experiment)
    if verbose:
        print(status, last_line(output.read_text(errors="replace")), flush=True)
    if status is None:
        yield "hang", last_line(said)
    if "Traceback" in said or "internal error" in said:
        yield "traceback", last_line(said)
    if status is not None and status not in {0, 1, 2, 3}:
        yield "crash", f"status {status}: {last_line(said)}"
    if after != before:
        yield "outside changed", ", ".join(sorted(set(before.items()) ^ set(after.items()))[0])
    if marker.exists():
        yield "code ran", marker.read_text()
    if left and status is not None:
        yield "process left", "; ".join(left)
    shutil.rmtree(case)


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


def run_command(case: Path, experiment: Path, command: str) -> tuple[Path, int | None]:
    """Run `command` in a child, from inside `experiment`; what it said and its status, None if it took too long."""
    output = case / "output"
    meant = {"OUT": str(case / "out"), ID: experiment.name}
    arguments = [meant.get(word, word) for word in COMMANDS[command]]
    arguments += ["--runs-dir", str(experiment.parent)]
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.chdir(experiment)
        for variable in ("PYTHONPATH", "LD_LIBRARY_PATH"):
            os.environ[variable] = f":{os.environ.get(variable, '')}"
        file = os.open(output, os.O_WRONLY | os.O_CREAT, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for copy, descriptor in ((nothing, 0), (file, 1), (file, 2)):
            os.dup2(copy, descriptor)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        status = 70
        try:
            status = cli.run(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException as error:  # counted as a traceback
            os.write(2, f"Traceback: {error!r}\n".encode())
        os._exit(status)
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return output, os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return output, None


def end_children() -> list[str]:
    """End all processes that descend from this one, after a second to leave by themselves; those that had to be."""
    deadline, ended = time.monotonic() + 1.0, []
    while children := _children():
        if time.monotonic() > deadline:
            for pid in children:
                with contextlib.suppress(OSError):
                    ended.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:100])
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        else:
            time.sleep(0.01)
    return ended


def _children() -> list[int]:
    """This process's living children; those that ended are reaped."""
    own = os.getpid()
    found = [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]
    return [pid for pid in found if os.waitpid(pid, os.WNOHANG) == (0, 0)]


def snapshot(folder: Path) -> dict[str, str]:
    """Type, mode, owner and digest of all in `folder`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        found[str(path.relative_to(folder))] = f"{status.st_mode:o} {status.st_uid} {digest}"
    return found


def supervisor_log(experiment: Path) -> str:
    """What the supervisor wrote to its log. A worker's log holds the trace of a failed run on purpose."""
    path = experiment / "supervisor.log"
    with contextlib.suppress(OSError):
        if stat.S_ISREG(path.lstat().st_mode) and path.stat().st_size < 1 << 20:
            return path.read_text(errors="replace")
    return ""


def last_line(said: str) -> str:
    lines = said.strip().splitlines()
    return text.safe_text(lines[-1][:200]) if lines else ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--files", default="", help="only files whose path contains this")
    parser.add_argument("--json", help="write counts and faults to this file")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="try no more folders after this time")
    parser.add_argument("--verbose", action="store_true", help="print the status and last line of each command")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
