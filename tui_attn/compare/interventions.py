"""What a trained network's accuracy becomes when its attention is replaced: the file of results, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_attn.compare.t_test import Interval
from tui_attn.experiment.folders import RunDir
from tui_attn.experiment.model_info import MODELS, Attention
from tui_attn.system.files import read_json

FORMAT = "tui-attn-interventions"
FORMAT_VERSION = 1
"""Of the file and of the definitions of the interventions: results of another version are computed anew."""

MEAN, TUNED, ANOTHER_IMAGE = "mean", "tuned", "shuffled-images"
"""The interventions that take away what the attention knows of the image, and leave the rest as it is."""

_KINDS: Mapping[Attention, Mapping[str, str]] = {
    "channel gates": {
        MEAN: "their mean over all images",
        TUNED: "constants tuned on training images",
        "ones": "1, all open",
        "half": "0.5, all half open",
        ANOTHER_IMAGE: "those of another image",
        "shuffled-channels": "those of other channels",
        "most-open-off": "0 for the 4 most open channels",
        "random-off": "0 for 4 random channels",
        "least-open-off": "0 for the 4 least open channels",
    },
    "channel matrix": {
        MEAN: "their mean over all images",
        TUNED: "constants tuned on training images",
        "uniform": "all equal",
        "identity": "each channel only itself",
        ANOTHER_IMAGE: "those of another image",
    },
}

PIXELS_ONLY = "gates single pixels, so there is no gate of a whole channel that could be replaced"
"""Why there are no interventions on a model with pixel gates."""

KINDS = {name: _KINDS[info.attention] for name, info in MODELS.items() if info.attention in _KINDS}
"""By model, what is put in the place of its gates or its attention weights, in words."""

LAYERS = {name: (*MODELS[name].layers, *(["all"] if len(MODELS[name].layers) > 1 else [])) for name in KINDS}
"""By model, where."""


class InterventionsError(ValueError):
    """The results can't be used; the message says why in a few words, such as "is missing"."""


@dataclass(frozen=True, slots=True)
class Intervention:
    """One intervention on one trained network. Fractions of the test images."""

    kind: str
    """A key of `KINDS`."""
    layer: str
    """One of `LAYERS`; "all": in all layers with gates at once."""
    accuracy: float
    """Mean over the draws."""
    delta: float
    """Change of the accuracy."""
    ci95: Interval
    """Of `delta`, paired over the test images; it speaks of this network alone. See `paired_change`."""
    lost: float
    """Images that were classified correctly and no longer are."""
    gained: float
    draws: int
    """Random replacements that were averaged; 1 where nothing is random."""
    channels: tuple[int, ...] | None
    """The channels that were knocked out, where they were the same in all images of one layer."""
    changed: float | None = None
    """Share of the images whose predicted class changes, mean over the draws; None in files of 0.1.0."""
    loss: float | None = None
    """Mean test loss under the intervention, nats; None in files of 0.1.0, and where it isn't finite."""


@dataclass(frozen=True, slots=True)
class Interventions:
    """All interventions on one trained network."""

    run: str
    model: str
    seed: int
    weights_sha256: str
    """Of the network that was intervened on."""
    test_size: int
    accuracy: float
    """With its own attention, computed in the same way as with others."""
    precision: str
    """Of the convolutions; everything after them is float32."""
    seconds: float
    """That all interventions took, loading not counted."""
    interventions: tuple[Intervention, ...]
    loss: float | None = None
    """Mean test loss with its own attention, nats."""

    def get(self, kind: str, layer: str) -> Intervention | None:
        """The one called so, or None."""
        return next((item for item in self.interventions if (item.kind, item.layer) == (kind, layer)), None)


def path_in(folder: RunDir) -> Path:
    """Where the results of a run are kept."""
    return folder.probes / "interventions.json"


def to_json(found: Interventions) -> dict[str, Any]:
    """Plain JSON types: what the file holds.

    `format`, `version`, the fields of `Interventions` by their names, and `interventions`: a list of objects with the
    fields of `Intervention` by theirs.
    """
    head = {name: getattr(found, name) for name in Interventions.__slots__ if name != "interventions"}
    items = [{name: getattr(item, name) for name in Intervention.__slots__} for item in found.interventions]
    lists = [
        {name: list(value) if isinstance(value, tuple) else value for name, value in item.items()} for item in items
    ]
    return {"format": FORMAT, "version": FORMAT_VERSION, **head, "interventions": lists}


def load_interventions(folder: RunDir, weights_sha256: str | None) -> Interventions:
    """The results in a run's folder, where they speak of the weights with this digest. Raises `InterventionsError`."""
    path = path_in(folder)
    data = read_json(path, folders=2)
    if data is None:
        raise InterventionsError("is damaged" if path.exists() or path.is_symlink() else "is missing")
    if data.get("format") != FORMAT:
        raise InterventionsError("is damaged")
    if data.get("version") != FORMAT_VERSION:
        raise InterventionsError("was written by another version of tui-attn")
    try:
        found = _from_json(data)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InterventionsError("is damaged") from None
    if found.run != folder.id or found.weights_sha256 != weights_sha256:
        raise InterventionsError("speaks of other weights")
    return found


def _from_json(data: Mapping[str, Any]) -> Interventions:
    model = str(data["model"])
    items = [_one(item) for item in data["interventions"]]
    return Interventions(
        run=str(data["run"]),
        model=model,
        seed=int(data["seed"]),
        weights_sha256=str(data["weights_sha256"]),
        test_size=int(data["test_size"]),
        accuracy=_within(data["accuracy"], 0, 1),
        precision=str(data["precision"]),
        seconds=_within(data["seconds"], 0, 1e9),
        interventions=tuple(item for item in items if item.kind in KINDS[model] and item.layer in LAYERS[model]),
        loss=_optional(data.get("loss"), 0, 1e9),
    )


def _one(item: Mapping[str, Any]) -> Intervention:
    low, high = (_within(end, -1, 1) for end in item["ci95"])
    channels = item["channels"]
    return Intervention(
        kind=str(item["kind"]),
        layer=str(item["layer"]),
        accuracy=_within(item["accuracy"], 0, 1),
        delta=_within(item["delta"], -1, 1),
        ci95=(low, high),
        lost=_within(item["lost"], 0, 1),
        gained=_within(item["gained"], 0, 1),
        draws=int(item["draws"]),
        channels=None if channels is None else tuple(_channels(channels)),
        changed=_optional(item.get("changed"), 0, 1),
        loss=_optional(item.get("loss"), 0, 1e9),
    )


def _channels(values: Sequence[Any]) -> list[int]:
    found = [int(value) for value in values]
    if not all(0 <= channel < 4096 for channel in found):
        raise ValueError("no channels")
    return found


def _optional(value: Any, low: float, high: float) -> float | None:
    return None if value is None else _within(value, low, high)


def _within(value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError("not a number, or not one that can be")
    return float(value)
