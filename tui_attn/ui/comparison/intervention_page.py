"""Does it matter? What the accuracy becomes when the attention is replaced, with intervals along one scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.cells import cell_len

from tui_attn.compare.effects import dependence_sentence, kind_words, layer_words, loss_text
from tui_attn.compare.interventions import KINDS
from tui_attn.compare.wording import interval_points, points
from tui_attn.experiment.model_info import replaced_words
from tui_attn.system.text import percent
from tui_attn.ui.comparison.parts import MARGIN, Page, Span, interval_axis, interval_bar, interval_span, remarks, text
from tui_attn.ui.comparison.source import Details
from tui_attn.ui.drawing import EMPTY, Piece, Row, fit

if TYPE_CHECKING:
    from tui_attn.compare.effects import Effect, Effects

WHAT = (
    "The trained networks are kept as they are, and their attention is replaced while they classify the test images. "
    "What the accuracy loses is at most what it owed to attending to the individual image."
)


NOTHING = "No model of this experiment has attention that could be replaced: 'se' and 'self-attention' have."


def rows(
    details: Details, progress: list[str], page: Page, models: Mapping[str, float | None], *, can_start: bool
) -> list[Row]:
    """A table for each of `models` with attention; above, how the computation gets on, where one is under way.

    `models`: by name, the mean test accuracy that the comparison shows.
    """
    if not any(model in KINDS for model in models):
        return [EMPTY, *text(page, NOTHING, "muted")]
    found = [EMPTY]
    if progress:
        found += [row for line in progress[-4:] for row in text(page, line, "running", hanging="  ")]
        found.append(EMPTY)
    if not details.effects:
        found += text(page, WHAT, "normal")
        if can_start and not progress:
            found += [EMPTY, *text(page, "I computes it for every finished run, in the background", "bold")]
    for effects in details.effects:
        found += _model(effects, page, models.get(effects.model))
    return [*found, *remarks(page, details.no_effects)]


def _model(effects: Effects, page: Page, compared: float | None) -> list[Row]:
    what = replaced_words(effects.model)
    runs = f"{len(effects.runs)} seeds" if len(effects.runs) > 1 else effects.runs[0].run
    own = f"  {runs}, {percent(effects.accuracy)} % with its own {what}; replaced by"
    head = Row(((f" {effects.model}", f"model:{effects.model}"), (own, "muted")))
    sentence = text(page, dependence_sentence(effects), "bold", hanging="  ")
    span = interval_span(value for effect in effects.effects for value in (*effect.ci95, effect.delta))
    words = [kind_words(effects.model, effect.kind) for effect in effects.effects]
    label = max(map(cell_len, words), default=0) + 2
    layer = max((cell_len(layer_words(effect.layer)) for effect in effects.effects), default=0) + 2
    seen = effects.loss is not None and page.room >= label + layer + 9 + 19 + 20
    numbers = 9 + 19 + (20 if seen else 0)
    width = min(page.room - label - layer - numbers - 2, 80)
    body = [
        _line(effect, word if word != before else "", (label, layer), seen, (span, width), f"model:{effects.model}")
        for effect, word, before in zip(effects.effects, words, ["", *words[:-1]], strict=True)
    ]
    scale = interval_axis(span, width, 1 + label + layer + numbers + 2)[:1] if width >= 16 else []
    titles = " " * (1 + label + layer) + f"{'points':>7}  {'95 % interval':<19}"
    titles += f"{'changed, %':>11}{'loss':>9}" if seen else ""
    other = text(page, said, "muted", hanging="  ") if (said := other_accuracy(effects, compared)) else []
    return [*sentence, EMPTY, head, *other, EMPTY, Row(((titles, "muted"),)), *body, *scale, EMPTY]


def other_accuracy(effects: Effects, compared: float | None) -> str:
    """Why the accuracy with its own attention is another here than in the comparison; empty where it is the same."""
    if compared is None or percent(compared) == percent(effects.accuracy):
        return ""
    several = any(found.precision == "bf16" for found in effects.runs)
    why = "it computes the classifier and the attention in bf16, too, and this page in fp32" if several else ""
    why = why or "it is the mean over other runs, or rounds otherwise"
    return (
        f"The comparison shows {percent(compared)} %: {why}. The changes below are from {percent(effects.accuracy)} %."
    )


def _line(effect: Effect, word: str, columns: tuple[int, int], seen: bool, scale: tuple[Span, int], ink: str) -> Row:
    """One intervention: what, where, the change with its interval, what else was `seen`, and the interval drawn."""
    (label, layer), (span, width) = columns, scale
    certain = effect.ci95[0] > 0 or effect.ci95[1] < 0
    pieces: list[Piece] = [
        (MARGIN + fit(word, label), "normal"),
        (fit(layer_words(effect.layer), layer), "muted"),
        (fit(points(effect.delta), 7, right=True) + "  ", "bold" if certain else "normal"),
        (fit(interval_points(effect.ci95), 19), "muted"),
    ]
    if seen:
        pieces.append((f"{percent(effect.changed):>11}{loss_text(effect.loss):>9}", "muted"))
    if width >= 16:
        pieces += [("  ", "normal"), *interval_bar(effect.delta, effect.ci95, span, width, ink)]
    return Row(tuple(pieces))
