"""An experiment that was sent holds what Python and the dynamic linker look for: none of it is ever loaded."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT
from tests.reliability.test_real_program import SMALL
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.system import children

LIBRARIES = ("libcuda.so.1", "libbz2.so.1.0", "libm.so.6", "libgomp.so.1")
ENGINES = {"node_check.py", "pipe.py", "ray_actor.py", "ray_relay.py", "slurm_commands.py"}
"""Modules that start this program on other hosts, or a program there."""
TRACED = "trace=openat,execve"
MODULES = ("sitecustomize", "usercustomize", "torch", "numpy", "tui_attn", "encodings")


def bait(folder: Path, marker: Path) -> None:
    """Put files into `folder` that leave their names in `marker` when they are loaded."""
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write({name!r} + '\\n')\n")
    source = folder.parent / "bait.c"
    source.write_text(
        f'#include <stdio.h>\n__attribute__((constructor)) void f() {{ FILE *o = fopen("{marker}", "a");'
        ' if (o) { fputs(NAME "\\n", o); fclose(o); } }\n'
    )
    for name in LIBRARIES:
        command = ["gcc", "-shared", "-fPIC", f'-DNAME="{name}"', "-o", str(folder / name), str(source)]
        if shutil.which("gcc") is None or subprocess.run(command, check=False).returncode:
            (folder / name).write_bytes(b"no library, which the linker would say")


class Sent:
    """An experiment of somebody else's making that was broken off, and the program to take it up."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, ""
        self.environment = os.environ | {"XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}
        self.run(*SMALL, "--epochs", "1", "--no-ui", TUI_ATTN_FAULT="hand-out:1")
        self.experiment: ExperimentDir = next(experiments(folder / "runs"))
        bait(self.experiment.path, folder / "loaded")

    def run(self, *arguments: str, tracer: tuple[str, ...] = (), cwd: Path | None = None, **extra: str) -> int:
        done = subprocess.run(
            [*tracer, sys.executable, "-P", "-m", "tui_attn", *arguments, "--runs-dir", str(self.folder / "runs")],
            cwd=cwd or self.folder,
            env=self.environment | extra,
            capture_output=True,
            check=False,
            timeout=500,
        )
        self.said = done.stderr.decode()
        return done.returncode

    def loaded(self) -> list[str]:
        """What of the bait was loaded."""
        path = self.folder / "loaded"
        return sorted(set(path.read_text().split())) if path.exists() else []


@pytest.mark.parametrize("where", ["inside", "elsewhere, with empty and relative search paths"])
def test_nothing_of_it_is_loaded(tmp_path: Path, where: str) -> None:
    sent = Sent(tmp_path)
    extra, cwd = {"PYTHONPATH": f"{ROOT}::.", "LD_LIBRARY_PATH": ":", "PATH": f":{os.environ['PATH']}:."}, tmp_path
    if where == "inside":
        extra, cwd = {}, sent.experiment.path
    trace = tmp_path / "trace"
    tracer: tuple[str, ...] = ("strace", "-f", "--seccomp-bpf", "-y", "-qq", "-e", TRACED, "-o", str(trace))
    if subprocess.run([*tracer, "true"], capture_output=True, check=False).returncode or not trace.exists():
        tracer = ()  # the bait alone tells
    for command in (("resume", "--no-ui"), ("probe",)):
        assert sent.run(*command, tracer=tracer, cwd=cwd, **extra) == 0, sent.said
        if tracer:
            _check_opened(trace.read_text(errors="replace"), sent.experiment)
    assert read_state(sent.experiment).situation().experiment == "finished"
    assert sent.loaded() == []


def _check_opened(trace: str, experiment: ExperimentDir) -> None:
    """None of the bait was opened, and in the experiment nothing by a relative path."""
    calls = re.findall(r'openat\((?:AT_FDCWD|\d+)<([^>]*)>, "([^"]*)"', trace)
    assert len(calls) > 1000
    opened = {os.path.join(folder, path) for folder, path in calls if folder != "/"}  # noqa: PTH118
    inside = [Path(path) for path in opened if Path(path).is_relative_to(experiment.path)]
    assert {path.name for path in inside}.isdisjoint({*LIBRARIES, *(f"{name}.py" for name in MODULES)})
    # A name in a folder that was opened is no relative path: it can't lead elsewhere.
    by_path = re.findall(r'openat\(AT_FDCWD<([^>]*)>, "([^"]*)"', trace)
    here = {path for folder, path in by_path if Path(folder).is_relative_to(experiment.path)}
    assert {path for path in here if not path.startswith("/")} == set()


def test_search_paths_keep_their_absolute_elements_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", ":/usr/bin:.:bin:/bin:")
    monkeypatch.setenv("LD_LIBRARY_PATH", ";lib")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:")
    monkeypatch.setenv("OTHER", "kept:")
    clean = children.clean_environment({"MORE": "x"})
    assert (clean["PATH"], clean["PYTHONPATH"], clean["OTHER"], clean["MORE"]) == (
        "/usr/bin:/bin",
        str(ROOT),
        "kept:",
        "x",
    )
    assert "LD_LIBRARY_PATH" not in clean


def test_every_program_gets_clean_search_paths() -> None:
    """A sender of notices has them from its supervisor, and runs what the user wrote."""
    found = {
        path for path in (ROOT / "tui_attn").rglob("*.py") if re.search(r"subprocess\.(Popen|run)\(", path.read_text())
    }
    unclean = {path.name for path in found if "clean_environment(" not in path.read_text()}
    assert unclean == {"notify_process.py"}


def test_no_other_place_starts_this_program() -> None:
    """Everything that runs Python here goes through `children.python`; engines name it for other hosts."""
    found = [path for path in (ROOT / "tui_attn").rglob("*.py") if "sys.executable" in path.read_text()]
    assert {path.name for path in found} <= {"children.py", *ENGINES}
    engines = [path for path in found if path.name in ENGINES]
    assert all('sys.executable, "-P"' in path.read_text() for path in engines), "without -P the folder is searched"
