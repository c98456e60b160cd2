"""What a trained network's accuracy becomes when its attention is replaced: the file of results, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

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
    head = asdict(found)
    items = head.pop("interventions")
    return {"format": FORMAT, "version": FORMAT_VERSION, **head, "interventions": list(items)}


def load_interventions(folder: RunDir, weights_sha256: str | None) -> Interventions:
    """The results in a run's folder, where they speak of the weights with this digest. Raises `InterventionsError`."""
    path = path_in(folder)
    data = read_json(path, folders=2)
    if data is None and not (path.exists() or path.is_symlink()):
        raise InterventionsError("is missing")
    if data is None or data.get("format") != FORMAT:
        raise InterventionsError("is damaged")
    if data.get("version") != FORMAT_VERSION:
        raise InterventionsError("was written by another version of tui-attn")
    try:
        found = _from_json(Interventions, data)
        items = [each for each in found.interventions if each.kind in KINDS[found.model]]
        found = replace(found, interventions=tuple(each for each in items if each.layer in LAYERS[found.model]))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InterventionsError("is damaged") from None
    if found.run != folder.id or found.weights_sha256 != weights_sha256:
        raise InterventionsError("speaks of other weights")
    return found


def _from_json(kind: Callable[..., _Kind], data: Mapping[str, Any]) -> _Kind:
    values = {
        each.name: data[each.name] if each.default is MISSING else data.get(each.name, each.default)
        for each in fields(cast("Any", kind))
    }
    return kind(
        **{name: None if each is None and name in _OPTIONAL else _READ[name](each) for name, each in values.items()}
    )


def _within(low: float, high: float, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError("not a number, or not one that can be")
    return float(value)


def _interval(ends: Sequence[Any]) -> Interval:
    low, high = (_within(-1, 1, end) for end in ends)
    return low, high


_Kind = TypeVar("_Kind", Interventions, Intervention)
_OPTIONAL = {"channels", "changed", "loss"}
_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("run", "model", "weights_sha256", "precision", "kind", "layer"), str),
    **dict.fromkeys(("seed", "test_size", "draws"), int),
    **dict.fromkeys(("accuracy", "lost", "gained", "changed"), partial(_within, 0, 1)),
    **dict.fromkeys(("loss", "seconds"), partial(_within, 0, 1e9)),
    "delta": partial(_within, -1, 1),
    "ci95": _interval,
    "channels": lambda values: tuple(int(_within(0, 4095, int(value))) for value in values),
    "interventions": lambda items: tuple(_from_json(Intervention, item) for item in items),
}
"""How each field is read; it raises `ValueError` or `TypeError` for what can't be."""
