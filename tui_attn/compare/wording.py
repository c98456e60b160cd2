"""The comparison in sentences, and its numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from tui_attn.compare.pairs import BASE
from tui_attn.compare.resampling import beside, detectable, seeds_needed, spread_limit
from tui_attn.compare.summary import Summary, Versus
from tui_attn.compare.verdicts import PLANNED_SHARE, critical_value
from tui_attn.experiment.config import MAX_SEEDS
from tui_attn.experiment.model_info import info_of
from tui_attn.system.text import command_line, percent, safe_text

UNKNOWN = "–"
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def counted(number: int, what: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def named(runs: Sequence[str], most: int = 5) -> str:
    """The first of `runs`, and how many more there are: `se-s0, se-s1 and 3 more`; safe to show."""
    shown = ", ".join(safe_text(run, one_line=True) for run in runs[:most])
    return shown if len(runs) <= most else f"{shown} and {len(runs) - most} more"


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


def points_words(difference: float) -> str:
    """A difference of fractions, positive, in words: `0.5 points`, `1 point`."""
    return f"{100 * difference:g} {'point' if difference == 0.01 else 'points'}"


def ordinal(number: int) -> str:
    """`2nd`, `7th`, `11th`."""
    last = 0 if number // 10 % 10 == 1 else number % 10
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"


def verdict_sentence(summary: Summary, model: str) -> str | None:
    """The verdict on `model` against base in one sentence; None where it is not compared with base."""
    if model == BASE or BASE not in summary.names:
        return None
    versus = summary.get(model).versus_base
    if versus is None:
        return f"{model}: no comparison with {BASE}, because no seed has a result of both"
    return _verdict(versus, model, pooled=bool(summary.experiments))


def control_sentence(summary: Summary, model: str) -> str | None:
    """The verdict on `model` against its blind control; None where there is none."""
    versus = summary.get(model).versus_control
    return None if versus is None else f"against its control blind to the image: {_verdict(versus, model)}"


def _verdict(versus: Versus, model: str, *, pooled: bool = False) -> str:
    other, label = versus.against, versus.verdict
    if versus.p_value is None and versus.ci95 is None:
        after = f" so far; the first look is at {versus.next_look} seeds"
        if versus.pairs == 1 or not versus.next_look:
            after = ", too few for a verdict"
        return f"{model}: {points(versus.delta)} points from {other} with {words(versus.pairs, 'seed')}{after}"
    interval = f"95 % interval {interval_points(versus.ci95)}{_looks(versus)}"
    facts = f"{interval}, {look_words(versus)}"
    if not versus.decides:
        info = info_of(model)
        told = f" ({info.description.replace('control: ', 'a control, ', 1)})" if info else ""
        described = f"described, not tested{told}"
        what = "no verdict, because the experiments were chosen afterwards" if pooled else described
        return f"{model}: {points(versus.delta)} points from {other} ({facts}); {what}"
    margin = points_words(versus.margin)
    if versus.contradiction:
        said = "no verdict, because the intervals of its looks exclude each other"
        return f"{model}: {said}, {points(versus.delta)} points from {other} ({look_words(versus)})"
    if label == "no difference above margin":
        return f"{model}: no difference from {other} above {margin}, {points(versus.delta)} points ({facts})"
    facts = f"{interval}, {_p(versus.p_value or 0.0)}, {look_words(versus)}"
    if label == "undecided":
        return f"{model}: undecided, {points(versus.delta)} points from {other} ({facts})"
    less = f"; the difference is below the margin of {margin}" if versus.within_margin else ""
    return f"{model} is {label} than {other} by {abs(100 * versus.delta):.2f} points ({facts}){less}"


def _looks(versus: Versus) -> str:
    """That an interval is of several looks, and which limit comes from an earlier one."""
    if versus.look is None or versus.look.number == 1:
        return ""
    newest = len(versus.seeds) + len(versus.missing)
    limits = {name: at for name, at in zip(("lower", "upper"), versus.limits_at, strict=True) if 0 < at < newest}
    early = [f"the {name} limit from the look at {at} seeds" for name, at in limits.items()]
    if len(early) == 2 and versus.limits_at[0] == versus.limits_at[1]:
        early = [f"both limits from the look at {versus.limits_at[0]} seeds"]
    return " over all looks" + "".join(f", {each}" for each in early)


def look_words(versus: Versus) -> str:
    """Which look the numbers are of: `look 1 of 2, five seeds`."""
    seeds = words(versus.pairs, "seed")
    if versus.look is None:
        return seeds if versus.looks is None or not versus.decides else f"{seeds}, no planned looks"
    beyond = "beyond " if versus.looks and len(versus.seeds) + len(versus.missing) > versus.looks[-1] else ""
    return f"{beyond}look {versus.look.number} of {versus.look.of}, {seeds}"


def words(number: int, what: str) -> str:
    """`five seeds`, `12 seeds`."""
    name = what if number == 1 else f"{what}s"
    return f"{_NUMBERS[number] if number < len(_NUMBERS) else f'{number:,}'} {name}"


def open_sentence(summary: Summary, model: str) -> str | None:
    """What would decide an undecided verdict; None where it isn't undecided."""
    versus = summary.get(model).versus_base
    if versus is None or versus.verdict != "undecided" or versus.spread is None:
        return None
    seeds = seeds_range(versus, versus.margin, equal=True)
    if versus.next_look:
        following = f"the next look is at {versus.next_look} seeds"
    elif versus.looks:
        number = len(versus.looks)
        made = "the planned look has" if number == 1 else f"{'both' if number == 2 else 'all'} planned looks have"
        following = f"{made} been made, so further seeds are tested at one tenth of the error rate"
    else:
        following = "no further look is planned"
    return (
        f"an interval that excludes 0, or lies within the margin of {points_words(versus.margin)}, would decide it:"
        f" {following}; for the margin it takes {seeds} (80 % power if there is no difference)"
    )


def missing_sentence(summary: Summary, model: str) -> str | None:
    """Which pairs are missing, and what that costs; None where none is."""
    versus = summary.get(model).versus_base
    if versus is None or not versus.missing or summary.experiments:
        return None
    number, total = len(versus.missing), len(versus.missing) + len(versus.seeds)
    seeds = ", ".join(map(str, versus.missing[:8])) + (", ..." if number > 8 else "")
    cost = math.comb(total, number)
    known = [summary.get(name).accuracies for name in (model, versus.against)]
    late = [str(seed) for seed in versus.missing if all(seed in each for each in known)]
    after = f"; seed {', '.join(late[:8])} was resumed after this look and counts from the next on" if late else ""
    return (
        f"{number} of {total} pairs {'is' if number == 1 else 'are'} missing (seed {seeds}): the others are tested at"
        f" 1/{cost:,} of the level, so that what is missing can't make a verdict{after}"
    )


def networks_sentence(summary: Summary, model: str) -> str | None:
    """What the McNemar test says of two trained networks; None without one."""
    versus = summary.get(model).versus_base
    found = versus.these_networks if versus else None
    if found is None:
        return None
    return (
        f"the two networks of seed {found.seed} alone: {found.other_only:,} test images only {model} gets right, "
        f"{found.base_only:,} only {BASE} (exact McNemar test, {_p(found.p_value)})"
    )


def beside_sentence(summary: Summary, model: str) -> str | None:
    """In how many seeds it was ahead, sign-flip test and bootstrap, which decide nothing; None below two seeds."""
    versus = summary.get(model).versus_base
    if versus is None or len(versus.seeds) < 2:
        return None
    base, other = (summary.get(name).accuracies for name in (BASE, model))
    pairs = [(base[seed], other[seed]) for seed in versus.seeds]
    found = beside([one for one, _ in pairs], [two for _, two in pairs], versus.comparisons)
    ahead = sum(two > one for one, two in pairs)
    ties = sum(two == one for one, two in pairs)
    parts = [f"{model} was ahead in {ahead} of {counted(len(pairs), 'seed')}" + (f", {ties} tied" if ties else "")]
    if found.sign_flip is not None:
        looks = versus.look.number if versus.look else 1
        unadjusted = "" if looks == 1 else f" (not adjusted for the {words(looks, 'look')}, and so smaller)"
        parts.append(f"sign-flip test of the mean {_p(found.sign_flip)}{unadjusted}")
    if found.bootstrap is not None:
        parts.append(f"bootstrap interval {interval_points(found.bootstrap)}")
    return f"{'; '.join(parts)} (not used for the verdict)"


def seeds_range(versus: Versus, difference: float, *, equal: bool = False, fixed: bool = False) -> str:
    """How many seeds show `difference`, at the measured spread and at its upper limit: `9 to 24 seeds`.

    `equal`: how many show that there is none above it. `fixed`: in an experiment whose number of seeds is fixed
    beforehand, else in this one, where looks cost.
    """
    looks = None if fixed else versus.looks or ()
    found = [
        seeds_needed(spread, difference, level=versus.level, looks=looks, equal=equal)
        for spread in (versus.spread or 0.0, spread_limit(versus.spread or 0.0, versus.pairs))
    ]
    low, high = ("more than a million" if number is None else f"{number:,}" for number in found)
    return f"{low} seeds" if low == high else f"{low} to {high} seeds"


def seeds_sentence(summary: Summary, model: str, difference: float = 0.01, folder: Path | None = None) -> str | None:
    """How many seeds would show `difference` with 80 % power; None where the answer is known or no spread is measured.

    A range: from the measured spread to its upper 80 % limit. With `folder`, that of the experiment, the sentence names
    the command that trains them there.
    """
    versus = summary.get(model).versus_base
    if versus is None or versus.spread is None or not _is_open(versus, difference, pooled=bool(summary.experiments)):
        return None
    what = points_words(difference)
    limit = spread_limit(versus.spread, versus.pairs)
    said = (
        f"to detect {what} takes {seeds_range(versus, difference)} (80 % power, spread"
        f" {100 * versus.spread:.2f} to {100 * limit:.2f} points)"
    )
    most = seeds_needed(limit, difference, level=versus.level, looks=versus.looks or ())
    if folder is None or most is None or not len(summary.seeds) < most <= MAX_SEEDS:
        return said
    return f"{said}: '{command_line('extend', folder, f'--seeds {most}')}' trains them"


def _is_open(versus: Versus, difference: float, *, pooled: bool = False) -> bool:
    """Whether more seeds could still show a difference as large as `difference`."""
    if not pooled and versus.verdict != "undecided":
        return False
    low, high = versus.ci95 or (-math.inf, math.inf)
    return low <= -difference or high >= difference


def extension_sentences(summary: Summary, seeds: int) -> list[str]:
    """What a look at so many `seeds` in all costs, and what it can show of each compared model; short."""
    compared = {entry.model: entry.versus_base for entry in summary.models if entry.versus_base}
    found = {name: versus for name, versus in compared.items() if versus.decides and versus.spread is not None}
    if not found or seeds <= len(summary.seeds):
        return []
    first = next(iter(found.values()))
    looks = first.looks or ()
    reached = max((look for look in looks if len(summary.seeds) < look <= seeds), default=0)
    if looks and not reached and seeds <= looks[-1]:
        return [f"no verdict at {seeds} seeds: the next look is planned at {first.next_look}"]
    at = seeds if not looks or seeds > looks[-1] else reached
    share, what = (0.1, "beyond the plan") if looks else (1.0, "not planned before training")
    for number, (before, look) in enumerate(pairwise((0, *looks)), start=1):
        if look == at:
            share = PLANNED_SHARE * (look - before) / looks[-1]
            what = f"look {number} of {len(looks)} as planned"
    critical = critical_value(at, 1 - first.level, looks)
    said = [f"a verdict at {at} seeds, {what}, with {100 * share:.0f} % of the error rate"]
    if critical is None:
        return [*said, "so few seeds can't show any difference"]
    sizes = {name: 100 * detectable(at, versus.spread or 0.0, 0.8, critical) for name, versus in found.items()}
    told = ", ".join(f"{size:.2f} points ({name})" for name, size in sizes.items())
    said.append(f"would show, 4 times in 5, {told}")
    if any(versus.looks is None and versus.verdict for versus in found.values()):
        said.append("without a plan made before, today's verdicts may change")
    return said


def sentences(summary: Summary, model: str, difference: float = 0.01, folder: Path | None = None) -> list[str]:
    """Every sentence about `model` against base, the verdict first; seeds are counted for `difference`.

    `folder`: the experiment's, where more seeds can be trained in it.
    """
    before = (verdict_sentence, control_sentence, open_sentence, missing_sentence, networks_sentence, beside_sentence)
    found = [say(summary, model) for say in before]
    return [text for text in (*found, seeds_sentence(summary, model, difference, folder)) if text is not None]


def _p(value: float) -> str:
    """`p=0.084`, `p<0.001`; without a space, so that no line breaks there."""
    text = p_value(value)
    return f"p{text}" if text.startswith("<") else f"p={text}"


def two_digits(value: float | None) -> str:
    """`value` to two significant digits, however small, without an exponent; a dash where there is none."""
    return UNKNOWN if value is None else f"{Decimal(f'{value:.2g}'):f}"
