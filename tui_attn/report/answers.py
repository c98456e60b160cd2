"""What a report begins with: the facts, the answer and what it is about, and a card for each model."""

from __future__ import annotations

import math
import re
import time
from typing import Any

from tui_attn.compare.effects import ENOUGH, interval_words
from tui_attn.compare.interventions import MEAN
from tui_attn.compare.pairs import BASE
from tui_attn.compare.results import Results
from tui_attn.compare.summary import ModelSummary, Summary
from tui_attn.compare.wording import (
    UNKNOWN,
    control_sentence,
    counted,
    interval_points,
    open_sentence,
    points,
    points_words,
    seeds_range,
    seeds_sentence,
    sentences,
)
from tui_attn.experiment.model_info import MODELS, TWINS, info_of, joined, replaced_words
from tui_attn.report.figures import is_name, variable
from tui_attn.system.text import safe_text

_NAMES = (*(layer for info in MODELS.values() for layer in info.layers), *MODELS, *TWINS)
_NAME = re.compile(rf"({'|'.join(map(re.escape, _NAMES))})\b|[\w.-]+: ")
_BADGES = {"better": "good", "worse": "bad"}
_BLIND = {info.blind_control for info in MODELS.values()}


def experiment_facts(results: Results) -> list[str]:
    """What was trained on what, how far it is, and when."""
    config, summary = results.manifest.config, results.summary
    ends = [run.ended_at for run in results.begun.values() if run.ended_at]
    begin, end = _day(results.manifest.created), _day(max(ends, default=math.nan))
    over = summary.state not in {"running", "paused"} and ends and end != begin
    day = f"{begin} to {end}" if over else begin
    sizes = _known(results, "train_size")
    images = [f"{sizes.pop():,} training images"] if len(sizes) == 1 else []
    what = [safe_text(config.dataset, one_line=True), *images, ", ".join(summary.names), config.length]
    return [*what, counted(len(summary.seeds), "seed"), summary.state, day]


def _day(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "date unknown"


def conclusion(results: Results) -> str:
    """What the comparisons with blind controls say of looking at the image; empty without one."""
    said = []
    for entry in results.summary.models:
        model, versus = entry.model, entry.versus_control
        if versus is None or not versus.verdict:
            continue
        if versus.verdict == "no difference above margin":
            said.append(f"looking at the image changes {model}'s accuracy by less than {points_words(versus.margin)}")
        elif model in results.checks:
            hardly = f"{versus.against}, its control blind to the image, hardly moved from its start"
            said.append(f"it is open whether looking at the image helps {model}, because {hardly}")
        elif versus.verdict == "undecided":
            said.append(f"it is undecided whether looking at the image helps {model}")
        else:
            said.append(f"{model} is {versus.verdict} than {versus.against}, its control blind to the image")
    return f"{sentence('; '.join(said))}" if said else ""


def scope(results: Results) -> list[str]:
    """Paragraphs: the intervals of the headline, those against blind controls, and what all of it is about."""
    summary, config = results.summary, results.manifest.config
    versus = {entry.model: entry.versus_base for entry in summary.models}
    shown = [
        f"{model} {points(found.delta)} points ({interval_points(found.ci95)})"
        for model, found in versus.items()
        if found and found.decides and found.ci95
    ]
    adjusted = f", adjusted for {summary.comparisons} comparisons" if summary.comparisons > 1 else ""
    what = f"Mean difference from {BASE} over {counted(len(summary.seeds), 'seed')}, with 95 % intervals{adjusted}"
    intervals = f"{what}: {joined(shown)}." if shown else ""
    steps = {run.step for run in results.begun.values() if run.state == "finished"}
    images = "" if len(sizes := _known(results, "train_size")) != 1 else f" on {sizes.pop():,} images"
    length = f", {steps.pop():,} steps" if len(steps) == 1 else ""
    setting = f"trained{images} for {counted(config.epochs, 'epoch')}{length}, batch size {config.batch_size}"
    dataset = safe_text(config.dataset, one_line=True)
    blind = [" ".join(map(sentence, _control(results, entry)[:2])) for entry in summary.models]
    if any(found and found.look and found.look.number > 1 for found in versus.values()):
        intervals += " Each interval is the intersection of those at all looks, so the mean need not lie in its middle."
    held = f"This holds for these models on {dataset}, {setting}, learning rate {config.lr:g}."
    return [text for text in (intervals, *blind, held) if text]


def _control(results: Results, entry: ModelSummary) -> list[str]:
    """The verdict against the blind control, what speaks against reading more into it, and the interventions."""
    said = control_sentence(results.summary, entry.model)
    if said is None:
        return []
    check, found = results.checks.get(entry.model), next((e for e in results.effects if e.model == entry.model), None)
    own = found and found.get(MEAN)
    beside = []
    if found and own:
        names = joined(run.run for run in found.runs) if len(found.runs) < ENOUGH else f"{len(found.runs)} networks"
        what = f"the mean {replaced_words(entry.model)} of all images in place of each image's own"
        size = f"{points(own.delta)} points ({interval_words(found, own)})"
        beside = [f"in the trained {names}, {what} change the accuracy by {size}"]
    return [said, *([] if check is None else [check]), *beside]


def _known(results: Results, key: str) -> set[int]:
    """What the runs say of themselves under `key`, where it is a number."""
    found = {run.about.get(key) for run in results.begun.values()}
    return {value for value in found if isinstance(value, int)}


def card(results: Results, entry: ModelSummary) -> dict[str, Any]:
    """What the page's card on a model shows."""
    versus = entry.versus_base
    verdict = versus.verdict if versus else None
    first, *rest = sentences(results.summary, entry.model)
    control = _control(results, entry)
    counts = (open_sentence(results.summary, entry.model), seeds_sentence(results.summary, entry.model))
    rest = [*control, *_unattributed(entry), *(text for text in rest if text not in {*control, *counts})]
    return {
        "model": entry.model,
        "ink": variable(entry.model),
        "delta": f"{points(versus.delta)} points" if versus else UNKNOWN,
        "badge": verdict or ("not compared" if not versus else "no look yet" if versus.decides else "no verdict"),
        "kind": _BADGES.get(verdict or "", "open" if versus and versus.decides else "control"),
        "lead": sentence(first.removeprefix(f"{entry.model}: ")),
        "more": [sentence(text) for text in rest],
    }


def _unattributed(entry: ModelSummary) -> list[str]:
    """That a gain needn't come from looking at the image, where no blind control of the model was trained."""
    info, versus = info_of(entry.model), entry.versus_base
    looks = info is not None and info.attention != "none" and entry.model not in _BLIND
    if not looks or versus is None or versus.delta <= 0 or entry.versus_control is not None:
        return []
    return [
        f"no control of {entry.model} that is blind to the image was trained, so {points(versus.delta)} points can't be"
        " attributed to looking at the image"
    ]


def seeds_rows(summary: Summary) -> list[list[str]]:
    """For each undecided model, how many seeds in all show some true differences with 80 % power."""
    rows = [["model", "true difference", "seeds in this design", "with a number fixed beforehand"]]
    for entry in summary.models:
        versus = entry.versus_base
        if versus is None or versus.verdict != "undecided" or versus.spread is None:
            continue
        targets = [("none: shown to be within the margin", versus.margin, True)]
        targets += [(points_words(size), size, False) for size in sorted({versus.margin, 0.01}) if size > 0]
        rows += [
            [entry.model, name, *(seeds_range(versus, size, equal=equal, fixed=fixed) for fixed in (False, True))]
            for name, size, equal in targets
            if size > 0
        ]
    return rows


def seeds_sentences(results: Results) -> list[str]:
    """What would decide the undecided verdicts, and the commands that train more seeds."""
    summary, found = results.summary, []
    for entry in summary.models:
        found += [open_sentence(summary, entry.model), seeds_sentence(summary, entry.model, folder=results.folder)]
    return [sentence(text) for text in found if text is not None]


def model_table(results: Results) -> list[list[str]]:
    """What each model is, in a line, and its paper."""
    rows = [["model", "what it is", "what its attention looks at", "paper"]]
    for entry in results.summary.models:
        info = info_of(entry.model)
        told = [UNKNOWN] * 3 if info is None else [info.description, info.attends_to, info.paper or UNKNOWN]
        rows.append([entry.model, *(told if info else [f"a custom model, {entry.class_name}", *told[1:]])])
    return rows


def sentence(text: str) -> str:
    """`text` as a sentence; a name of a model or layer at its beginning keeps its first letter."""
    named = _NAME.match(text) or is_name(text.partition(" ")[0])
    head = text if named else text[:1].upper() + text[1:]
    return head + ("" if text.endswith(".") else ".")
