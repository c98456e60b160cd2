"""Where workers run: the values of `--on`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tui_attn.experiment.options import ConfigError, Kind, shown, split_list, suggest

ENGINES = ("local", "slurm", "slurm-alloc", "ray", "ssh")
FORMS = ("local", "slurm[:KEY=VALUE,...]", "slurm-alloc", "ray[:ADDRESS]", "ssh:HOST[,HOST]")
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
SLURM_KEYS: Mapping[str, tuple[str, str, str]] = {
    "partition": ("partition", _NAME, "gpu"),
    "time": ("time", r"[0-9]{1,4}(-[0-9]{1,2})?(:[0-9]{1,2}){0,2}", "4:00:00"),
    "gres": ("gres", r"[a-z]{1,16}(:[A-Za-z0-9_.-]{1,32})?(:[0-9]{1,4})?", "gpu:1"),
    "cpus": ("cpus-per-task", r"[1-9][0-9]{0,2}", "4"),
    "mem": ("mem", r"[0-9]{1,9}[KMGT]?", "8G"),
    "constraint": ("constraint", r"[A-Za-z0-9(\[][A-Za-z0-9_.&|*()\[\]-]{0,127}", "a100"),
    "account": ("account", _NAME, "lab"),
    "qos": ("qos", _NAME, "low"),
    "poll": ("", r"[1-9][0-9]{1,3}", "30"),
}
"""Key -> option of sbatch, pattern of its values, example. `poll`: seconds between two calls of squeue."""
SSH = ("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
"""How hosts are reached: without a terminal and without questions."""
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.@_-]*")
_ADDRESS = re.compile(r"(ray://)?[A-Za-z0-9][A-Za-z0-9.:_-]*")


class EngineSpec(NamedTuple):
    """A checked value of `--on`."""

    engine: str
    hosts: tuple[str, ...] = ()
    """For ssh, in the order in which they get workers."""
    address: str | None = None
    """Of a Ray cluster; None for the default."""
    slurm: Mapping[str, str] = MappingProxyType({})
    """By the keys of `SLURM_KEYS`."""

    @classmethod
    def parse(cls, text: object) -> EngineSpec:
        """Read `text`. Raises `ConfigError`."""
        if not isinstance(text, str):
            raise ConfigError(f"must be a text, such as slurm or ssh:HOST, not {shown(text)}")
        engine, colon, rest = text.partition(":")
        if engine not in ENGINES:
            raise ConfigError(f"unknown engine '{shown(engine)}': {suggest(shown(engine), ENGINES, listed=FORMS)}")
        if engine == "ssh":
            return cls("ssh", hosts=_hosts(rest))
        if engine == "ray" and colon:
            if not _ADDRESS.fullmatch(rest):
                raise ConfigError(f"'{shown(rest)}' is no address of a Ray cluster: use ray or ray:HOST:PORT")
            return cls("ray", address=rest)
        if engine == "slurm" and colon:
            return cls("slurm", slurm=_slurm(rest))
        if colon:
            raise ConfigError(f"{engine} takes nothing after a colon: write {engine}")
        return cls(engine)

    def __str__(self) -> str:
        rest = ",".join(self.hosts) or self.address or ",".join(f"{key}={self.slurm[key]}" for key in self.slurm)
        return f"{self.engine}:{rest}" if rest else self.engine

    @property
    def slurm_options(self) -> list[str]:
        """What sbatch and srun are told."""
        return [f"--{SLURM_KEYS[key][0]}={value}" for key, value in self.slurm.items() if SLURM_KEYS[key][0]]

    @property
    def here(self) -> bool:
        """Whether workers run on this machine, as children of their supervisor."""
        return self.engine == "local"

    def with_defaults(self, tables: Mapping[str, Mapping[str, str]]) -> EngineSpec:
        """The spec with defaults from the configuration file's `tables`."""
        table = tables.get(self.engine, {})
        if self.engine == "slurm":
            return EngineSpec("slurm", slurm={**table, **self.slurm})
        if self.engine == "ray" and "RAY_ADDRESS" not in os.environ:
            return EngineSpec("ray", address=self.address or table.get("address"))
        return self


def check_setting(engine: str, key: str, value: object) -> str:
    """A value in the configuration file's table of `engine` as text. Raises `ConfigError`."""
    if engine == "slurm":
        return check_slurm(key, value)
    if key != "address":
        raise ConfigError(f"unknown option of Ray '{shown(key)}': {suggest(shown(key), ['address'])}")
    return EngineSpec.parse(f"ray:{value}").address or ""


def check_slurm(key: str, value: object) -> str:
    """The value of one of `SLURM_KEYS` as text. Raises `ConfigError`."""
    if key not in SLURM_KEYS:
        raise ConfigError(f"unknown SLURM option '{shown(key)}': {suggest(shown(key), SLURM_KEYS)}")
    _, pattern, example = SLURM_KEYS[key]
    text = "" if isinstance(value, bool) else str(value)
    if not re.fullmatch(pattern, text):
        raise ConfigError(f"{key} can't be '{shown(value)}': write it as in {key}={example}")
    return text


def _slurm(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in text.split(","):
        key, _, value = item.partition("=")
        if key in found:
            raise ConfigError(f"names {key} twice: keep one of them")
        found[key] = check_slurm(key, value)
    return found


def _hosts(text: str) -> tuple[str, ...]:
    hosts = split_list(text)
    if not hosts:
        raise ConfigError("needs a host, as in ssh:gpu1,gpu2")
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise ConfigError(f"'{shown(host)}' can't be a host: write hosts as in ssh:gpu1,me@gpu2")
    return hosts


class EngineKind(Kind):
    """The option `--on`."""

    metavar = "ENGINE"

    def parse(self, text: str) -> Any:
        """The text without surrounding blanks."""
        return text.strip()

    def check(self, value: Any) -> None:
        """Raise `ConfigError` for an invalid engine."""
        EngineSpec.parse(value)
