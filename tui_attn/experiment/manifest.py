"""The content of `experiment.json`, and its reader."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tui_attn.experiment.config import PRECISIONS, ExperimentConfig, Plan
from tui_attn.experiment.kernels import KERNELS
from tui_attn.system.files import read_json
from tui_attn.system.plain_file import open_to_read
from tui_attn.system.text import MAX_TIME, safe_text
from tui_attn.system.user_error import UserError

FORMAT = "tui-attn"
FORMAT_VERSION = 1
FIRST, STRATIFIED = "first", "stratified"
_DEVICE = re.compile(r"[a-z0-9]{1,32}(:[0-9]{1,8})?")
"""Valid names of devices, which become part of file names."""
_MOST_DEVICES = 256
UUID = re.compile(r"(GPU|MIG)-[A-Za-z0-9][A-Za-z0-9/-]{0,99}")
"""A valid UUID of a GPU or a MIG slice; it becomes part of file names and of a worker's environment."""
MOST_BYTES = 1 << 24
"""Maximum size of the file; a larger one is neither read nor written."""
_USUAL: dict[str, Any] = {"subset": FIRST, "plan": None, "kernels": KERNELS[0], "gpus": {}}
"""Values that the file leaves out."""


class RunsError(UserError):
    """There is no such experiment, or it can't be read or created; the message is one line and says what to do.

    `reason`: what is wrong with its manifest, without the path of its folder; None for anything else.
    """

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class GpuIdentity:
    """Identifies the GPU behind a device name, which may denote another GPU tomorrow or in another shell."""

    uuid: str
    name: str
    capability: str = ""
    """Such as 9.0; empty where it is unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """The content of `experiment.json`."""

    id: str
    created: float
    config: ExperimentConfig
    threads: int
    """Threads of each worker; the same on every resume, because their number changes the bits."""
    devices: tuple[str, ...]
    precision: str
    """fp32, bf16, or auto for the worker to choose by the device."""
    data: dict[str, Any]
    """The data set's `root`, `source` and `version`."""
    versions: dict[str, str]
    host: str
    subset: str = FIRST
    """How `train_limit` and `validation` choose images: `FIRST`, the same for all seeds, or `STRATIFIED`, by class."""
    plan: Plan | None = None
    """None in experiments of 0.1.0."""
    kernels: str = KERNELS[0]
    """On CPUs, for every worker: one of `KERNELS`."""
    gpus: dict[str, GpuIdentity] = field(default_factory=dict)
    """By device; empty where the devices are no GPUs or unidentified, and in experiments of 0.1.0."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, with the name and version of the format; keys that 0.1.0 lacks only where they matter."""
        values = asdict(self) | {"config": self.config.to_json(), "devices": list(self.devices)}
        if self.plan is not None:
            values["plan"] = {"looks": list(self.plan.looks), "margin": self.plan.margin}
        known = {key: value for key, value in values.items() if key not in _USUAL or value != _USUAL[key]}
        return {"format": FORMAT, "version": FORMAT_VERSION} | known

    def configured(self, **changes: Any) -> Manifest:
        """This manifest with `changes` in its configuration. Raises `ConfigError`."""
        return replace(self, config=replace(self.config, **changes))

    def subset_seed(self, seed: int) -> int | None:
        """The seed that draws the images of runs with `seed`; None where all runs have the same images."""
        drawn = self.config.train_limit is not None or self.config.validation is not None
        return seed if self.subset == STRATIFIED and drawn else None

    @property
    def uuids(self) -> dict[str, str]:
        """Device -> the UUID of its GPU, where it is known."""
        return {device: gpu.uuid for device, gpu in self.gpus.items()}

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read it from `path`. Raises `RunsError`."""
        data = read_json(path, limit=MOST_BYTES)
        where = safe_text(path.parent, one_line=True)
        foreign = data is None or data.get("format") != FORMAT
        if foreign and looks_like_ours(path.parent):
            raise _unreadable(where, _why_unreadable(path))
        if data is None or foreign:
            raise RunsError(f"{where} is not an experiment of tui-attn: 'tui-attn ls' lists those there are")
        if data.get("version") != FORMAT_VERSION:
            raise RunsError(f"{where} was written by a later version of tui-attn: update tui-attn to read it")
        try:
            if "crc" in data and data["crc"] != checksum(data):
                raise ValueError("its checksum is wrong")
            return cls(
                id=path.absolute().parent.name,
                created=point_in_time(data["created"]),
                config=ExperimentConfig.from_json(data["config"]),
                threads=max(1, min(int(data["threads"]), 1024)),
                devices=_devices(data["devices"]),
                precision=_one_of(data["precision"], PRECISIONS),
                data=dict(data["data"]),
                versions={str(key): str(value) for key, value in dict(data["versions"]).items()},
                host=str(data["host"]),
                subset=_one_of(data.get("subset", FIRST), (FIRST, STRATIFIED)),
                plan=Plan.from_json(data["plan"]) if "plan" in data else None,
                kernels=_one_of(data.get("kernels", KERNELS[0]), KERNELS),
                gpus={str(device): _gpu(about) for device, about in dict(data.get("gpus", {})).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
            raise _unreadable(where, "is damaged") from None


def _unreadable(where: str, why: str) -> RunsError:
    reason = f"experiment.json {why}: restore it from a copy"
    return RunsError(f"{where}/{reason}", reason=reason)


def checksum(data: dict[str, Any]) -> str:
    """CRC-32 (hex) of everything but the checksum itself, independent of the layout."""
    rest = {key: value for key, value in data.items() if key != "crc"}
    return f"{zlib.crc32(json.dumps(rest, sort_keys=True).encode()):08x}"


def with_checksum(data: dict[str, Any]) -> bytes:
    """A JSON file of `data` with its `checksum`."""
    text = json.dumps(data | {"crc": checksum(data)}, indent=1, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _devices(names: Any) -> tuple[str, ...]:
    some = isinstance(names, list) and 0 < len(names) <= _MOST_DEVICES
    if not some or not all(_DEVICE.fullmatch(name) for name in names):
        raise ValueError("no list of devices")
    return tuple(names)


def _gpu(about: Any) -> GpuIdentity:
    found = GpuIdentity(about["uuid"], str(about["name"])[:200], str(about.get("capability", ""))[:10])
    if not isinstance(found.uuid, str) or not UUID.fullmatch(found.uuid):
        raise ValueError("no UUID of a GPU")
    return found


def _one_of(name: Any, allowed: Collection[str]) -> str:
    if name not in allowed:
        raise ValueError("an unknown name")
    return str(name)


def point_in_time(seconds: Any) -> float:
    """A valid creation time in unix seconds. Raises `TypeError`, `ValueError` or `OverflowError` for anything else."""
    if not 0 <= float(seconds) < MAX_TIME:
        raise ValueError("no time")
    return float(seconds)


def _why_unreadable(path: Path) -> str:
    try:
        os.close(open_to_read(path))
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return "is damaged"


def looks_like_ours(folder: Path) -> bool:
    """Whether a folder without a readable experiment.json was nevertheless made by this program."""
    try:
        if not (folder / "supervisor.lock").is_file():
            return False
    except OSError:  # another user's folder
        return False
    try:
        fd = open_to_read(folder / "events.jsonl")
    except OSError:
        return is_there(folder / "experiment.json")
    os.close(fd)
    return True


def is_there(path: Path) -> bool:
    """Whether anything exists at `path`; False where that can't be determined."""
    try:
        return path.exists()
    except OSError:
        return False
