"""The comparison in sentences, and its numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui_attn.compare.pairs import BASE
from tui_attn.compare.resampling import beside, seeds_needed
from tui_attn.compare.summary import Summary, Versus
from tui_attn.system.text import command_line

UNKNOWN = "–"


def counted(number: int, what: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def percent(value: float | None) -> str:
    """A fraction in per cent, without the sign: `91.51`."""
    return UNKNOWN if value is None else f"{100 * value:.2f}"


def points(value: float | None, digits: int = 2) -> str:
    """A difference of fractions in percentage points, with its sign: `+0.19`."""
    if value is None:
        return UNKNOWN
    text = f"{100 * value:+.{digits}f}"
    return text.replace("-", "+") if float(text) == 0 else text


def interval_points(ends: Sequence[float] | None) -> str:
    """An interval of differences: `+0.05 to +0.43`; with more decimals where 0 would else seem to be its end."""
    if ends is None:
        return UNKNOWN
    digits = 2
    while digits < 6 and any(end != 0 and round(100 * end, digits) == 0 for end in ends):
        digits += 1
    return f"{points(ends[0], digits)} to {points(ends[1], digits)}"


def interval_percent(ends: Sequence[float] | None) -> str:
    """An interval of accuracies in per cent: `91.18 to 91.46`."""
    return UNKNOWN if ends is None else f"{percent(ends[0])} to {percent(ends[1])}"


def p_value(value: float | None) -> str:
    """`0.084`, `<0.001`."""
    if value is None:
        return UNKNOWN
    return "<0.001" if value < 0.001 else f"{value:.3f}" if value < 0.9995 else "1"


def verdict_sentence(summary: Summary, model: str) -> str | None:
    """The verdict on `model` in one sentence; None where it is not compared with base."""
    if model == BASE or BASE not in summary.names:
        return None
    versus = _versus(summary, model)
    if versus is None:
        return f"{model}: no comparison with {BASE}, because no seed has a result of both"
    if versus.verdict is None or versus.p_value is None:
        return f"{model}: {points(versus.delta)} points from {BASE} with one seed, too few for a verdict on the models"
    facts = f"95 % interval {interval_points(versus.ci95)}, {_p(versus.p_value)}, {len(versus.seeds)} seeds"
    if versus.verdict == "no difference shown":
        return f"{model}: no difference from {BASE} shown, {points(versus.delta)} points ({facts})"
    return f"{model} is {versus.verdict} than {BASE} by {abs(100 * versus.delta):.2f} points ({facts})"


def networks_sentence(summary: Summary, model: str) -> str | None:
    """What the McNemar test says of two trained networks; None without one."""
    versus = _versus(summary, model)
    found = versus.these_networks if versus else None
    if found is None:
        return None
    return (
        f"the two networks of seed {found.seed} alone: {found.other_only:,} test images only {model} gets right, "
        f"{found.base_only:,} only {BASE} (exact McNemar test, {_p(found.p_value)})"
    )


def beside_sentence(summary: Summary, model: str) -> str | None:
    """Bootstrap, sign-flip test and P(A > B), which decide nothing; None below two seeds."""
    versus = _versus(summary, model)
    if versus is None or len(versus.seeds) < 2:
        return None
    base, other = (summary.get(name).accuracies for name in (BASE, model))
    pairs = [(base[seed], other[seed]) for seed in versus.seeds]
    found = beside([one for one, _ in pairs], [two for _, two in pairs], summary.comparisons)
    ahead = sum(two > one for one, two in pairs)
    ties = sum(two == one for one, two in pairs)
    parts = [f"{model} was ahead in {ahead} of {counted(len(pairs), 'seed')}" + (f", {ties} tied" if ties else "")]
    if found.sign_flip is not None:
        parts.append(f"sign-flip test {_p(found.sign_flip)}")
    if found.bootstrap is not None:
        parts.append(f"bootstrap interval {interval_points(found.bootstrap)}")
    return f"{'; '.join(parts)} (not used for the verdict)"


def seeds_sentence(
    summary: Summary, model: str, difference: float = 0.01, power: float = 0.8, folder: Path | None = None
) -> str | None:
    """How many seeds would show `difference` with this power at the measured spread; None while none is measured.

    It names the command that trains them in the experiment in `folder`, if any.
    """
    versus = _versus(summary, model)
    if versus is None or versus.spread is None:
        return None
    what = f"{100 * difference:g} {'point' if difference == 0.01 else 'points'}"
    needed = seeds_needed(versus.spread, difference, power, versus.level)
    rough = f", from {counted(len(versus.seeds), 'seed')} only" if len(versus.seeds) < 5 else ""
    basis = f"{100 * power:.0f} % power at the measured spread of {100 * versus.spread:.2f} points{rough}"
    if needed is None:
        return f"no feasible number of seeds can detect {what} ({basis})"
    planned = len(summary.seeds)
    if needed <= planned:
        return f"{planned} seeds are enough to detect {what}: it takes {needed} ({basis})"
    more = f"it takes {needed} seeds to detect {what}, {needed - planned} more ({basis})"
    return more if folder is None else f"{more}: '{command_line('extend', folder, f'--seeds {needed}')}' trains them"


def sentences(summary: Summary, model: str, difference: float = 0.01, folder: Path | None = None) -> list[str]:
    """All that is to be said of `model` against base, the verdict first; seeds are counted for `difference`.

    `folder`: the experiment's, where more seeds can be trained in it.
    """
    found = [say(summary, model) for say in (verdict_sentence, networks_sentence, beside_sentence)]
    return [text for text in (*found, seeds_sentence(summary, model, difference, folder=folder)) if text is not None]


def _versus(summary: Summary, model: str) -> Versus | None:
    return summary.get(model).versus_base


def _p(value: float) -> str:
    """`p=0.084`, `p<0.001`; without a space, so that no line breaks there."""
    text = p_value(value)
    return f"p{text}" if text.startswith("<") else f"p={text}"
