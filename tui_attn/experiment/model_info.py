"""The built-in models as all packages but `train` see them: names, kinds of attention, colours, the lab's figures.

This module doesn't import torch. `tui_attn.models` has the networks, under the same names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

Attention = Literal["channel gates", "pixel gates", "channel matrix", "none"]
"""A gate for each channel of a layer, or for each of its pixels; a matrix of weights between channels; none."""

RGB = tuple[int, int, int]

# The 16 colours as Rich matches them: exactly these come out as the ANSI colour meant.
ANSI_BLUE, ANSI_MAGENTA, ANSI_CYAN, ANSI_BROWN = (0, 0, 170), (170, 0, 170), (0, 170, 170), (170, 85, 0)
ANSI_GREEN, ANSI_RED, ANSI_GREY = (0, 170, 0), (170, 0, 0), (170, 170, 170)
ANSI_BRIGHT_BLUE, ANSI_BRIGHT_MAGENTA, ANSI_BRIGHT_CYAN = (85, 85, 255), (255, 85, 255), (85, 255, 255)
ANSI_YELLOW, ANSI_BRIGHT_GREEN, ANSI_BRIGHT_RED = (255, 255, 85), (85, 255, 85), (255, 85, 85)
ANSI_DARK_GREY = (85, 85, 85)


class CurveStyle(NamedTuple):
    """Colours of a model's curves on dark and light backgrounds, and markers that distinguish them without colour."""

    dark: RGB
    light: RGB
    dark16: RGB
    """In terminals of 16 colours."""
    light16: RGB
    faint16: tuple[RGB, RGB]
    """For lines in the background, on dark and on light."""
    marker: str
    ascii_marker: str
    plot_marker: str
    """matplotlib's name of the marker."""


class ModelInfo(NamedTuple):
    """A built-in model."""

    name: str
    """On the command line and in run ids."""
    class_name: str
    """In `tui_attn.models`."""
    description: str
    attends_to: str
    """What its attention weights, and from what they are computed."""
    parameters: int
    """On Fashion-MNIST."""
    style: CurveStyle | None = None
    """None: the next free one of `further_style` in an experiment."""
    attention: Attention = "none"
    gate_range: tuple[float, float] = (0.0, 1.0)
    """Lower and upper bound of its gates."""
    half_open: bool = False
    """Whether its gates are near 0.5 in both layers at the start."""
    paper: str | None = None
    control: bool = False
    """Whether it only serves to explain another model: it has an interval against base, but no verdict."""
    blind_control: str | None = None
    """The control that differs only in that its attention doesn't depend on the image; None without one."""
    controls: tuple[str, ...] = ()
    """The models that `--controls` adds to this one."""
    lab_accuracy: float | None = None
    """The accuracy on CIFAR-10 that the lab expects after 15 epochs, a fraction; None for models not in the lab."""
    twin_of: str | None = None
    """The model that this one is, trained on random labels; see `with_twins`."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers with attention, as the network has them: gates follow each of two layers."""
        if self.attention == "none":
            return ()
        network = self.twin_of or self.name
        return ("attention",) if self.attention == "channel matrix" else (f"{network}1", f"{network}2")


_FAINT_MAGENTA = (ANSI_MAGENTA, ANSI_BRIGHT_MAGENTA)
_SE = ModelInfo(
    name="se",
    class_name="CNN_SE",
    description="base with Squeeze-and-Excitation after each layer",
    attends_to="channels of both layers: a gate for each, computed from the means of all",
    parameters=53_258,
    style=CurveStyle((223, 187, 0), (168, 85, 0), ANSI_YELLOW, ANSI_BROWN, (ANSI_BROWN, ANSI_BROWN), "▲", "+", "^"),
    attention="channel gates",
    half_open=True,
    blind_control="static",
    controls=("half", "static", "se2x", "base-wide-se"),
    paper="Hu et al. 2018, arXiv:1709.01507",
    lab_accuracy=0.71,
)
_SELF_ATTENTION = ModelInfo(
    name="self-attention",
    class_name="CNN_SelfAttention",
    description="base with self-attention between its last feature maps",
    attends_to="channels of the second layer: a matrix of weights between them, for each of 8 heads",
    parameters=128_955,
    style=CurveStyle((205, 86, 139), (94, 31, 90), ANSI_BRIGHT_MAGENTA, ANSI_MAGENTA, _FAINT_MAGENTA, "■", "x", "s"),
    attention="channel matrix",
    blind_control="self-attention-static",
    controls=("self-attention-lab", "self-attention-static", "base-wide"),
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    lab_accuracy=0.67,
)


def _variant(info: ModelInfo, **changes: Any) -> ModelInfo:
    """A control that is `info` but for `changes`."""
    usual: dict[str, Any] = {"style": None, "blind_control": None, "controls": (), "lab_accuracy": None}
    return info._replace(control=True, **usual | changes)


_ALL = (
    ModelInfo(
        name="base",
        class_name="CNN_Base",
        description="two convolutions and a linear classifier, without attention",
        attends_to="nothing",
        parameters=50_186,
        style=CurveStyle(
            (148, 220, 255), (29, 110, 201), ANSI_BRIGHT_CYAN, ANSI_BLUE, (ANSI_CYAN, ANSI_BRIGHT_BLUE), "●", "o", "o"
        ),
        lab_accuracy=0.70,
    ),
    _SE,
    _SELF_ATTENTION,
    ModelInfo(
        name="eca",
        class_name="CNN_ECA",
        description="base with Efficient Channel Attention (k = 3) after each layer",
        attends_to="channels of both layers: a gate for each, computed from its own mean and its two neighbours'",
        parameters=50_192,
        style=CurveStyle((49, 189, 232), (56, 6, 243), ANSI_CYAN, ANSI_RED, (ANSI_CYAN, ANSI_RED), "◢", "#", ">"),
        attention="channel gates",
        half_open=True,
        paper="Wang et al. 2020, arXiv:1910.03151",
    ),
    ModelInfo(
        name="half",
        class_name="CNN_Half",
        description="control: base with its maps times 0.5 after each layer",
        attends_to="nothing: the scale of SE's first gates, fixed",
        parameters=50_186,
        control=True,
    ),
    ModelInfo(
        name="static",
        class_name="CNN_Static",
        description="control: base with one learned gate a channel after each layer",
        attends_to="channels of both layers: a learned gate for each, the same for every image",
        parameters=50_282,
        attention="channel gates",
        control=True,
    ),
    _variant(
        _SE,
        name="se2x",
        class_name="CNN_SE2x",
        description="control: se with gates twice as large, near 1 at the start",
        gate_range=(0.0, 2.0),
        half_open=False,
    ),
    _variant(
        _SELF_ATTENTION,
        name="self-attention-lab",
        class_name="CNN_SelfAttentionLab",
        description="control: the lab read literally, self-attention without a residual connection",
    ),
    _variant(
        _SELF_ATTENTION,
        name="self-attention-static",
        class_name="CNN_SelfAttentionStatic",
        description="control: self-attention with learned weights in the place of computed ones",
        attends_to="channels of the second layer: a learned matrix for each of 8 heads, the same for every image",
        parameters=128_699,
        paper="Tay et al. 2021, arXiv:2005.00743",
    ),
    ModelInfo(
        name="base-wide",
        class_name="CNN_BaseWide",
        description="control: base widened to the parameters of self-attention",
        attends_to="nothing",
        parameters=128_865,
        control=True,
    ),
    ModelInfo(
        name="base-wide-se",
        class_name="CNN_BaseWideSE",
        description="control: base widened to the parameters of se",
        attends_to="nothing",
        parameters=53_302,
        control=True,
    ),
    ModelInfo(
        name="cbam",
        class_name="CNN_CBAM",
        description="base with a Convolutional Block Attention Module (ratio 16, 7 x 7) after each layer",
        attends_to="channels of both layers, from the means and maxima of all; then pixels, the same in all channels",
        parameters=51_128,
        attention="channel gates",
        half_open=True,
        paper="Woo et al. 2018, arXiv:1807.06521",
    ),
    ModelInfo(
        name="gct",
        class_name="CNN_GCT",
        description="base with a Gated Channel Transformation after each layer",
        attends_to="channels of both layers: a gate for each, from its norm beside those of all",
        parameters=50_474,
        attention="channel gates",
        gate_range=(0.0, 2.0),
        paper="Yang et al. 2020, arXiv:1909.11519",
    ),
    ModelInfo(
        name="simam",
        class_name="CNN_SimAM",
        description="base with SimAM (lambda = 1e-4) after each layer",
        attends_to="pixels of every map of both layers, by how far each stands out; no parameters",
        parameters=50_186,
        attention="pixel gates",
        paper="Yang et al. 2021, proceedings.mlr.press/v139/yang21o.html",
    ),
    ModelInfo(
        name="coordinate",
        class_name="CNN_Coordinate",
        description="base with coordinate attention (8 hidden channels) after each layer",
        attends_to="rows and columns of every map of both layers: a gate for each, from the means of all",
        parameters=52_730,
        attention="pixel gates",
        paper="Hou et al. 2021, arXiv:2103.02907",
    ),
    ModelInfo(
        name="xca",
        class_name="CNN_XCA",
        description="base with cross-covariance attention between its last feature maps",
        attends_to="channels of the second layer: a matrix of weights between 8 channels, for each of 8 heads",
        parameters=66_642,
        attention="channel matrix",
        paper="El-Nouby et al. 2021, arXiv:2106.09681",
    ),
    ModelInfo(
        name="srm",
        class_name="CNN_SRM",
        description="base with a Style-based Recalibration Module after each layer",
        attends_to="channels of both layers: a gate for each, from its own mean and standard deviation",
        parameters=50_570,
        attention="channel gates",
        half_open=True,
        paper="Lee et al. 2019, arXiv:1903.10829",
    ),
)

MODELS: Mapping[str, ModelInfo] = MappingProxyType({info.name: info for info in _ALL})
"""The built-in models by name, in the order in which they are shown."""

TWINS: Mapping[str, ModelInfo] = MappingProxyType(
    {
        twin: _variant(info, name=twin, description=f"twin: {info.name} trained on random labels", twin_of=info.name)
        for info in _ALL
        if info.attention != "none" and not info.control and (twin := f"{info.name}-labels")
    }
)
"""The random-label twins by name: what a heatmap shows beyond its twin's depends on the labels being right."""

DEFAULT_MODELS = tuple(info.name for info in _ALL if info.lab_accuracy is not None)
"""The models that an experiment compares by default: those of the lab."""

# Each as far as can be from all before it, in the worst case of normal vision and of simulated colour blindness;
# what 16 colours can't tell apart, the markers do.
FURTHER_STYLES = (
    CurveStyle((113, 143, 255), (35, 46, 160), ANSI_BRIGHT_GREEN, ANSI_GREEN, (ANSI_GREEN, ANSI_GREEN), "◆", "*", "D"),
    CurveStyle((242, 245, 166), (143, 6, 0), ANSI_BRIGHT_RED, ANSI_RED, (ANSI_RED, ANSI_RED), "▼", "%", "v"),
    CurveStyle((149, 150, 0), (115, 88, 121), ANSI_BRIGHT_BLUE, ANSI_CYAN, (ANSI_BLUE, ANSI_CYAN), "★", "&", "P"),
    CurveStyle((160, 190, 154), (85, 70, 70), ANSI_GREY, ANSI_DARK_GREY, (ANSI_DARK_GREY, ANSI_GREY), "◧", "@", "*"),
    CurveStyle(
        (193, 252, 247), (109, 120, 110), ANSI_GREEN, ANSI_BRIGHT_RED, (ANSI_GREEN, ANSI_BRIGHT_RED), "◍", "=", "X"
    ),
)
"""Styles for models that have none, in the order in which an experiment names them."""


def further_style(number: int) -> CurveStyle:
    """The style of the model at index `number` among those without one; from the sixth on, colours come again.

    Models of one colour have other markers, up to 25 models.
    """
    again, at = divmod(number, len(FURTHER_STYLES))
    other = FURTHER_STYLES[(at + again) % len(FURTHER_STYLES)]
    return FURTHER_STYLES[at]._replace(
        marker=other.marker, ascii_marker=other.ascii_marker, plot_marker=other.plot_marker
    )


def info_of(model: str) -> ModelInfo | None:
    """A built-in model or the twin of one; None for a custom model."""
    return MODELS.get(model) or TWINS.get(model)


def attention_of(model: str) -> Attention:
    """The kind of attention of a built-in model; "none" for any other name."""
    info = info_of(model)
    return info.attention if info else "none"


def is_control(model: str) -> bool:
    """Whether `model` is a control or a twin."""
    info = info_of(model)
    return info is not None and info.control


def twin_of(model: str) -> str | None:
    """The model whose random-label twin `model` is; None for any other."""
    return TWINS[model].twin_of if model in TWINS else None


def twin_name(model: str) -> str | None:
    """The random-label twin of `model`; None where it has none."""
    return next((name for name, info in TWINS.items() if info.twin_of == model), None)


def with_controls(models: Iterable[str]) -> tuple[str, ...]:
    """`models`, and after them the controls that they have."""
    found = dict.fromkeys(models)
    for model in [name for name in found if name in MODELS]:
        found |= dict.fromkeys(control for control in MODELS[model].controls if control in MODELS)
    return tuple(found)


def with_twins(models: Iterable[str]) -> tuple[str, ...]:
    """`models`, and after them the random-label twins of those with attention that are no controls."""
    found = tuple(models)
    return tuple(dict.fromkeys((*found, *(name for name, info in TWINS.items() if info.twin_of in found))))


def attention_models() -> list[str]:
    """The built-in models with attention that a probe shows."""
    return [info.name for info in _ALL if info.attention != "none"]


def has_style(model: str) -> bool:
    """Whether `model` is built in and has a style of its own."""
    return model in MODELS and MODELS[model].style is not None


def gate_range_of(layer: str) -> tuple[float, float]:
    """The bounds of the gates of a layer of the built-in models; (0, 1) for any other layer."""
    return next((info.gate_range for info in _ALL if layer in info.layers), (0.0, 1.0))


def has_gates(model: str) -> bool:
    """Whether `model` is built in and has gates."""
    return attention_of(model) in {"channel gates", "pixel gates"}


def position(model: str) -> int:
    """The place of a model in lists: built-in ones in their order, custom ones after them."""
    return list(MODELS).index(model) if model in MODELS else len(MODELS)


def replaced_words(model: str) -> str:
    """What interventions on the built-in `model` replace: "gates" or "attention weights"."""
    return "attention weights" if attention_of(model) == "channel matrix" else "gates"


def hex_color(color: RGB) -> str:
    """`#1d6ec9`."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def joined(names: Iterable[str], word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last
