"""Where an experiment's workers run: checked before it starts, and remembered for `resume` and `extend`.

The manifest's entry is for display only, because an experiment may come from anybody. What counts is this call's
`--on`, or this user's earlier choice on this machine, which is kept in the user's state folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from tui_attn.engines import slurm_commands
from tui_attn.engines.slurm_commands import Command
from tui_attn.engines.workers import MOST
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.engine_spec import SSH, EngineSpec
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.options import ConfigError
from tui_attn.launch import devices, logout
from tui_attn.launch.control import LaunchError
from tui_attn.system.files import user_folder, write_atomically
from tui_attn.system.plain_file import read_own
from tui_attn.system.text import safe_text

Tell = Callable[[str], object]
_PROGRAMS = {"ssh": "ssh", "slurm-alloc": "srun", "slurm": "sbatch"}


def check(spec: EngineSpec, *, submit: bool = False) -> None:
    """Raise `ConfigError` where this machine can't use the engine; with `submit` also where SLURM would refuse jobs."""
    program = _PROGRAMS.get(spec.engine)
    if program is not None and shutil.which(program) is None:
        raise ConfigError(f"{spec.engine} needs '{program}', which isn't here: start where it is, or use local", "on")
    if spec.engine == "ray" and find_spec("ray") is None:
        raise ConfigError("ray needs the package ray: pip install 'tui-attn[ray]'", "on")
    if spec.engine == "slurm-alloc" and not os.environ.get("SLURM_JOB_ID"):
        raise ConfigError("slurm-alloc works inside an allocation: get one with salloc, or use slurm", "on")
    if submit and spec.engine == "slurm" and (reason := slurm_commands.refusal(spec)):
        raise ConfigError(f"SLURM would refuse the jobs: {reason}", "on")


def chosen_devices(config: ExperimentConfig, spec: EngineSpec, tell: Tell) -> tuple[str, ...]:
    """The devices of workers on other hosts, whatever this machine has. There is no fallback to another device.

    `tell` is told when auto means CPUs. Raises `ConfigError`, also for hosts of ssh that can't be reached.
    """
    if config.device not in {"auto", "all"}:
        return tuple(config.device.split(","))
    gpus = ("SLURM_JOB_GPUS", "SLURM_GPUS_ON_NODE", "SLURM_STEP_GPUS") if spec.engine == "slurm-alloc" else ()
    asked = spec.slurm.get("gres", "").startswith("gpu") or any(os.environ.get(name) for name in gpus)
    if asked or (spec.engine == "ssh" and _have_gpus(spec.hosts)):
        return ("cuda",)
    how = {"slurm": "gres=gpu:1 asks for a GPU each", "ssh": "no host has a GPU"}
    tell(f"workers on {spec.engine} train on CPUs: {how.get(spec.engine, '--device cuda asks for a GPU each')}")
    return ("cpu",)


def _have_gpus(hosts: Sequence[str]) -> bool:
    """Whether the hosts have GPUs. Raises `ConfigError` where only some have."""
    there = "test -e /proc/driver/nvidia/version || test -e /dev/kfd"
    asked = {host: Command(*SSH, host, there) for host in dict.fromkeys(hosts)}
    found = {}
    for host, command in asked.items():
        code, said = command.wait(within=20)
        if code not in {0, 1}:
            why = safe_text((said.strip().splitlines() or ["no answer"])[-1], one_line=True)[:200]
            raise ConfigError(f"{host} can't be reached: {why}", "on")
        found[host] = code == 0
    with_gpus = [host for host in found if found[host]]
    if with_gpus and len(with_gpus) < len(found):
        raise ConfigError(f"only {', '.join(with_gpus)} of the hosts have GPUs: say cuda or cpu", "device")
    return bool(with_gpus)


def mention_logout(spec: EngineSpec, tell: Tell) -> None:
    """Tell the user if a logout would end the supervisor on this machine, and what to do."""
    remedy = None if spec.here else logout.remedy()
    if remedy is not None:
        job = ", or run it as a job: sbatch -c1 --time=3-0 --wrap 'tui-attn --no-ui ...'"
        what = f"{remedy}{job if spec.engine == 'slurm' else ''}"
        tell(f"systemd ends the supervisor here when you log out: {what}")


def workers(config: ExperimentConfig, runs: int) -> int:
    """Number of workers on other hosts that would train `runs` runs at once."""
    spec = config.engine
    steps = int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
    most = {"slurm": MOST, "ray": MOST, "ssh": len(spec.hosts), "slurm-alloc": steps}
    return min(config.jobs or most.get(spec.engine, 1), runs)


def submission(config: ExperimentConfig, runs: int, *, short: bool = False) -> str:
    """What would be submitted or started on other hosts, in words; empty for workers on this machine."""
    spec, count = config.engine, workers(config, runs)
    match spec.engine:
        case "slurm":
            shared = config.jobs is not None and config.jobs < runs
            each = "in jobs that train one after the other" if shared else "a job each"
            return f"{runs} runs, {each}, {count} at once: {slurm_commands.preview(spec, short=short)}"
        case "ray":
            where = spec.address or os.environ.get("RAY_ADDRESS") or "a new cluster here"
            return f"{runs} runs, an actor each, {count} at once, on {safe_text(where, one_line=True)}"
        case "ssh":
            return f"{runs} runs, {count} at once, on {', '.join(spec.hosts)}"
        case "slurm-alloc":
            return f"{runs} runs, {count} at once, as steps of job {os.environ.get('SLURM_JOB_ID', '')}"
    return ""


def chosen_threads(spec: EngineSpec) -> int:
    """Threads of each worker: as requested of the engine, or else as on this machine."""
    asked = spec.slurm.get("cpus") or (os.environ.get("SLURM_CPUS_PER_TASK") if spec.engine == "slurm-alloc" else None)
    return int(asked) if asked and asked.isdecimal() else devices.threads()


def remember(folder: ExperimentDir, spec: EngineSpec) -> None:
    """Remember where this user runs the experiment from this machine. Without a home it isn't remembered."""
    path = _path(folder)
    if path is not None and (not spec.here or path.exists()):
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(path, f"{spec}\n".encode())


def placement(folder: ExperimentDir, given: str | None) -> EngineSpec:
    """Where to continue the experiment: as `given`, or else where this user last ran it from this machine.

    Raises `ConfigError`, and `LaunchError` where somebody else chose another place.
    """
    if given is not None:
        try:
            return EngineSpec.parse(given)
        except ConfigError as error:
            raise ConfigError(error.reason, "on") from None
    path = _path(folder)
    text = None if path is None else read_own(path, 4096)
    if text is not None:
        with contextlib.suppress(ConfigError):
            return EngineSpec.parse(text.decode(errors="replace").strip())
    on = folder.manifest_data().config.on
    if on != "local":
        where = safe_text(on, one_line=True)
        raise LaunchError(
            f"{folder.id} ran on {where}, and you did not start it from here: say where it may run with --on"
        )
    return EngineSpec("local")


def _path(folder: ExperimentDir) -> Path | None:
    """The file that remembers it, named by host, path, id and creation time of the experiment."""
    base = user_folder("state")
    if base is None:
        return None
    manifest = folder.manifest_data()
    told = "\0".join([os.uname().nodename, str(folder.path.resolve()), manifest.id, repr(manifest.created)])
    return base / "engines" / hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:32]
