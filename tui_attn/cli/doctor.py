"""`tui-attn doctor`: checks whether this machine is ready for training, and says what to do where it isn't."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tui_attn import __version__, data
from tui_attn.cli.output import print_json, print_line
from tui_attn.engines import node_check
from tui_attn.engines.slurm_commands import refusal
from tui_attn.engines.workers import worker_environment
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.options import ConfigError
from tui_attn.launch import choosing, devices, logout, placement
from tui_attn.system import children
from tui_attn.system.console import over_ssh, working
from tui_attn.system.control_groups import memory_limit
from tui_attn.system.text import safe_text, size

PLENTY = 1_000_000_000
"""Bytes of free disk below which the doctor warns."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    what: str
    verdict: str
    """ok, warning or problem."""
    text: str
    remedy: str | None = None


def report(runs_dir: Path, spec: EngineSpec, device: str | None = None, *, as_json: bool) -> int:
    """Print the findings here and on the hosts of an engine; return 1 if something prevents training, else 0.

    With `device`, the lab's models are also trained there for some seconds. Raises `ConfigError` for a missing device.
    """
    chosen = () if device is None else choosing.choose(device, devices.probe(), mix=True)
    trials = [found for name in chosen for found in trained(name)]
    with working("looking at this machine" if spec.engine == "local" else "asking the hosts"):
        findings = [*examine(runs_dir), *examine_engine(spec, runs_dir), *trials]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}[finding.verdict]
            print_line(safe_text(f"{mark}  {finding.what:<9} {finding.text}", one_line=True))
            if finding.remedy is not None:
                print_line(safe_text(f"{'':19}{finding.remedy}", one_line=True))
    return 1 if any(finding.verdict == "problem" for finding in findings) else 0


def _checked(what: str, text: str, remedy: str | None) -> Finding:
    """A warning where there is a remedy."""
    return Finding(what, "ok" if remedy is None else "warning", text, remedy)


def examine(runs_dir: Path) -> Iterator[Finding]:
    """Check everything that training and the dashboard depend on."""
    yield Finding("program", "ok", f"tui-attn {__version__}, Python {platform.python_version()}, {platform.system()}")
    machine = devices.probe()
    yield torch_finding(machine, gpu_hardware=_gpu_hardware())
    yield _device(machine)
    yield from _gpus(machine)
    yield _memory()
    yield from _data()
    yield _terminal(dict(os.environ), sys.stdout.isatty(), shutil.get_terminal_size())
    yield _disk(runs_dir)
    yield _logout()


def examine_engine(spec: EngineSpec, runs_dir: Path) -> Iterator[Finding]:
    """Check that an engine accepts work, and that its hosts have what they need."""
    if spec.here:
        return
    try:
        placement.check(spec)
    except ConfigError as error:
        yield Finding(spec.engine, "problem", error.reason)
        return
    if spec.engine == "slurm":
        yield Finding("SLURM", "ok", children.output_of("sbatch", "--version") or "sbatch is here")
        if reason := refusal(spec):
            yield Finding("SLURM", "problem", f"would refuse the jobs: {reason}", "change what --on slurm asks for")
            return
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        for name, front, shell in node_check.fronts(spec):
            for node in node_check.ask(front, name, runs_dir, _data_roots(), shell=shell):
                yield from _node(node, runs_dir, must_see=spec.engine != "ray")
    except OSError as error:
        yield Finding("node", "problem", f"{runs_dir} can't be written: {error.strerror}", "choose another --runs-dir")


def _node(node: node_check.NodeReport, runs_dir: Path, *, must_see: bool) -> Iterator[Finding]:
    """`must_see`: whether the engine can't do without a shared folder."""
    if node.problem is not None:
        yield Finding(
            "node", "problem", f"{node.host}: {node.problem}", "it needs tui-attn, in the same versions as here"
        )
        return
    if not node.sees_folder and must_see:
        yield Finding("node", "problem", f"{node.host} doesn't see {runs_dir}", "put it on a shared file system")
    elif node.torch is None:
        yield Finding("node", "problem", f"{node.host} has no torch", "pip install torch torchvision")
    else:
        sees = f"sees {runs_dir}" if node.sees_folder else f"doesn't see {runs_dir}: what it writes is fetched"
        yield Finding("node", "ok", f"{node.host} {sees}, torch {node.torch}")
    for path in node.missing_data:
        yield Finding("node", "problem", f"{node.host} doesn't see the data in {path}", "use a shared --data-dir")
    if node.sees_folder and not node.sees_lock:
        yield Finding("locks", "warning", f"don't reach {node.host}: runs are told apart by tokens instead")
    if abs(node.skew) > node_check.SKEW:
        yield Finding("clock", "warning", f"{node.host} is {node.skew:+.0f} s off: times in logs are off by as much")


def _data_roots() -> list[Path]:
    try:
        found = [item.located.root for item in data.status() if item.state == "ready" and item.located is not None]
    except data.DataError:
        return []
    return [root for root in dict.fromkeys(found) if root.parts]


def torch_finding(machine: devices.Machine, *, gpu_hardware: bool) -> Finding:
    """Whether torch is installed, recent enough, and built for the hardware."""
    if machine.torch_version is None:
        return Finding("torch", "problem", "is not installed", "pip install torch torchvision")
    numbers = machine.torch_version.split("+")[0].split(".")
    if [int(part) for part in numbers[:2] if part.isdigit()] < [2, 11]:
        return Finding("torch", "problem", f"{machine.torch_version} is too old", "pip install 'torch>=2.11'")
    if gpu_hardware and not machine.built_for_gpus:
        text = f"{machine.torch_version} is a CPU-only build, and this machine has an NVIDIA GPU"
        return _checked("torch", text, "install a CUDA build of torch, or the GPU stays idle")
    gpu = f"CUDA {machine.torch_cuda}" if machine.torch_cuda else f"ROCm {machine.torch_hip}"
    build = gpu if machine.built_for_gpus else "CPU-only"
    return Finding("torch", "ok", f"{machine.torch_version} ({build})")


def _gpu_hardware() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or any(Path("/dev").glob("nvidia[0-9]*"))


def _device(machine: devices.Machine) -> Finding:
    chosen = ", ".join(choosing.choose("auto", machine))
    cores = devices.usable_cores()
    count = "1 core" if cores == 1 else f"{cores} cores"
    text = f"--device auto takes {chosen}; {count} usable, {devices.threads()} threads a worker"
    silent = _gpu_hardware() and machine.torch_cuda and not machine.gpus
    remedy = "the GPU's driver doesn't answer or CUDA_VISIBLE_DEVICES hides it: nvidia-smi tells"
    return _checked("device", text, remedy if silent else None)


def _gpus(machine: devices.Machine) -> Iterator[Finding]:
    """Name, driver, capability and memory of each GPU, and why torch can't use it, if so."""
    for index, gpu in enumerate(machine.details):
        facts = [f"cuda:{index}: {gpu.name}"]
        facts += [f"compute capability {gpu.capability[0]}.{gpu.capability[1]}"] if gpu.capability else []
        facts += [f"{size(gpu.free or 0)} of {size(gpu.memory)} free"] if gpu.memory else []
        facts += [f"driver for CUDA {machine.driver_cuda}"] if machine.driver_cuda else []
        yield _checked("GPU", ", ".join(facts), choosing.unusable(machine, index))


def trained(device: str) -> Iterator[Finding]:
    """Whether `device` trains the lab's models by CUDA graphs, to the same bits as step by step, and how fast."""
    process = children.python(
        "tui_attn.train.device_check",
        device,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        environment=worker_environment(devices.threads(), crowded=False),
    )
    output, errors = process.communicate()
    for line in output.decode().splitlines():
        found = json.loads(line)
        what = f"{device}: {found['model']} in {found['precision']}"
        if "impossible" in found:
            yield Finding("training", "ok", f"{what} is not possible")
        elif "error" in found:
            yield Finding("training", "problem", f"{what} failed", found["error"])
        else:
            how = "graphs give the same bits as single steps" if found["graphed"] else "steps are launched one by one"
            if "unfused" in found:
                reason = found["unfused"]
                how += f"; pooling by torch's operators: {reason}" if reason else "; pooling by one kernel"
            slow = device.startswith("cuda") and not found["graphed"]
            text = f"{what}: {found['images_per_second']:,} images/s; {how}"
            yield Finding("training", "warning" if slow else "ok", text, found["reason"] if slow else None)
    if process.returncode != 0:
        last = (errors.decode(errors="replace").strip().splitlines() or ["it gave no reason"])[-1]
        yield Finding("training", "problem", f"{device} can't train", last[:300])


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    total, available = min((memory.total, memory.available), memory_limit() or (memory.total, memory.available))
    text = f"{size(available)} of {size(total)} available"
    return _checked("memory", text, "a worker takes about 1 GB: close something" if available < PLENTY else None)


def _data() -> Iterator[Finding]:
    try:
        found = data.status()
    except data.DataError as error:
        yield Finding("data", "problem", str(error))
        return
    for item in found:
        if item.state == "ready":
            where = "" if item.located is None else f" ({item.located.source})"
            yield Finding("data", "ok", f"{item.name} is here and whole{where}")
        elif item.name == "fashion-mnist":
            verdict = "problem" if item.state == "damaged" else "warning"
            yield Finding("data", verdict, f"{item.name} is {item.state}", f"tui-attn data {item.name}")


def _terminal(environment: dict[str, str], is_terminal: bool, extent: os.terminal_size) -> Finding:
    term = environment.get("TERM", "")
    if not is_terminal:
        return Finding("terminal", "ok", "stdout is no terminal: lines instead of the dashboard")
    if term in {"", "dumb"}:
        text = f"TERM={term or 'unset'}: lines instead of the dashboard"
        return _checked("terminal", text, "set TERM, as to xterm-256color")
    colours = "no colour" if "NO_COLOR" in environment else environment.get("COLORTERM") or term
    text = f"{extent.columns}x{extent.lines}, {colours}" + (", over SSH" if over_ssh(environment) else "")
    small = extent.columns < 80 or extent.lines < 24
    return _checked("terminal", text, "the dashboard wants at least 80x24" if small else None)


def _disk(runs_dir: Path) -> Finding:
    place = runs_dir.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding("disk", "problem", f"{place} can't be written", "choose another folder with --runs-dir")
    free = shutil.disk_usage(place).free
    remedy = "an experiment of the lab takes about 10 MB: make room" if free < PLENTY else None
    return _checked("disk", f"{size(free)} free for {runs_dir}", remedy)


def _logout() -> Finding:
    """Whether processes survive a logout: systemd may be configured to end them."""
    if not Path("/run/systemd/system").exists():
        if Path("/.dockerenv").exists() or os.getpid() == 1:
            return Finding("logout", "ok", "training survives a logout, but not the end of this container")
        return Finding("logout", "ok", "training survives a logout (no systemd here)")
    remedy = logout.remedy()
    if remedy is not None:
        return Finding("logout", "warning", "systemd ends your processes when you log out", remedy)
    return Finding("logout", "ok", "training survives a logout")
