"""Differences between the configurations of two experiments."""

from __future__ import annotations

from collections.abc import Iterator

from tui_attn.experiment.config import OPTIONS, show
from tui_attn.experiment.manifest import Manifest
from tui_attn.system.text import safe_text

Difference = tuple[str, str, str]
"""Name of a setting, and its value in the first and in the second experiment; safe to show."""


def differences(first: Manifest, second: Manifest) -> list[Difference]:
    """The settings that differ: options of the command line first, then facts about the machine."""
    values = [dict(_settings(manifest)) for manifest in (first, second)]
    names = dict.fromkeys([*values[0], *values[1]])
    rows = ((name, *(value.get(name, "none") for value in values)) for name in names)
    return [
        (safe_text(name, one_line=True), safe_text(one, one_line=True), safe_text(two, one_line=True))
        for name, one, two in rows
        if one != two
    ]


def _settings(manifest: Manifest) -> Iterator[tuple[str, str]]:
    config = manifest.config
    for option in OPTIONS:
        yield option.label, show(option, config) or option.unset
    for model in config.custom_models:
        yield f"code of {model.name}", (model.sha256 or "unknown")[:12]
    if manifest.plan is not None:
        yield "planned looks", ", ".join(map(str, manifest.plan.looks)) or "none"
        yield "planned margin", f"{100 * manifest.plan.margin:g} points"
    yield "devices used", ", ".join(manifest.devices)
    yield "precision used", manifest.precision
    yield "threads a worker", str(manifest.threads)
    yield "data version", str(manifest.data.get("version", "unknown"))
    yield "host", manifest.host
    yield from manifest.versions.items()
