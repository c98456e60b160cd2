"""The report as one HTML page that needs nothing else: no script, no network, no other file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from math import fsum
from statistics import median
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tui_attn import __version__
from tui_attn.compare import effects, wording
from tui_attn.compare.cautions import unlike_times
from tui_attn.compare.effects import loss_text
from tui_attn.compare.headline import headline, likely_cause
from tui_attn.compare.heatmap_words import heatmap_sentences, multiple
from tui_attn.compare.heatmaps import Pattern, Probes
from tui_attn.compare.interventions import LAYERS
from tui_attn.compare.pairs import BASE
from tui_attn.compare.results import ModelHeatmaps, Results, step_seconds
from tui_attn.compare.text_tables import footnotes, millions, model_rows, run_rows, time_cells
from tui_attn.compare.wording import UNKNOWN, interval_percent, points_words, two_digits
from tui_attn.experiment.model_info import hex_color, is_control, joined, twin_of
from tui_attn.report import answers
from tui_attn.report.answers import sentence
from tui_attn.report.figures import STYLES, plain
from tui_attn.system.text import percent, safe_text

if TYPE_CHECKING:
    from tui_attn.report.comparison_figures import Drawn

MOST_FACTS = 30
"""Lines of the table of heatmaps."""

_MINUS = re.compile(r"(?<![\w.-])-(?=\d)")


def page(results: Results, drawn: Drawn, names: Sequence[str]) -> str:
    """The whole page; `names` are the files beside it."""
    summary, runs = results.summary, results.summary.runs
    digests = [[run.run, run.weights_sha256] for run in runs if run.weights_sha256]
    return render(
        "page.html.j2",
        results=results,
        drawn=drawn,
        names=names,
        headline=headline(summary),
        further=" ".join(filter(None, [likely_cause(summary), answers.conclusion(results)])),
        unlike_times=unlike_times(summary),
        looks=_looks(results),
        cards=[answers.card(results, each) for each in summary.models if BASE in results.runs and each.model != BASE],
        model_rows=_model_rows(results),
        footnotes=footnotes(summary),
        calibration_rows=_calibration_rows(results),
        attention=[_heatmaps(heatmaps) for heatmaps in results.heatmaps],
        run_rows=run_rows(runs, summary.epochs),
        digests=[["run", "SHA-256 of the weights"], *digests],
        about=next((run.about for run in results.begun.values() if run.about), {}),
        compared=[model for model in summary.names if model != BASE and not is_control(model)],
        controls=[model for model in summary.names if is_control(model)],
    )


def render(template: str, **values: Any) -> str:
    """A page from one of the report's templates, with its style sheet and the version of this program."""
    pages = environment()
    style = Markup(pages.get_template("style.css.j2").render(styles=STYLES, color=hex_color))  # noqa: S704  our own file
    return pages.get_template(template).render(style=style, version=__version__, **values)


def environment() -> Environment:
    """The report's templates; every value in them is typeset and escaped."""
    spaces: Any = {"trim_blocks": True, "lstrip_blocks": True}
    loader = PackageLoader("tui_attn.report")
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, finalize=typeset, **spaces)
    found.filters |= {"points_words": wording.points_words, "one_line": partial(safe_text, one_line=True)}
    found.globals |= {"answers": answers, "effects": effects, "wording": wording, "percent": percent, "LAYERS": LAYERS}
    return found


def typeset(value: object) -> object:
    """A text with nothing that HTML refuses, minus signs before numbers, and no line break before a per cent sign."""
    if value is None or isinstance(value, Markup):
        return "" if value is None else value
    return _MINUS.sub("−", plain(value)).replace(" %", "\N{NO-BREAK SPACE}%")


def _looks(results: Results) -> str:
    """The plan in words."""
    plan = results.manifest.plan
    if plan is None:
        return ""
    looks = "no looks, so that every seed is one"
    if plan.looks:
        shares = [90 * (look - before) / plan.looks[-1] for before, look in pairwise((0, *plan.looks))]
        parts = joined(f"{share:.0f} %" for share in shares)
        looks = f"looks at {joined(map(str, plan.looks))} seeds with {parts} of the error rate"
    return f"{looks}, and a margin of {points_words(plan.margin)}"


def _model_rows(results: Results) -> list[list[str]]:
    shared = "peak memory of their worker"  # which trains the models in turn: it says nothing of one
    rows, accuracy = [row for row in model_rows(results.summary) if row[0] != shared], results.summary.common_accuracy
    if accuracy is not None:
        cells = time_cells(results.summary, results.begun, accuracy)
        rows.append([f"training time to {100 * accuracy:g} %", *cells])
    return rows


def _calibration_rows(results: Results) -> list[list[str]]:
    rows = []
    by_model = {found.model: found.calibration for found in results.classes}
    for entry in results.summary.models:
        found, steps = by_model.get(entry.model), step_seconds(results, entry)
        known = (found.nll, found.ece, found.ece_interval, found.floor) if found else (None, None, None, None)
        nll, error, interval, floor = known
        row = {
            "model": entry.model,
            "test loss (NLL)": loss_text(nll),
            "calibration error, %": percent(error),
            "95 % interval": interval_percent(interval),
            "of a calibrated network, %": percent(floor),
            "parameters": UNKNOWN if entry.parameters is None else f"{entry.parameters:,}",
            "MACs": millions(entry.macs),
            "MACs as run": millions(entry.macs_as_run),
            "training step, ms": f"{1000 * fsum(steps) / len(steps):.3g}" if steps else UNKNOWN,
        }
        rows.append(row)
    names = [name for name in (rows[0] if rows else ()) if any(row[name] != UNKNOWN for row in rows)]
    return [names, *([row[name] for name in names] for row in rows)]


def _heatmaps(heatmaps: ModelHeatmaps) -> dict[str, Any]:
    run, probes = heatmaps.shown
    more = f" (one of {len(heatmaps.runs)}; the others below)" if len(heatmaps.runs) > 1 else ""
    twin = ", trained on random labels" if twin_of(run.model) else ""
    described = [[sentence(line) for line in heatmap_sentences(facts)] for facts in probes.facts]
    rows = _facts_rows(heatmaps) if len(heatmaps.runs) > 1 else []
    left_out = len(rows) - 1 - MOST_FACTS
    return {
        "model": heatmaps.model,
        "shown": f"Shown is {run.id}{twin}{more}{_probed(probes)}.",
        "sentences": [(lead, " ".join(rest)) for lead, *rest in described],
        "rows": rows[: MOST_FACTS + 1],
        "more": f"and {left_out} more in tables/heatmaps.csv" if left_out > 0 else None,
    }


def _probed(probes: Probes) -> str:
    """On how many images."""
    images = probes.trained.get("classes/images")
    return "" if images is None else f", on {float(images.sum()):,.0f} test images, stratified by class"


def _facts_rows(heatmaps: ModelHeatmaps) -> list[list[str]]:
    pairs = [(run.id, facts) for run, probes in heatmaps.runs for facts in probes.facts]
    if not any(facts.classes.strength or facts.classes.untrained or facts.levels.untrained for _, facts in pairs):
        rows = [[run, facts.layer, two_digits(facts.levels.strength)] for run, facts in pairs]
        return [["run", "layer", "differences between channels, SD"], *rows]
    grew = "learned" if any(facts.levels.twin is not None for _, facts in pairs) else "grew in training"
    rows = [["run", "layer", grew, "levels ×", "classes ×", "between classes", "rank", "follows start"]]
    for run, facts in pairs:
        changes = {"levels": facts.levels.change, "classes": facts.classes.change}
        stronger = [name for name, change in changes.items() if change in {"stronger", "new"}]
        learned = "yes" if len(stronger) == 2 else f"{stronger[0]} only" if stronger else "no"
        cells = [UNKNOWN if None in changes.values() else learned, _times(facts.levels), _times(facts.classes)]
        cells += [UNKNOWN if facts.between is None else f"{100 * median(facts.between.tolist()):.0f} %"]
        cells += [f"{facts.effective_rank:.1f}"]
        cells += [UNKNOWN if facts.follows_start is None else f"{facts.follows_start:.2f}"]
        rows.append([run, facts.layer, *cells])
    return rows


def _times(pattern: Pattern) -> str:
    if pattern.ratio is None:
        return UNKNOWN
    return f"{multiple(pattern.ratio)} ({two_digits(pattern.untrained)} to {two_digits(pattern.strength)})"
