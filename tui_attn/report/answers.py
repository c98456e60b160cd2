"""What a report begins with: the facts, the answer and what it is about, and a card for each model."""

from __future__ import annotations

import re
import time
from typing import Any

from tui_attn.compare.effects import Effects
from tui_attn.compare.interventions import MEAN
from tui_attn.compare.pairs import BASE
from tui_attn.compare.results import Results
from tui_attn.compare.summary import ModelSummary
from tui_attn.compare.wording import (
    UNKNOWN,
    control_sentence,
    counted,
    fixed_seeds_sentence,
    interval_points,
    points,
    sentences,
)
from tui_attn.experiment.model_info import MODELS, TWINS, joined
from tui_attn.report.figures import is_name, variable
from tui_attn.system.text import safe_text

_NAMES = (*(layer for info in MODELS.values() for layer in info.layers), *MODELS, *TWINS)
_NAME = re.compile(rf"({'|'.join(map(re.escape, _NAMES))})\b|[\w.-]+: ")
_BADGES = {"better": "good", "worse": "bad"}


def facts(results: Results) -> list[str]:
    config, summary = results.manifest.config, results.summary
    try:
        day = time.strftime("%Y-%m-%d", time.gmtime(results.manifest.created))
    except (OverflowError, ValueError, OSError):
        day = "date unknown"
    seeds = counted(len(summary.seeds), "seed")
    sizes = _known(results, "train_size")
    images = [f"{sizes.pop():,} training images"] if len(sizes) == 1 else []
    return [
        safe_text(config.dataset, one_line=True),
        *images,
        ", ".join(summary.names),
        config.length,
        seeds,
        summary.state,
        day,
    ]


def scope(results: Results) -> str:
    """The intervals of the headline, and what all of it is about."""
    summary, config = results.summary, results.manifest.config
    versus = {entry.model: entry.versus_base for entry in summary.models}
    shown = [
        f"{model} {points(found.delta)} points ({interval_points(found.ci95)})"
        for model, found in versus.items()
        if found and found.decides and found.ci95
    ]
    adjusted = f", adjusted for {summary.comparisons} comparisons" if summary.comparisons > 1 else ""
    over = counted(len(summary.seeds), "seed")
    intervals = (
        f"Mean difference from {BASE} over {over}, with 95 % intervals{adjusted}: {joined(shown)}. " if shown else ""
    )
    steps = {run.step for run in results.begun.values() if run.state == "finished"}
    images = "" if len(sizes := _known(results, "train_size")) != 1 else f" on {sizes.pop():,} images"
    length = f", {steps.pop():,} steps" if len(steps) == 1 else ""
    setting = f"trained{images} for {counted(config.epochs, 'epoch')}{length}, batch size {config.batch_size}"
    dataset = safe_text(config.dataset, one_line=True)
    blind = [control_sentence(summary, entry.model) for entry in summary.models]
    intervals += "".join(f"{sentence(text)} " for text in blind if text is not None)
    if any(found and found.look and found.look.number > 1 for found in versus.values()):
        intervals += "Each interval is what those of all looks have in common, so the mean need not lie in its middle. "
    return f"{intervals}This holds for these models on {dataset}, {setting}, learning rate {config.lr:g}."


def _known(results: Results, key: str) -> set[int]:
    """What the runs say of themselves under `key`, where it is a number."""
    found = {run.about.get(key) for run in results.begun.values()}
    return {value for value in found if isinstance(value, int)}


def card(results: Results, entry: ModelSummary) -> dict[str, Any]:
    versus = entry.versus_base
    verdict = versus.verdict if versus else None
    first, *rest = sentences(results.summary, entry.model, folder=results.folder)
    fixed = fixed_seeds_sentence(results.summary, entry.model)
    rest += [] if fixed is None else [fixed]
    return {
        "model": entry.model,
        "ink": variable(entry.model),
        "delta": f"{points(versus.delta)} points" if versus else UNKNOWN,
        "badge": verdict
        or (
            "not compared"
            if not versus
            else "no look yet"
            if versus.decides
            else "no verdict"
            if results.summary.experiments
            else "described"
        ),
        "kind": _BADGES.get(verdict or "", "open"),
        "lead": sentence(first.removeprefix(f"{entry.model}: ")),
        "more": [sentence(sentence) for sentence in rest],
    }


def sentence(text: str) -> str:
    """`text` as a sentence; a name of a model or layer at its beginning keeps its first letter."""
    named = _NAME.match(text) or is_name(text.partition(" ")[0])
    head = text if named else text[:1].upper() + text[1:]
    return head + ("" if text.endswith(".") else ".")
