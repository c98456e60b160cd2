"""Whether a heatmap's pattern is real: what the numbers say, in a few lines below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui_attn.system.textfit import wrap
from tui_attn.ui.drawing import Row

if TYPE_CHECKING:
    from tui_attn.compare.heatmaps import HeatmapFacts


def fact_rows(facts: HeatmapFacts, epoch: int, width: int, most: int) -> list[Row]:
    """What is known after `epoch`, in about `most` lines of `width` cells: the verdict first, then what it rests on."""
    from tui_attn.compare.heatmap_words import heatmap_sentences

    verdict, *further = heatmap_sentences(facts)
    if epoch == 0:
        verdict = f"{facts.layer}: the untrained network; its pattern is that of random weights on these images"
        further = [sentence for sentence in further if "from the random start" not in sentence]
    first = _wrapped(verdict, width, "bold")
    long = [*first, *(row for text in further for row in _wrapped(text, width, "muted"))]
    return long if len(long) <= most else [*first, *_wrapped(" · ".join(in_short(facts)), width, "muted")]


def _wrapped(text: str, width: int, ink: str) -> list[Row]:
    return [Row(((f" {line}", ink),)) for line in wrap(text, max(width - 2, 20), rest="  ")]


def in_short(facts: HeatmapFacts) -> list[str]:
    """The numbers without their sentences; what isn't known is left out."""
    import numpy as np

    found = []
    if facts.between is not None:
        untrained = facts.between_untrained
        beside = [] if untrained is None else [f"untrained {_percent(np.median(untrained))}"]
        beside += [] if facts.chance is None else [f"chance {_percent(facts.chance)}"]
        found.append(f"between classes {_percent(np.median(facts.between))} of variance{_brackets(beside)}")
    if facts.saturated is not None:
        from tui_attn.compare.heatmaps import saturation_limits

        low, high = facts.saturated
        below, above = saturation_limits(facts.layer)
        ends = ("even", "one-sided") if facts.layer == "attention" else (f"below {below:g}", f"above {above:g}")
        found.append(f"saturated: {_percent(low)} {ends[0]}, {_percent(high)} {ends[1]}")
    rank = facts.effective_rank_untrained
    beside = [] if rank is None else [f"untrained {rank:.1f}"]
    found.append(f"effective rank {facts.effective_rank:.1f} of {facts.most_rank}{_brackets(beside)}")
    if facts.follows_start is not None:
        found.append(f"rank correlation with the random start {facts.follows_start:.2f}")
    return found


def _percent(share: float) -> str:
    return f"{100 * float(share):.0f} %"


def _brackets(parts: Sequence[str]) -> str:
    return f" ({', '.join(parts)})" if parts else ""
