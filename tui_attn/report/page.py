"""The report as one HTML page that needs nothing else: no script, no network, no other file."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from importlib.resources import files
from statistics import median

from tui_attn import __version__
from tui_attn.compare.effects import Effect, Effects, dependence_sentence, kind_words, layer_words
from tui_attn.compare.heatmaps import heatmap_sentences
from tui_attn.compare.interventions import LAYERS
from tui_attn.compare.pairs import BASE
from tui_attn.compare.summary import ModelSummary
from tui_attn.compare.text_tables import footnotes, model_rows, run_rows, time_cells
from tui_attn.compare.wording import UNKNOWN, interval_points, percent, points, sentences
from tui_attn.report.content import Content, Heatmaps
from tui_attn.report.figures import MODEL_INKS, Picture, figure_element, is_own, variable
from tui_attn.report.html import Content as Html
from tui_attn.report.html import Markup, inside, table, tag
from tui_attn.report.sections import Drawn
from tui_attn.report.words import READING
from tui_attn.system.text import safe_text

_NAME = re.compile(r"(base|se\d?|self-attention|attention)\b|[\w.-]+: ")

MOST_FACTS = 30
"""Lines of the table of heatmaps."""

Section = tuple[str, str, list[Html]]
"""An anchor, a title and what is below it."""


def page(content: Content, drawn: Drawn, names: Sequence[str]) -> str:
    """The whole page; `names` are the files beside it."""
    sections: list[Section] = [
        ("answer", "The answer", _answer(content, drawn)),
        ("models", "The models side by side", _models(content)),
        (
            "curves",
            "How they learned",
            [_gallery(drawn.curves)] if drawn.curves else [_nothing("No epoch is done yet.")],
        ),
        ("classes", "Class by class", _classes(content, drawn)),
        ("attention", "What the attention looks at", _attention(content, drawn)),
        ("interventions", "Does it matter?", _interventions(content, drawn)),
        ("reading", "How to read this", _reading()),
        ("runs", "Run by run", _runs(content)),
        ("settings", "Settings and versions", _settings(content, names)),
    ]
    contents = tag("nav", [tag("a", title, href=f"#{anchor}") for anchor, title, _ in sections], aria_label="Contents")
    body = tag(
        "body",
        tag("header", _head(content)),
        contents,
        tag(
            "main",
            [tag("section", tag("h2", title), below, id=anchor) for anchor, title, below in sections],
        ),
        tag("footer", f"Written by tui-attn {__version__}."),
    )
    style = files("tui_attn.report").joinpath("page.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{content.title}: what attention did"),
        tag("style", Markup(style)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _head(content: Content) -> list[Html]:
    config, summary = content.manifest.config, content.summary
    facts = [
        safe_text(config.dataset, one_line=True),
        ", ".join(entry.model for entry in summary.models),
        _count(config.epochs, "epoch"),
        _count(len(summary.seeds), "seed"),
        summary.state,
        _day(content.manifest.created),
    ]
    return [
        tag("p", "What attention did", class_="kicker"),
        tag("h1", content.title),
        tag("ul", [tag("li", fact) for fact in facts], class_="chips"),
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _day(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "date unknown"


def _nothing(text: str) -> Markup:
    return tag("p", text, class_="nothing")


def _gallery(pictures: Sequence[Picture]) -> Markup:
    return tag("div", [figure_element(picture) for picture in pictures], class_="gallery")


# ---- sections


def _answer(content: Content, drawn: Drawn) -> list[Html]:
    entries = content.summary.models if BASE in content.runs else []
    cards: list[Html] = [_card(content, entry) for entry in entries if entry.model != BASE]
    remarks: Html = None
    if content.remarks:
        remarks = tag(
            "aside", tag("h3", "Mind"), tag("ul", [tag("li", remark) for remark in content.remarks]), class_="remarks"
        )
    return [
        tag("div", cards, class_="cards") if cards else None,
        remarks,
        _gallery(drawn.accuracies) if drawn.accuracies else _nothing("No run has finished yet."),
    ]


_BADGES = {"better": "good", "worse": "bad", "no difference shown": "open", None: "open"}


def _card(content: Content, entry: ModelSummary) -> Markup:
    versus = entry.versus_base
    verdict = versus.verdict if versus else None
    first, *rest = sentences(content.summary, entry.model, folder=content.folder)
    shown = f"{points(versus.delta)} points" if versus else UNKNOWN
    badge = verdict or ("one seed: no verdict" if versus else "not compared")
    return tag(
        "article",
        tag("h3", entry.model),
        tag("p", tag("strong", shown), f" against {BASE}", class_="delta"),
        tag("p", badge, class_=f"badge {_BADGES[verdict]}"),
        tag("p", _sentence(first.removeprefix(f"{entry.model}: "))),
        tag("ul", [tag("li", _sentence(sentence)) for sentence in rest], class_="beside") if rest else None,
        class_="card",
        data_model=entry.model,
        data_ink=None if entry.model in MODEL_INKS else variable(entry.model),
    )


def _sentence(text: str) -> str:
    """`text` as a sentence; what begins with the name of a model or layer keeps it as it is."""
    named = _NAME.match(text) or is_own(text.partition(" ")[0])
    head = text if named else text[:1].upper() + text[1:]
    return head + ("" if text.endswith(".") else ".")


def _models(content: Content) -> list[Html]:
    rows = model_rows(content.summary)
    if content.threshold is not None:
        begun = {run.id: run for runs in content.runs.values() for run in runs}
        cells = time_cells(content.summary, begun, content.threshold)
        rows.append([f"training time to {100 * content.threshold:g} %", *cells])
    return [table(rows), [tag("p", note, class_="note") for note in footnotes(content.summary)]]


def _classes(content: Content, drawn: Drawn) -> list[Html]:
    if not content.classes:
        return [_nothing("No finished run has predictions that can be used.")]
    if not drawn.classes:
        return [_nothing(f"There are too many classes to draw: see {_code('tables/classes.csv')}.")]
    return [_gallery(drawn.classes)]


def _code(text: str) -> str:
    return f"“{text}”"


def _attention(content: Content, drawn: Drawn) -> list[Html]:
    if not content.heatmaps:
        return [_nothing("No finished run of a model with attention has heatmaps.")]
    found: list[Html] = []
    for heatmaps in content.heatmaps:
        run, probes = heatmaps.shown
        more = f" (one of {len(heatmaps.runs)}; the others below)" if len(heatmaps.runs) > 1 else ""
        sentences = [heatmap_sentences(facts) for facts in probes.facts]
        found += [
            tag("h3", heatmaps.model),
            tag("p", f"Shown is {run.id}{more}.", class_="note"),
            [_facts(lines) for lines in sentences],
            _gallery(drawn.heatmaps.get(heatmaps.model, ())),
            _facts_table(heatmaps) if len(heatmaps.runs) > 1 else None,
        ]
    return found


def _facts(lines: Sequence[str]) -> Markup:
    verdict, *rest = (_sentence(line) for line in lines)
    return tag("div", tag("p", verdict, class_="lead"), tag("p", " ".join(rest)), class_="facts")


def _facts_table(heatmaps: Heatmaps) -> Markup:
    rows = [["run", "layer", "learned", "levels ×", "classes ×", "between classes", "rank", "follows start"]]
    for run, probes in heatmaps.runs:
        for facts in probes.facts:
            between = None if facts.between is None else f"{100 * median(facts.between.tolist()):.0f} %"
            known = {None: UNKNOWN, True: "yes", False: "no"}
            parts = {"levels": facts.levels.told_apart, "classes": facts.classes.told_apart}
            learned = known[facts.told_apart]
            if facts.told_apart and not all(parts.values()):
                learned = f"{next(name for name, told in parts.items() if told)} only"
            rows.append(
                [
                    run.id,
                    facts.layer,
                    learned,
                    _times(facts.levels.ratio),
                    _times(facts.classes.ratio),
                    between or UNKNOWN,
                    f"{facts.effective_rank:.1f}",
                    UNKNOWN if facts.follows_start is None else f"{facts.follows_start:.2f}",
                ]
            )
    more = len(rows) - 1 - MOST_FACTS
    note = f"and {more} more in tables/heatmaps.csv" if more > 0 else None
    caption = (
        "All seeds. Levels ×, classes ×: how many times as strong as in the untrained network what is common to all "
        "classes and what differs between them is; between classes: median share of a channel's variance; rank: "
        "effective rank; follows start: rank correlation with the untrained network's pattern."
    )
    return inside(
        tag("p", caption, class_="note above"),
        table(rows[: MOST_FACTS + 1], numbers_from=3, class_="runs"),
        _nothing(note) if note else None,
    )


def _times(ratio: float | None) -> str:
    return UNKNOWN if ratio is None else f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"


def _interventions(content: Content, drawn: Drawn) -> list[Html]:
    found: list[Html] = []
    for effects in content.effects:
        found += [
            tag("h3", effects.model),
            tag("p", _sentence(dependence_sentence(effects)), class_="lead"),
            tag("div", figure_element(drawn.effects[effects.model]), _effects_table(effects), class_="beside-table"),
        ]
    if not found and not content.missing_effects:
        return [_nothing("No finished run of a model with attention: there is nothing to intervene on.")]
    return [*found, [_nothing(_sentence(text)) for text in content.missing_effects]]


def _effects_table(effects: Effects) -> Markup:
    """A row for each kind of intervention and a column for each layer; change and interval in one cell."""
    what = "gates replaced by" if effects.model == "se" else "weights replaced by"
    layers = LAYERS[effects.model]
    heads = [f"{layer_words(layer)}, points" if len(layers) == 1 else layer_words(layer) for layer in layers]
    rows: list[list[Html]] = [[what, *heads]]
    for kind in dict.fromkeys(effect.kind for effect in effects.effects):
        found = [effects.get(kind, layer) for layer in layers]
        rows.append([kind_words(effects.model, kind), *(_effect_cell(effect) for effect in found)])
    own = f"With its own {'gates' if effects.model == 'se' else 'weights'} {percent(effects.accuracy)} %. "
    note = f"{own}Changes in points, and below them their 95 % intervals; those that exclude 0 are in bold."
    return tag("div", table(rows, class_="effects"), tag("p", note, class_="note"))


def _effect_cell(effect: Effect | None) -> Html:
    if effect is None:
        return UNKNOWN
    low, high = effect.ci95
    change = points(effect.delta)
    shown = tag("strong", change) if low > 0 or high < 0 else change
    return [shown, tag("br"), tag("small", interval_points(effect.ci95))]


def _reading() -> list[Html]:
    return [tag("dl", [[tag("dt", name), tag("dd", text)] for name, text in READING])]


def _runs(content: Content) -> list[Html]:
    runs = content.summary.runs
    rows = run_rows(runs, content.summary.epochs)
    digests = [["run", "SHA-256 of the weights"]]
    digests += [[run.run, run.weights_sha256] for run in runs if run.weights_sha256]
    return [
        table(rows, numbers_from=2, class_="runs"),
        tag("div", table(digests, numbers_from=9, class_="runs"), class_="digests") if len(digests) > 1 else None,
    ]


def _settings(content: Content, names: Sequence[str]) -> list[Html]:
    manifest, config = content.manifest, content.manifest.config
    about = next((run.about for runs in content.runs.values() for run in runs if run.about), {})
    rows: list[tuple[str, object]] = [
        ("experiment", manifest.id),
        ("data set", config.dataset),
        ("version of the data", manifest.data.get("version")),
        ("training images", about.get("train_size")),
        ("test images", about.get("test_size")),
        ("epochs", config.epochs),
        ("seeds", ", ".join(str(seed) for seed in content.summary.seeds)),
        ("batch size", config.batch_size),
        ("learning rate (Adam)", config.lr),
        ("augmentation", ", ".join(config.augment) or "none"),
        ("precision", about.get("precision", manifest.precision)),
        ("devices", ", ".join(manifest.devices)),
        ("device", about.get("device_name")),
        ("threads of a worker", manifest.threads),
        *((f"version of {name}", version) for name, version in sorted(manifest.versions.items())),
    ]
    known = [[name, safe_text(value, one_line=True)[:200]] for name, value in rows if value is not None]
    listing = tag("ul", [tag("li", tag("code", name)) for name in names], class_="files")
    return [
        table([["setting", "value"], *known], numbers_from=9),
        tag("h3", "Files beside this page"),
        listing,
    ]
