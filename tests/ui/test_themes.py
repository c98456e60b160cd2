"""The colours of every theme: text is read on every background, and a state has no model's colour."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from rich.color import Color, ColorSystem
from textual.theme import Theme

from tui_attn.experiment.model_info import MODELS, RGB
from tui_attn.ui import themes
from tui_attn.ui.charts import palette
from tui_attn.ui.styles import DrawingMode

LEAST_CONTRAST = 4.5
"""WCAG 2, level AA, for text."""
LEAST_DISTANCE = 0.1
"""In OKLab: what is told apart at a glance."""
STATES = ("running", "held", "failed", "done", "gone")
TEXT = ("foreground", "title", "primary", "muted", "accent", "warning", "error", *STATES)
"""Colours of text, also on the selected line."""
CASES = [
    pytest.param(theme if system == ColorSystem.TRUECOLOR else themes.in_256(theme), system, id=f"{name}-{system.name}")
    for name, theme in themes.ALL.items()
    if not theme.ansi
    for system in (ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT)
]
CURVES = ("base", "se", "self-attention")


def color(theme: Theme, name: str, system: ColorSystem) -> RGB:
    """A colour of the theme as the terminal shows it."""
    found = theme.variables.get(name) or getattr(theme, name)
    red, green, blue = Color.parse(found).downgrade(system).get_truecolor()
    return red, green, blue


def contrast(one: RGB, other: RGB) -> float:
    dark, light = sorted((palette.luminance(one), palette.luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def distance(one: RGB, other: RGB) -> float:
    return math.dist(palette._oklab(one), palette._oklab(other))


@pytest.mark.parametrize(("theme", "system"), CASES)
def test_text_is_read_on_its_background_and_on_the_selected_line(theme: Theme, system: ColorSystem) -> None:
    pairs = [(name, under) for name in TEXT for under in ("background", "selected")] + [("faint", "background")]
    found = {pair: contrast(color(theme, pair[0], system), color(theme, pair[1], system)) for pair in pairs}
    assert {pair: value for pair, value in found.items() if value < LEAST_CONTRAST} == {}


@pytest.mark.parametrize(("theme", "system"), CASES)
def test_no_state_has_the_colour_of_a_model_or_of_another_state(theme: Theme, system: ColorSystem) -> None:
    mode = DrawingMode("true" if system == ColorSystem.TRUECOLOR else "256")
    styles = {name: MODELS[name].style for name in CURVES}
    models = {name: palette.curve_color(style, mode, theme.dark) for name, style in styles.items() if style}
    if mode.colors == "256":
        models = {name: palette.of_256(found) for name, found in models.items()}
    states = {name: color(theme, name, system) for name in STATES}
    near = {(s, m): distance(states[s], models[m]) for s in states for m in models}
    assert {pair: value for pair, value in near.items() if value < LEAST_DISTANCE} == {}
    near = {(a, b): distance(states[a], states[b]) for a, b in combinations(states, 2)}
    assert {pair: value for pair, value in near.items() if value < LEAST_DISTANCE / 2} == {}


@pytest.mark.parametrize("light", [False, True])
def test_states_have_other_colours_of_the_sixteen_than_models(light: bool) -> None:
    theme = themes.on_light(themes.TERMINAL) if light else themes.TERMINAL
    styles = [MODELS[name].style for name in CURVES]
    sixteen = [style.light16 if light else style.dark16 for style in styles if style]
    models = {Color.from_rgb(*rgb).downgrade(ColorSystem.STANDARD).number for rgb in sixteen}
    states = [Color.parse(theme.variables[name].removeprefix("ansi_")).number for name in STATES]
    assert len(set(states)) == len(states)
    assert not models & set(states)


def test_256_colours_have_a_background_that_is_not_black_and_no_navy() -> None:
    shown = {
        name: color(themes.in_256(themes.DARK), name, ColorSystem.EIGHT_BIT) for name in ("background", "selected")
    }
    assert shown == {"background": (18, 18, 18), "selected": (48, 48, 48)}


@pytest.mark.skipif(shutil.which("tic") is None, reason="needs tic")
@pytest.mark.parametrize(("capability", "rgb"), [("RGB", True), ("Tc", True), ("RGB#8", True), ("am", False)])
def test_terminfo_tells_of_rgb(tmp_path: Path, capability: str, rgb: bool) -> None:
    source = tmp_path / "source"
    source.write_text(f"tui-attn-test|a terminal,\n\tcols#80, colors#256, {capability},\n")
    subprocess.run(["tic", "-x", "-o", str(tmp_path / "terminfo"), str(source)], check=True, capture_output=True)
    ask = "from tui_attn.ui.terminal import claims_rgb; print(claims_rgb())"
    around = os.environ | {"TERM": "tui-attn-test", "TERMINFO": str(tmp_path / "terminfo")}
    found = subprocess.run([sys.executable, "-c", ask], env=around, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == str(rgb)


def test_an_unknown_terminal_claims_nothing() -> None:
    ask = "from tui_attn.ui.terminal import claims_rgb; print(claims_rgb())"
    around = os.environ | {"TERM": "no-such-terminal"}
    found = subprocess.run([sys.executable, "-c", ask], env=around, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "False"
