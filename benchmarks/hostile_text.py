"""The raw bytes that commands send to a terminal when every text is hostile, and hostile names in real shells.

    python -m benchmarks.hostile_text [--seconds 480] [--names 60]

An experiment whose names, reasons, warnings, tracebacks, versions and answers hold control sequences is shown by every
command on a terminal, and the same texts are given as arguments, paths and configuration. No control character may
reach the terminal but those that the program sends itself. Then bash, zsh and fish, each on a terminal with its
completion, complete random names that a shell would run a part of: nothing may be run.
The dashboard's screens are tested likewise in tests/ui/test_hostile.py.
"""

import contextlib
import itertools
import os
import pty
import random
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.campaign import Tally, parser, program, use_home
from tests import recorded
from tests.program.test_completion import HOSTILE as NAMES
from tests.program.test_completion import TYPED
from tests.ui.test_hostile import CONTROL, CONTROLS, HOSTILE, hostile_experiment
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.writing import write_manifest

OURS = re.compile(rb"\r?\n|\t|\r\x1b\[2K|\x1b\[\d*[AJK]|\x1b\[[\d;]*m|\x1b\[\?25[hl]|\r(?=\x1b)")
"""What lines may send: breaks, colours, a line that is drawn over, and the live table."""
LIMIT = 60.0
OPTION_VALUES = (CONTROLS, f"x{CONTROLS}", f"folder:/{CONTROLS}", f"./{CONTROLS}.py:Net", "\x1b]0;title\x07", "\x9b31m")
OPTIONS = """
--models --dataset --epochs --seeds --lr --augment --looks --device --precision --jobs --data-dir --runs-dir --name
--theme --config --unknown
"""
SMALL = "--no-ui --models base --dataset synthetic --epochs 1 --train-limit 100 --test-limit 50 --device cpu"


def commands(experiment: ExperimentDir, odd: Path, out: Path) -> Iterator[list[str]]:
    """Everything that shows an experiment, and everything that complains of an argument."""
    runs = ["--runs-dir", str(experiment.path.parent)]
    for name in (experiment.id, str(odd)):
        for command in (
            "compare",
            "attach --no-ui",
            "wait --timeout 0",
            "stop",
            "pause --run se-s0",
            "unpause",
            "skip",
        ):
            yield [*command.split(), name, *runs]
        for command in (
            "compare --json",
            "attach --no-ui --json",
            "probe",
            "resume --no-ui",
            "extend --no-ui --seeds 3",
        ):
            yield [*command.split(), name, *runs]
        for number, kind in enumerate(("--csv", "--latex", "--safetensors", "--tensorboard")):
            yield ["export", name, kind, "--out", str(out / f"{number} {CONTROLS.replace(chr(0), '')}"), *runs]
    yield from ([command, *runs] for command in ("ls", "trash"))
    yield ["ls", "--json", *runs]
    yield from ([*command.split(), experiment.id, *runs] for command in ("pin", "unpin", "delete", "restore"))
    yield from ([command] for command in ("data", "models", "config", "doctor", "--help"))
    for command in (
        "attach",
        "compare",
        "export",
        "stop",
        "resume",
        "wait",
        "rename",
        "note",
        "pin",
        "delete",
        "restore",
    ):
        yield from ([command, value.replace("\0", ""), *runs] for value in OPTION_VALUES)
    for command, text in itertools.product(("rename", "note"), OPTION_VALUES):
        yield [command, experiment.id, text.replace("\0", ""), *runs]
    for option, value in itertools.product(OPTIONS.split(), OPTION_VALUES):
        yield [*SMALL.split(), option, value.replace("\0", "")]
    for value in OPTION_VALUES:
        yield [value.replace("\0", "")]
        yield ["stop", experiment.id, "--run", value.replace("\0", ""), *runs]
        yield ["data", value.replace("\0", "")]


def on_terminal(command: list[str], environment: dict[str, str], typed: bytes = b"", end: bytes = b"") -> bytes:
    """What a command sends to its terminal until it ends, or until `end` appears after `typed` was typed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(environment["HOME"])
        os.execvpe(command[0], command, environment)
    said, deadline = b"", time.monotonic() + LIMIT
    with contextlib.suppress(OSError):
        os.write(terminal, typed) if typed else None
        while time.monotonic() < deadline and not (end and end in said):
            if select.select([terminal], [], [], 0.5)[0]:
                chunk = os.read(terminal, 65536)
                if not chunk:
                    break
                said += chunk
        else:
            said += b"" if end and end in said else b"TIMED OUT"
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)
    os.close(terminal)
    os.waitpid(pid, 0)
    return said


def main() -> int:
    options = parser(__doc__, 480)
    options.add_argument("--names", type=int, default=60, help="names that each shell completes")
    chosen = options.parse_args()
    draw = random.Random(chosen.seed)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="hostile-text-") as name:
        folder = Path(name)
        use_home(folder)
        (folder / "home").mkdir()
        experiment = hostile_experiment(folder / "runs", {"base-s0": "finished", "se-s0": "failed"})
        manifest = experiment.manifest_data()
        versions = {**manifest.versions, "torch": HOSTILE, HOSTILE: "1"}
        write_manifest(
            experiment, replace(manifest, host=HOSTILE, versions=versions, data={**manifest.data, HOSTILE: 1})
        )
        odd = folder / "runs" / f"odd {CONTROLS.replace(chr(0), '')}"
        shutil.copytree(experiment.path, odd)
        (folder / "config.toml").write_text('"ep\\u001b]0;och" = 1\nname = "\\u009b31m"\n')
        environment = os.environ | {"TERM": "xterm-256color", "NO_COLOR": "1", "PYTHONPATH": str(Path.cwd())}
        calls = [program(*words) for words in commands(experiment, odd, folder / "out")]
        calls.append(program("--config", folder / "config.toml"))
        draw.shuffle(calls)
        for call in calls:
            if tally.seconds > chosen.seconds:
                break
            tally.counts["commands"] += 1
            said = on_terminal(call, environment)
            tally.counts["bytes"] += len(said)
            where = repr(call[4:])[:150]
            found = CONTROL.search(OURS.sub(b"", said).decode("utf-8", "replace"))
            if found:
                tally.fault("control character", where, repr(said)[max(0, found.start() - 60) :][:200])
            if b"Traceback" in said.split(b"Traceback (most recent call last)")[-1] or b"internal error" in said:
                tally.fault("crash", where, repr(said[-300:]))
            if said.endswith(b"TIMED OUT"):
                tally.fault("hang", where, repr(said[-100:]))
        tally.counts["commands left out"] = len(calls) - tally.counts["commands"]
        for shell in TYPED:
            if shutil.which(shell):
                complete(shell, folder / shell, names(draw, chosen.names), environment, tally)
    return tally.end(chosen.json)


def names(draw: random.Random, count: int) -> list[str]:
    """Names that a shell would run a part of, if it took them for more than text; `N` becomes a number."""
    parts = [
        "$(touch ran-N)",
        "`touch ran-N`",
        "${(e):-$(touch ran-N)}",
        "\\$(touch ran-N)",
        *"\\\"';&| )(}{$!*~:[]%#^x",
    ]
    parts += ["<(touch ran-N)", "=(touch ran-N)", "!!"]
    made = ["".join(draw.choices(parts, k=draw.randint(2, 8))).strip() for _ in range(count)]
    return [name.replace("N", str(number)) for number, name in enumerate([*NAMES, *made]) if name]


def complete(shell: str, folder: Path, texts: list[str], environment: dict[str, str], tally: Tally) -> None:
    """Have `shell` complete the names of experiments."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "tui-attn").write_text(f'#!/bin/sh\nexec {shlex.join(program())} "$@"\n')
    (folder / "bin" / "tui-attn").chmod(0o755)
    script = subprocess.run(
        program(), env=environment | {"_TUI_ATTN_COMPLETE": f"source_{shell}"}, capture_output=True, check=True
    )
    (folder / "completion.sh").write_bytes(script.stdout)
    for number, name in enumerate(texts):
        with contextlib.suppress(ValueError):
            config = ExperimentConfig(epochs=1, models=("se",), name=name)
            recorded.record(
                folder / "runs", experiment=f"h{number:03d}", config=config, probes=False, predictions=False
            )
            tally.counts[f"names in {shell}"] += 1
    command, typed = TYPED[shell]
    keys = [f"tui-attn compare h{number:03d}\t\x15" for number in range(len(texts))]
    keys += [f"tui-attn compare {shlex.quote(text[:3])}\t\t\x15" for text in texts]
    keys += ["tui-attn compare \t\t\x15", "tui-attn stop h\t\t\x15"]
    path = f"{folder / 'bin'}:{environment['PATH']}"
    for block in (keys[first : first + 12] for first in range(0, len(keys), 12)):
        tally.counts[f"completions in {shell}"] += len(block)
        said = on_terminal(
            ["sh", "-c", f"cd {shlex.quote(str(folder))}; exec {shlex.join(command)}"],
            environment | {"PATH": path, "PS1": "ready> ", "TERM": "vt100"},
            f"{typed}{''.join(block)}echo th''ere\n".encode(),
            b"there",
        )
        if said.endswith(b"TIMED OUT"):
            tally.fault("hang", shell, repr(said[-200:]))
    for path_ in folder.rglob("ran-*"):
        tally.fault("code ran", shell, path_.name)


if __name__ == "__main__":
    sys.exit(main())
