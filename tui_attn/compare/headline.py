"""The result of a comparison in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from tui_attn.compare.pairs import BASE
from tui_attn.compare.summary import Summary, Versus
from tui_attn.compare.wording import counted, points, points_words
from tui_attn.experiment.model_info import info_of, joined
from tui_attn.system.text import percent, safe_text
from tui_attn.system.textfit import cells, cut

LONGEST = 110
"""Cells of a headline at most."""
_NAME = 20
"""Cells of a model's name at most."""


def headline(summary: Summary) -> str:
    """What the verdicts say, in at most `LONGEST` cells; where nothing is decided, how far the experiment is."""
    entries = [entry for entry in summary.models if entry.model != BASE]
    found = [(name_of(entry.model), entry.versus_base) for entry in entries if entry.versus_base]
    deciding = [(name, versus) for name, versus in found if versus.decides]
    if not entries or BASE not in summary.names:
        return _alone(summary)
    if not found:
        over = summary.state in {"finished", "stopped", "failed", "lost"}
        return "No seed has a result of both base and another model" + ("." if over else " yet: nothing decided.")
    if not deciding:
        why = "Controls only, described and not tested"
        if summary.experiments:
            why = "No verdict, because the experiments were chosen afterwards"
        return _first([f"{why}: {_deltas(found)}.", f"{why}."])
    decided = [(name, versus) for name, versus in deciding if versus.verdict is not None]
    if not decided:
        return _open(summary, deciding)
    versus = decided[0][1]
    look = versus.look
    still = f" (look {look.number} of {look.of}, {versus.pairs} seeds)" if look and look.number < look.of else ""
    return _first([f"{said}{still}." for said in _verdicts(decided)])


def name_of(model: str) -> str:
    """The model's name, safe to show and short enough for a sentence."""
    return cut(safe_text(model, one_line=True), _NAME)


def _alone(summary: Summary) -> str:
    known = [entry for entry in summary.models if entry.accuracy is not None]
    if not known:
        return "No run has finished yet: nothing decided."
    best = max(known, key=lambda entry: entry.accuracy or 0.0)
    what = "nothing to compare it with" if len(summary.models) == 1 else f"{BASE} is missing, so no verdicts"
    return f"{name_of(best.model)} reached {percent(best.accuracy)} % test accuracy; {what}."


def _open(summary: Summary, found: Sequence[tuple[str, Versus]]) -> str:
    """Before the first look."""
    if len(summary.seeds) == 1:
        start = "One seed: nothing decided yet"
    else:
        versus = min((versus for _, versus in found), key=_done)
        look = f", first look at {versus.next_look}" if versus.next_look else ""
        start = f"{_done(versus)} of {counted(len(summary.seeds), 'seed')}{look}: nothing decided yet"
        if any(versus.contradiction for _, versus in found):
            start = "No verdict, because the intervals of the looks exclude each other"
    ordered = sorted(found, key=lambda item: -item[1].delta)
    extremes = [ordered[0], ordered[-1]] if len(ordered) > 2 else ordered
    return _first([f"{start}. {_deltas(found)}.", f"{start}. {_deltas(extremes)}.", f"{start}."])


def _done(versus: Versus) -> int:
    return len(versus.seeds) + len(versus.missing)


def _deltas(found: Sequence[tuple[str, Versus]]) -> str:
    return ", ".join(f"{name} {points(versus.delta)}" for name, versus in found) + f" points from {BASE}"


def _verdicts(found: Sequence[tuple[str, Versus]]) -> list[str]:
    """The same with ever less detail."""
    margin = points_words(found[0][1].margin)
    by_label: dict[str, list[tuple[str, Versus]]] = {}
    for item in found:
        by_label.setdefault(str(item[1].verdict), []).append(item)

    def told(detail: int) -> str:
        said = []
        for label in ("better", "worse", "no difference above margin", "undecided"):
            some = by_label.get(label, [])
            if not some:
                continue
            names = joined([name for name, _ in some]) if detail else counted(len(some), "model")
            many, be = len(some) > 1, "are" if len(some) > 1 else "is"
            if label in {"better", "worse"}:
                by = f" by {abs(100 * some[0][1].delta):.2f} points" if detail > 1 and not many else ""
                said.append(f"{names} {be} {label} than {BASE}{by}")
            elif label == "undecided":
                said.append(f"whether {names} differ{'' if many else 's'} from {BASE} is undecided")
            else:
                said.append(f"{names} {'make' if many else 'makes'} no difference above {margin}")
        return "; ".join(said)

    return [text[0].upper() + text[1:] if text.startswith("whether") else text for text in map(told, (2, 1, 0))]


def likely_cause(summary: Summary) -> str | None:
    """Why a model whose gates start near 0.5 is worse than base, where its controls tell; None elsewhere."""
    worse = {entry.model for entry in summary.models if entry.versus_base and entry.versus_base.verdict == "worse"}
    versus = {entry.model: entry.versus_base for entry in summary.models if entry.versus_base}
    ends = {model: each.ci95 for model, each in versus.items() if each.ci95}
    found = []
    if "se" in worse and {"se", "se2x"} <= ends.keys() and ends["se2x"][0] > ends["se"][1]:
        found.append(f"se2x, the same gates doubled, is {points(versus['se2x'].delta)} points from {BASE}")
    if "half" in ends and ends["half"][1] < 0:
        found.append(f"half, halved maps without gates, is {points(versus['half'].delta)} points from {BASE}")
    names = [model for model in worse if (info := info_of(model)) and info.half_open]
    if not found or not names:
        return None
    told = f"{joined(names)} {'are' if len(names) > 1 else 'is'} probably behind because gates start near 0.5"
    return f"{told}: {' and '.join(found)} (described, not tested)."


def _first(sentences: Sequence[str]) -> str:
    """The first that is short enough."""
    return next((text for text in sentences if cells(text) <= LONGEST), cut(sentences[-1], LONGEST))
