"""What a heatmap shows, in sentences."""

from __future__ import annotations

from tui_attn.compare.heatmaps import FACTOR, FOLLOWS, Change, HeatmapFacts, Pattern, saturation_limits
from tui_attn.compare.wording import two_digits


def heatmap_sentences(facts: HeatmapFacts) -> list[str]:
    """What the numbers say, in plain words: the verdict first, then what it rests on."""
    return _constant(facts) or [*_verdict(facts), *_numbers(facts)]


def _constant(facts: HeatmapFacts) -> list[str]:
    """Of gates or weights that are the same for every image, and began all equal; empty of others."""
    if facts.classes.strength or facts.classes.untrained or facts.levels.untrained != 0:
        return []
    now = two_digits(facts.levels.strength)
    if facts.layer == "attention":
        grew = f"all weights were even before training; now the heads' differ from that (root mean square {now})"
    else:
        grew = f"all gates were equal before training; now they differ between channels (standard deviation {now})"
    return [f"{facts.layer}: {grew}", "they are the same for every image, so they can't differ between classes"]


def _verdict(facts: HeatmapFacts) -> list[str]:
    levels, classes = facts.levels, facts.classes
    if levels.change is None or classes.change is None:
        return [f"{facts.layer}: the untrained network's heatmap is missing, so nothing tells what training changed"]
    what = "attention of the heads" if facts.layer == "attention" else "levels of the channels"
    patterns = {f"the {what}": levels, "the differences between classes": classes}
    with_twin = levels.twin is not None
    grew = "learned, stronger than before training and with random labels" if with_twin else "grew in training"
    words_of: dict[str, set[Change | None]] = {
        grew: {"stronger", "new"},
        "stronger than before training, but not than with random labels, don't interpret": {"as with random labels"},
        "flattened by training": {"flattened"},
        f"not {FACTOR:g} times as strong as before training, don't interpret": {"similar"},
    }
    parts = []
    for words, changes in words_of.items():
        names = [f"{name} ({_times(pattern)})" for name, pattern in patterns.items() if pattern.change in changes]
        twin = "" if words != "grew in training" else "; random labels may give that, too (no twin)"
        parts += [f"{words}: {' and '.join(names)}{twin}"] if names else []
    found = [f"{facts.layer}: {'; '.join(parts)}"]
    if facts.follows_start is not None and facts.follows_start >= FOLLOWS:
        found.append(
            "which class goes with which channel was largely kept from the random start (rank correlation "
            f"{facts.follows_start:.2f})"
        )
    return found


def _times(pattern: Pattern) -> str:
    if pattern.ratio is None:
        times = "none before" if pattern.strength > 0 else "none"
    else:
        times = f"{multiple(pattern.ratio)}x, {two_digits(pattern.untrained)} to {two_digits(pattern.strength)}"
    if not pattern.twin or pattern.change not in {"stronger", "as with random labels"}:
        return times
    return f"{times}, {multiple(pattern.strength / pattern.twin)}x the twin's"


def multiple(value: float) -> str:
    """How many times as large: `3.4`, `12`."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def _numbers(facts: HeatmapFacts) -> list[str]:
    if facts.effective_rank == 0 and facts.effective_rank_untrained == 0:
        return ["the same for every image, trained and untrained: there is no variance to explain"]
    found = []
    if facts.between is not None:
        import numpy as np

        share = f"the class of an image explains {100 * float(np.median(facts.between)):.0f} % of a channel's variance"
        beside = [] if facts.chance is None else [f"{100 * facts.chance:.0f} % would be chance"]
        if facts.between_untrained is not None:
            beside.append(f"{100 * float(np.median(facts.between_untrained)):.0f} % in the untrained network")
        found.append(f"{share} (median{'; ' if beside else ''}{', '.join(beside)})")
    if facts.saturated is not None:
        low, high = (f"{100 * value:.1f} %" for value in facts.saturated)
        below, above = saturation_limits(facts.layer)
        found.append(
            f"{low} of the rows give no channel more than twice its even share, {high} give one over half the row"
            if facts.layer == "attention"
            else f"{low} of the gates are below {below:g} and {high} above {above:g}"
        )
    before = facts.effective_rank_untrained
    beside_rank = "" if before is None else f", {before:.1f} in the untrained network"
    found.append(f"effective rank {facts.effective_rank:.1f} of at most {facts.most_rank}{beside_rank}")
    return found
