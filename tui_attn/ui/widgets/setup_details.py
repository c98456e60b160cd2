"""Details of a new experiment beside the form: devices of this machine, images, speeds of past runs."""

from __future__ import annotations

from tui_attn.data import DATASETS
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.launch import estimate
from tui_attn.launch.preflight import limited
from tui_attn.system.text import duration, safe_text
from tui_attn.ui.drawing import Pieces
from tui_attn.ui.lookup import Result
from tui_attn.ui.protocols import app_of
from tui_attn.ui.widgets.form import Facts

_STYLES = {"ok": "normal", "warning": "warning", "wrong": "failed"}


class SetupDetails(Facts):
    """Shown where the terminal is wide enough."""

    def describe(self, config: ExperimentConfig | None, found: Result | None) -> None:
        """Show what was looked up for `config`; None for what isn't known, of which the last is kept."""
        if found is not None:
            rows = [_heading("devices"), *(_fact(name, free.text, free.level) for name, free in found.free)]
            if config is not None:
                rows += [_heading(""), _heading("images"), *_images(config, found)]
                rows += [_heading(""), _heading("past runs like these"), *self._past(config, found)]
            self.show(rows)
        elif not self._rows:
            self.show([_heading("looking …")])

    def _past(self, config: ExperimentConfig, found: Result) -> list[tuple[Pieces, Pieces]]:
        past = estimate.alike(config, found.devices, found.past or ())
        rows: list[tuple[Pieces, Pieces]] = []
        styles = app_of(self).drawing
        for model in config.models:
            label: Pieces = [(f"{styles.marker(model)} ", f"model:{model}"), (safe_text(model, one_line=True), "muted")]
            rows.append((label, [_speeds(past[model])] if model in past else [("none on this machine", "muted")]))
        return rows


def _speeds(paces: list[estimate.Pace]) -> tuple[str, str]:
    speeds = sorted(1 / pace.per_image for pace in paces)
    low, high = f"{speeds[0]:,.0f}", f"{speeds[-1]:,.0f}"
    between = max(pace.between for pace in paces)
    pauses = f", {duration(between)} between epochs" if between >= 1 else ""
    runs = f", {len(speeds)} run{'s' * (len(speeds) > 1)}"
    return f"{low if low == high else f'{low} to {high}'} images/s{pauses}{runs}", "normal"


def _images(config: ExperimentConfig, found: Result) -> list[tuple[Pieces, Pieces]]:
    sizes = limited(config, None if found.data is None else found.data.sizes)
    channels, side = estimate.shape_of(config.dataset)
    info = DATASETS.get(config.dataset)
    rows = []
    if sizes is not None:
        steps = -(-sizes[0] // config.batch_size)
        rows += [_fact("training", f"{sizes[0]:,} an epoch, in {steps:,} steps"), _fact("test", f"{sizes[1]:,}")]
    rows.append(_fact("each", f"{side} x {side}, {'grey' if channels == 1 else 'in colour'}"))
    if info is not None:
        rows.append(_fact("classes", f"{len(info.class_names)}: {', '.join(info.class_names)}"))
    return rows


def _heading(text: str) -> tuple[Pieces, Pieces]:
    return [], [(text, "title")]


def _fact(name: str, text: str, level: str = "ok") -> tuple[Pieces, Pieces]:
    return [(name, "muted")], [(text, _STYLES[level])]
