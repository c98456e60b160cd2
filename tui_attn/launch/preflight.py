"""Checks before a start: whether data and custom models are available, and which devices are free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tui_attn import data
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.custom_model import CustomModelError, from_spec, read_source, sha256
from tui_attn.experiment.options import ConfigError, split_list
from tui_attn.launch import choosing, devices
from tui_attn.supervision import slots
from tui_attn.system.text import safe_text, size

Memory = Mapping[str, tuple[int, int]]
"""Device -> bytes in use and in all, of those GPUs that tell."""


@dataclass(frozen=True, slots=True)
class FieldStatus:
    """What the form shows beside a field."""

    text: str
    level: str = "ok"
    """ok, warning, or wrong, which prevents a start."""


@dataclass(frozen=True, slots=True)
class DataStatus:
    """What is known about the requested data set."""

    status: FieldStatus
    sizes: tuple[int, int] | None = None
    """Number of training and test images."""


@dataclass(frozen=True, slots=True)
class ModelsStatus:
    """What is known about the requested custom models."""

    status: FieldStatus
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file that could be read, by how the model is written on the command line."""

    def signed(self, config: ExperimentConfig) -> ExperimentConfig:
        """`config` with these digests."""
        own = tuple(replace(model, sha256=self.digests.get(model.spec)) for model in config.custom_models)
        return replace(config, custom_models=own)


def of_data(dataset: str, data_dir: str | None) -> DataStatus:
    """Whether the data set is available, or how large its download is. Reads only some names and sizes."""
    try:
        found = data.glance(dataset, Path(data_dir) if data_dir else None)
    except (data.DataError, OSError) as error:
        text = f"can't be read: {error.strerror}" if isinstance(error, OSError) else str(error).splitlines()[0]
        return DataStatus(FieldStatus(safe_text(text, one_line=True), "wrong"))
    return DataStatus(_of_folder(found) if isinstance(found, data.FolderGlance) else _of_set(found), found.sizes)


def _of_folder(found: data.FolderGlance) -> FieldStatus:
    if found.problem is not None:
        return FieldStatus(safe_text(found.problem, one_line=True), "wrong")
    if not found.complete:
        return FieldStatus(f"a large folder, at least {found.images:,} images: counted at the start")
    return FieldStatus(f"here, {found.images:,} images in {found.classes:,} classes")


def _of_set(found: data.SetStatus) -> FieldStatus:
    if found.state == "ready" and found.size == 0:
        return FieldStatus("generated, nothing to download")
    if found.state == "ready":
        source = "" if found.located is None else f" ({found.located.source})"
        return FieldStatus(safe_text(f"here{source}, {size(found.size)}", one_line=True))
    if found.state == "packed":
        return FieldStatus(f"here, compressed: unpacked at the start to {size(found.size)}")
    if found.state == "damaged":
        problem = str(found.problems[0]) if found.problems else "is damaged"
        return FieldStatus(safe_text(problem, one_line=True), "warning")
    return FieldStatus(f"not here: {size(found.size)} to download at the start", "warning")


def limited(config: ExperimentConfig, sizes: tuple[int, int] | None) -> tuple[int, int] | None:
    """Training and test images of an epoch, of a data set of these `sizes`; None where it has too few."""
    try:
        return None if sizes is None else config.sizes(*sizes)
    except ConfigError:  # a start says why
        return None


def of_custom_models(specs: str) -> ModelsStatus:
    """Check that the files of custom models, `PATH.py:CLASS` separated by commas, can be read. Never raises."""
    digests, names = {}, []
    try:
        for spec in split_list(specs):
            model = from_spec(spec, ())
            digests[model.spec] = sha256(read_source(Path(model.file), called=model.shown))
            names.append(model.shown)
    except CustomModelError as error:
        return ModelsStatus(FieldStatus(safe_text(str(error).splitlines()[0], one_line=True), "wrong"), digests)
    return ModelsStatus(FieldStatus(f"tried at the start: {', '.join(names)}"), digests)


def device_choices(machine: devices.Machine) -> tuple[str, ...]:
    """What --device may be on this machine."""
    gpus = [f"cuda:{index}" for index in range(machine.gpus)] if machine.built_for_gpus else []
    together = ["all"] if len(gpus) > 1 else []
    return ("auto", "cpu", *(["mps"] if machine.mps else []), *gpus, *together)


def of_devices(requested: str, machine: devices.Machine, memory: Memory) -> FieldStatus:
    """Return which devices `requested` stands for and how much of them is free. Never raises."""
    try:
        chosen = choosing.choose(requested, machine, mix=True)
    except ConfigError as error:
        return FieldStatus(safe_text(error.reason, one_line=True), "wrong")
    gpus = machine.identities(chosen)
    busy = slots.occupants(chosen, {device: gpu.uuid for device, gpu in gpus.items()})
    named = requested in {"auto", "all"} or len(chosen) > 1
    texts = [(f"{device}: " if named else "") + _of_device(device, memory, busy) for device in chosen]
    return FieldStatus(safe_text("; ".join(texts), one_line=True), "warning" if busy else "ok")


def _of_device(device: str, memory: Memory, busy: Mapping[str, str]) -> str:
    cores = devices.usable_cores()
    parts = ["1 core" if cores == 1 else f"{cores} cores"] if device == "cpu" else []
    if device in memory:
        used, total = memory[device]
        parts.append(f"{size(max(total - used, 0))} of {size(total)} free")
    parts.append(f"shared with {busy[device]}" if device in busy else "no other experiment on it")
    return ", ".join(parts)
