"""Where an axis has ticks and what they say."""

from __future__ import annotations

import math

from tui_attn.ui.charts.geometry import Span, nice

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TIME_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 5, 10, 20, 50, 100)),
)

Ticks = list[tuple[float, str]]


def linear_ticks(span: Span, count: int, *, whole: bool = False, percent: bool = False) -> Ticks:
    """Return at most about `count` ticks at round values in `span`; `whole` keeps to integers."""
    step = nice(max(span.width / max(count, 1), span.width * 1e-6, 1e-300))
    if whole:
        step = max(step, 1.0)
    values = _multiples(span, step)
    if percent:
        decimals = _decimals(step * 100)
        return [(value, f"{value * 100 + 0.0:.{decimals}f}%") for value in values]
    return list(zip(values, _labels(values, step), strict=True))


def log_ticks(span: Span, count: int) -> Ticks:
    """Return ticks of a logarithmic axis; `span` and the positions are in powers of ten."""
    if abs(span.lower) > 290 or abs(span.upper) > 290:
        return []
    if span.width > count:
        every = math.ceil(span.width / count)
        decades = range(math.ceil(span.lower), math.floor(span.upper) + 1)
        return [(float(d), short(10.0**d)) for d in decades if d % every == 0]
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
        found = [
            decade + math.log10(digit)
            for decade in range(math.floor(span.lower), math.ceil(span.upper) + 1)
            for digit in digits
        ]
        inside = [at for at in found if span.lower <= at <= span.upper]
        if len(inside) >= max(count - 1, 2):
            return [(at, short(10.0**at)) for at in inside]
    values = Span(10**span.lower, 10**span.upper)
    return [(math.log10(value), label) for value, label in linear_ticks(values, count) if value > 0]


def time_ticks(span: Span, count: int) -> Ticks:
    """Return ticks at round times; values are seconds."""
    wanted = span.width / max(count, 1)
    if wanted < 1:
        return [(value, f"{label}s") for value, label in linear_ticks(span, count)]
    step = next((step for step in _TIME_STEPS if step >= wanted * (1 - 1e-9)), None)
    if step is None:
        return [(value, f"{short(value / _DAY)}d") for value in _multiples(span, nice(wanted / _DAY) * _DAY)]
    return [(value, clock(value)) for value in _multiples(span, float(step))]


def clock(seconds: float) -> str:
    """`seconds` in the fewest units: `45s`, `5m`, `1h30m`, `2d`."""
    whole = round(seconds)
    sign, whole = ("-", -whole) if whole < 0 else ("", whole)
    parts = [(whole // _DAY, "d"), (whole % _DAY // _HOUR, "h"), (whole % _HOUR // _MINUTE, "m"), (whole % 60, "s")]
    said = [f"{amount}{unit}" for amount, unit in parts if amount]
    return sign + ("".join(said[:2]) or "0s")


def short(value: float) -> str:
    """`value` in few characters: `0.05`, `12k`, `3e-07`."""
    size = abs(value)
    if size == 0 or 1e-4 <= size < 1e4:
        return f"{value:.4g}"
    if 1e4 <= size < 1e6:
        return f"{value / 1000:.4g}k"
    return _exponent(f"{value:.2e}")


def _exponent(text: str) -> str:
    """`1.00e+06` as `1e6`."""
    digits, _, power = text.partition("e")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{digits}e{int(power)}"


def _multiples(span: Span, step: float) -> list[float]:
    first, last = math.ceil(span.lower / step - 1e-9), math.floor(span.upper / step + 1e-9)
    return [n * step for n in range(first, last + 1)] if last - first < 1000 else []


def _decimals(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _labels(values: list[float], step: float) -> list[str]:
    """All of one axis in one form: plain decimals, thousands, or exponents."""
    largest = max((abs(value) for value in values), default=0.0)
    if largest >= 1e4:
        for size, unit in ((1e3, "k"), (1e6, "M")):
            if largest < size * 1000 and step >= size / 1000:
                decimals = _decimals(step / size)
                return [f"{value / size + 0.0:.{decimals}f}{unit}" if value else "0" for value in values]
    if largest >= 1e4 or (step < 1e-4 and 0 < largest < 1e-2):
        digits = min(max(math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9), 0), 4)
        return [_exponent(f"{value:.{digits}e}") if value else "0" for value in values]
    decimals = min(_decimals(step), 6)
    return [f"{value + 0.0:.{decimals}f}" for value in values]
