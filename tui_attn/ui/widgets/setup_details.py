"""What awaits a new experiment, in full: its data, this machine's devices, and how fast past runs were."""

from __future__ import annotations

from collections.abc import Sequence

from tui_attn.data import DATASETS
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.launch import estimate
from tui_attn.system.text import duration, safe_text
from tui_attn.ui.drawing import Lines, Row, fit, rule
from tui_attn.ui.form_state import limited
from tui_attn.ui.lookup import Result
from tui_attn.ui.styles import drawing_mode

_LABEL = 18
_INKS = {"ok": "normal", "warning": "warning", "wrong": "failed"}


class Prospect(Lines):
    """Stands beside the form on a wide terminal."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._config: ExperimentConfig | None = None
        self._found: Result | None = None

    def show(self, config: ExperimentConfig | None, found: Result | None) -> None:
        """Show what was found out for this configuration; None for what isn't known."""
        self._config, self._found = config, found or self._found
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """A section for the data, the devices, the past."""
        found, config = self._found, self._config
        if found is None:
            return [Row(()), Row(((" looking …", "muted"),))]
        rows = [
            Row(()),
            rule("devices", width),
            *(_fact(name, free.text, width, free.level) for name, free in found.free),
        ]
        if config is not None:
            rows += [Row(()), rule("images", width), *_images(config, found, width)]
            rows += [Row(()), rule("past runs like these", width), *self._past(config, found, width)]
        return rows

    def _past(self, config: ExperimentConfig, found: Result, width: int) -> Sequence[Row]:
        past = estimate.alike(config, found.devices, found.past or ())
        rows = []
        for model in config.models:
            name = safe_text(model, one_line=True)
            if model not in past:
                rows.append(_fact(name, "none on this machine", width, ink="muted", sign=self._sign(model)))
                continue
            speeds = sorted(1 / pace.per_image for pace in past[model])
            low, high = f"{speeds[0]:,.0f}", f"{speeds[-1]:,.0f}"
            text = f"{low} images/s" if low == high else f"{low} to {high} images/s"
            between = max(pace.between for pace in past[model])
            pauses = f", {duration(between)} between epochs" if between >= 1 else ""
            count = len(speeds)
            rows.append(_fact(name, f"{text}{pauses}, {count} run{'s' * (count > 1)}", width, sign=self._sign(model)))
        return rows

    def _sign(self, model: str) -> tuple[str, str]:
        from tui_attn.ui.charts.palette import ink  # not needed for the first frame

        found = ink(model)
        return found.ascii_marker if drawing_mode(self.app).ascii else found.marker, f"model:{model}"


def _images(config: ExperimentConfig, found: Result, width: int) -> list[Row]:
    sizes = limited(config, None if found.data is None else found.data.sizes)
    channels, side = estimate.shape_of(config.dataset)
    info = DATASETS.get(config.dataset)
    rows = []
    if sizes is not None:
        steps = -(-sizes[0] // config.batch_size)
        rows += [
            _fact("training", f"{sizes[0]:,} an epoch, in {steps:,} steps", width),
            _fact("test", f"{sizes[1]:,}", width),
        ]
    kind = "grey" if channels == 1 else "in colour"
    rows.append(_fact("each", f"{side} x {side}, {kind}", width))
    if info is not None:
        rows.append(_fact("classes", f"{len(info.class_names)}: {', '.join(info.class_names)}", width))
    return rows


def _fact(
    name: str, text: str, width: int, level: str = "ok", *, ink: str = "", sign: tuple[str, str] = ("", "muted")
) -> Row:
    label = fit(f" {sign[0]} {name}" if sign[0] else f" {name}", _LABEL)
    pieces = ((label, "muted"),)
    if sign[0]:
        pieces = ((" ", "muted"), sign, (label[1 + len(sign[0]) :], "muted"))  # type: ignore[assignment]
    return Row((*pieces, (fit(text, max(width - _LABEL, 1)).rstrip(), ink or _INKS[level])))
