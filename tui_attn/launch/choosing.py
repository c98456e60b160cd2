"""Which devices an experiment trains on, when it is started and when it is resumed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from tui_attn.experiment import writing
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import GpuIdentity, Manifest
from tui_attn.experiment.options import ConfigError, split_list
from tui_attn.launch import placement
from tui_attn.launch.control import LaunchError
from tui_attn.launch.devices import GpuDetails, Machine, probe
from tui_attn.supervision.slots import occupants

_ADVICE = "use --device cpu or auto"


def choose(requested: str, machine: Machine, *, mix: bool = False) -> tuple[str, ...]:
    """The devices for `--device requested`, such as ("cpu",) or ("cuda:0", "cuda:1").

    auto prefers devices on which this user trains nothing. `mix` allows GPUs of several models.
    Raises `ConfigError` for a device that this machine or this build of torch lacks, and for a forbidden mixture.
    """
    if requested == "cpu":
        return ("cpu",)
    usable = _usable(machine)
    if requested in {"auto", "all"} and not usable:
        return ("mps",) if machine.mps else ("cpu",)
    if requested == "auto":
        busy = occupants(usable, {device: gpu.uuid for device, gpu in machine.identities(usable).items()})
        return (max(usable, key=lambda device: _rank(machine, device, busy)),)
    if requested == "mps" and not machine.mps:
        raise ConfigError("this machine has no Apple GPU", "device", advice=_ADVICE)
    if requested == "mps":
        return ("mps",)
    wanted = usable if requested == "all" else _named(requested, machine)
    kinds = {kind(machine.about(device)): device for device in reversed(wanted)}
    if len(kinds) > 1 and not mix:
        named = " and ".join(f"{device} is {model}" for model, device in reversed(kinds.items()))
        raise ConfigError(
            f"{named}: their results differ by rounding",
            "device",
            advice="choose GPUs of one model, or allow the mixture with --mix-devices",
        )
    return tuple(wanted)


def _named(requested: str, machine: Machine) -> list[str]:
    if not machine.built_for_gpus:
        raise ConfigError(_no_gpus(machine), "device", advice="install a CUDA build of torch, or use --device cpu")
    if not machine.gpus:
        raise ConfigError("no GPU is visible here", "device", advice=_ADVICE)
    wanted = [int(item.removeprefix("cuda").removeprefix(":") or 0) for item in split_list(requested)]
    for index in wanted:
        if index >= machine.gpus:
            there = ", ".join(f"cuda:{index}" for index in range(machine.gpus))
            raise ConfigError(f"there is no cuda:{index} here, only {there}", "device")
        if reason := unusable(machine, index):
            raise ConfigError(reason, "device", advice=_ADVICE)
    if len(set(wanted)) != len(wanted):
        raise ConfigError("names a device twice", "device", advice="use --jobs for several workers on one device")
    return [f"cuda:{index}" for index in wanted]


def _usable(machine: Machine) -> list[str]:
    return [f"cuda:{index}" for index in range(machine.gpus) if unusable(machine, index) is None]


def _no_gpus(machine: Machine) -> str:
    return f"the installed torch ({machine.torch_version or 'none'}) can't use GPUs"


def _rank(machine: Machine, device: str, busy: Collection[str]) -> tuple[tuple[int, int], bool, int, int]:
    """Sort key: compute capability, no experiment of this user, free memory, lower index."""
    details = machine.about(device) or GpuDetails("")
    return details.capability or (0, 0), device not in busy, details.free or 0, -int(device.removeprefix("cuda:"))


def kind(gpu: GpuDetails | GpuIdentity | None) -> str:
    """The model and compute capability of a GPU, which decide the bits that it computes."""
    if gpu is None:
        return "a GPU"
    capability = gpu.capability if isinstance(gpu.capability, str) else ".".join(map(str, gpu.capability or ()))
    return f"{gpu.name} ({capability})" if capability else gpu.name


def remarks(requested: str, chosen: Sequence[str], machine: Machine) -> Iterator[str]:
    """Remarks on the devices `chosen` for `--device requested`: GPUs that stay idle or can't be used, and no graphs."""
    if requested in {"auto", "all"} and machine.built_for_gpus:
        reasons = [unusable(machine, index) for index in range(machine.gpus)]
        for reason in dict.fromkeys(filter(None, reasons)):
            yield f"training on {', '.join(chosen)}: {reason}"
    others = len(_usable(machine)) - 1
    if requested == "auto" and chosen[0].startswith("cuda") and others > 0:
        idle = "other GPU is" if others == 1 else "other GPUs are"
        yield f"training on {chosen[0]}: {others} {idle} left idle, and --device all uses them too"
    if chosen[0] == "mps" or (machine.torch_hip and chosen[0].startswith("cuda")):
        whose = "Apple's" if chosen[0] == "mps" else "AMD's"
        yield f"training step by step: CUDA graphs, which make small networks fast, are for NVIDIA's GPUs, not {whose}"


def choose_and_tell(config: ExperimentConfig, machine: Machine, tell: Callable[[str], object]) -> tuple[str, ...]:
    """The devices that `config` asks for; `tell` gets remarks on them. Raises `ConfigError`."""
    if not config.engine.here:
        return placement.chosen_devices(config, config.engine, tell)
    chosen = choose(config.device, machine, mix=config.mix_devices)
    for remark in remarks(config.device, chosen, machine):
        tell(remark)
    return chosen


def unusable(machine: Machine, index: int) -> str | None:
    """Why the installed torch can't compute on the GPU that it calls `cuda:index`; None where it can.

    CUDA's libraries run on any driver of their own major version or a later one. Kernels run on GPUs of their major
    capability from their minor one on, and intermediate code (compute_NN) on all later ones (CUDA C++ Programming
    Guide, "Binary compatibility" and "PTX compatibility").
    """
    if machine.torch_hip:
        return None
    if machine.torch_cuda is None:
        return _no_gpus(machine)
    built = _version(machine.torch_cuda)
    driver = _version(machine.driver_cuda or "")
    if driver and built and driver[0] < built[0]:
        return (
            f"the GPU's driver supports CUDA {machine.driver_cuda}, and this torch needs {built[0]}.0:"
            f" update the driver, or install a torch for CUDA {driver[0]}"
        )
    details = machine.details[index] if index < len(machine.details) else GpuDetails("")
    if details.lost:
        return f"cuda:{index} doesn't answer its driver: nvidia-smi tells more"
    if details.capability is None or not machine.architectures:
        return None
    if any(_runs_on(architecture, details.capability) for architecture in machine.architectures):
        return None
    numbers = [found for found in map(_capability, machine.architectures) if found is not None]
    older = bool(numbers) and details.capability < min(numbers)
    return (
        f"{details.name} has compute capability {details.capability[0]}.{details.capability[1]}, and this torch was"
        f" built for {', '.join(machine.architectures)}:"
        f" install a torch for {'an earlier' if older else 'a later'} CUDA"
    )


def _capability(architecture: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"(?:sm|compute)_([0-9]+)([0-9])[a-z]?", architecture)
    return (int(found[1]), int(found[2])) if found else None


def _runs_on(architecture: str, capability: tuple[int, int]) -> bool:
    built = _capability(architecture)
    if built is None:
        return True  # a name of a later torch
    if architecture.endswith("a"):  # for this very capability, as sm_90a
        return built == capability
    if architecture.startswith("compute_"):
        return built <= capability
    return built[0] == capability[0] and built[1] <= capability[1]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())


def precision(requested: str, devices: Sequence[str], machine: Machine) -> str:
    """`requested`; for auto on GPUs the precision that all of them compute fast, so that a comparison has only one."""
    if requested != "auto" or not all(device.startswith("cuda:") for device in devices):
        return requested
    found = [None if about is None else about.capability for about in map(machine.about, devices)]
    known = [capability for capability in found if capability is not None]
    return requested if len(known) < len(found) else "bf16" if min(known) >= (8, 0) else "fp32"


def same_gpus(manifest: Manifest, machine: Machine) -> tuple[str, ...] | None:
    """The present names of an experiment's devices; None where its GPUs are missing.

    A missing GPU is replaced by a usable one of the same model, which computes the same bits.
    """
    if not manifest.gpus:
        return manifest.devices
    usable = _usable(machine)
    by_uuid = {about.uuid: device for device in usable if (about := machine.about(device)) is not None}
    found = {device: by_uuid.get(gpu.uuid) for device, gpu in manifest.gpus.items()}
    for device, gpu in manifest.gpus.items():
        taken = set(found.values())
        alike = [name for name in usable if name not in taken and kind(machine.about(name)) == kind(gpu)]
        if found[device] is None and alike:
            found[device] = device if device in alike else alike[0]
    now = tuple(found.get(device, device) for device in manifest.devices)
    return None if None in now else tuple(name for name in now if name is not None)


def settle(folder: ExperimentDir, device: str | None, tell: Callable[[str], object], *, mix: bool = False) -> None:
    """Find the devices of the experiment here, or the user's `device` if named, and record where training continues.

    Raises `LaunchError` where they are missing, and where one comparison would mix devices that round differently;
    `RunsError` and `OSError`.
    """
    manifest, machine = folder.manifest_data(), probe()
    named = ", ".join(manifest.devices)
    before = {kind(gpu) for gpu in manifest.gpus.values()} or {named.partition(":")[0]}
    mix = mix or manifest.config.mix_devices
    try:
        if device is None:
            found = same_gpus(manifest, machine)
            if found is None:
                raise ConfigError(f"{' and '.join(sorted(before))} is not here")
            chosen = choose(",".join(found), machine, mix=mix)
        else:
            chosen = choose(device, machine, mix=mix)
    except ConfigError as error:
        if device is not None:
            raise LaunchError(str(error)) from None
        raise LaunchError(
            f"{folder.id} trains on {named}: {error.reason}\n"
            "continue it where it is, or choose another device with --device"
        ) from None
    gpus = machine.identities(chosen)
    if (chosen, gpus) == (manifest.devices, manifest.gpus or gpus):
        return
    after = {kind(gpu) for gpu in gpus.values()} or {chosen[0].partition(":")[0]}
    computed_in = _precision_elsewhere(folder, manifest, chosen, machine)
    if manifest.gpus and not gpus and chosen[0].startswith("cuda"):
        after = before  # the driver doesn't identify them
    begun = [run for run in read_state(folder).state.runs.values() if run.step]
    if begun and after - before and not mix:
        raise LaunchError(
            f"{folder.id} trained on {' and '.join(sorted(before))}; on {' and '.join(sorted(after))} results differ by"
            " rounding:\nlet its comparison mix both with --mix-devices, or start a new experiment"
        )
    shown = [f"{name} ({gpus[name].name})" if name in gpus else name for name in chosen]
    tell(f"{folder.id} continues on {', '.join(shown)}")

    def moved(found: Manifest) -> Manifest:
        mixed = found.configured(mix_devices=mix or found.config.mix_devices)
        return replace(mixed, devices=chosen, gpus=gpus, precision=computed_in)

    writing.change_manifest(folder, moved)


def _precision_elsewhere(folder: ExperimentDir, manifest: Manifest, chosen: tuple[str, ...], machine: Machine) -> str:
    """The precision on other devices: that of the runs so far, or else that of a new start."""
    used = {run.about.get("precision") for run in read_state(folder).state.runs.values() if run.step}
    wanted = str(used.pop()) if len(used) == 1 and used <= {"fp32", "bf16"} else manifest.config.precision
    for device in chosen:
        about = machine.about(device)
        if wanted == "bf16" and about is not None and about.capability is not None and about.capability < (8, 0):
            raise LaunchError(f"{folder.id} computes in bf16, which {about.name} can't: choose another --device")
    return precision(wanted, chosen, machine)
