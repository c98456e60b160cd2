"""Curves as arrays: copied once when they changed, smoothed as they grow, seeds gathered to mean and band."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tui_attn.ui.charts.geometry import HUGE
from tui_attn.ui.curves import Curve, XAxis

if TYPE_CHECKING:
    from tui_attn.ui.charts.geometry import Floats, Indices


BEHIND = 0.8
"""The least smoothing of curves that stand behind others."""


class Smoother:
    """The exponential moving average with bias correction, as TensorBoard and Adam use it (Kingma and Ba, 2015).

    After n finite values x_1 ... x_n and weight w the result is (1 - w) * sum(w^(n-i) * x_i) / (1 - w^n): the
    first value is x_1 itself, not drawn towards 0. A value that is not finite is passed through where it happened
    and leaves what follows as if it had not been there.
    """

    __slots__ = ("_average", "_decay", "weight")

    def __init__(self, weight: float) -> None:
        """`weight` of the past, in [0, 1); 0 changes nothing."""
        if not 0 <= weight < 1:
            raise ValueError(f"the smoothing weight must be in [0, 1), not {weight}")
        self.weight = weight
        self._average = 0.0
        self._decay = 1.0

    def extend(self, values: Iterable[float]) -> list[float]:
        """Take in further `values` and return one smoothed value for each."""
        weight, rest = self.weight, 1 - self.weight
        average, decay = self._average, self._decay
        smoothed = []
        for value in values:
            if math.isfinite(value):
                average = weight * average + rest * value
                decay *= weight
                smoothed.append(average / (1 - decay))
            else:
                smoothed.append(value)
        self._average, self._decay = average, decay
        return smoothed


def _copied(values: Sequence[float], start: int, stop: int) -> Floats:
    """Copy a stretch of `values`. A slice first: a view of the array itself would forbid it to grow meanwhile."""
    part = values[start:stop]
    return np.frombuffer(part if isinstance(part, array) else array("d", part), dtype=np.float64)


def _same(one: Floats, other: Floats) -> bool:
    """Whether both are equal bit for bit, NaN included."""
    return bool(np.array_equal(one.view(np.int64), other.view(np.int64)))


_NONE = np.zeros(0)


class Series:
    """The points of one curve and its smoothed values, which are computed once for each point."""

    def __init__(self) -> None:
        self.steps: Floats = _NONE
        self.values: Floats = _NONE
        self.times: Floats | None = None
        self.steps_per_epoch: float | None = None
        self._seen: tuple[object, ...] = ()
        self._smoother = Smoother(0.0)
        self._smoothed: Floats = _NONE

    def sync(self, curve: Curve) -> bool:
        """Take over what is new in `curve`; return whether anything was."""
        n = min(len(curve.steps), len(curve.values))
        if curve.times is not None:
            n = min(n, len(curve.times))
        seen = (curve.revision, n, id(curve.steps), id(curve.values), id(curve.times), curve.steps_per_epoch)
        if seen == self._seen:
            return False
        self._seen = seen
        steps, values = _copied(curve.steps, 0, n), _copied(curve.values, 0, n)
        times = None if curve.times is None else _copied(curve.times, 0, n)
        kept = min(len(self.values), n)
        grown = kept == len(self.values) and _same(steps[:kept], self.steps) and _same(values[:kept], self.values)
        if grown and n == kept and self._about_equal(times, curve.steps_per_epoch):
            return False
        if not grown:
            self._forget()
        self.steps, self.values, self.times = steps, values, times
        self.steps_per_epoch = curve.steps_per_epoch
        return True

    def _about_equal(self, times: Floats | None, steps_per_epoch: float | None) -> bool:
        if steps_per_epoch != self.steps_per_epoch or (times is None) != (self.times is None):
            return False
        return times is None or self.times is None or _same(times, self.times)

    def _forget(self) -> None:
        self._smoother, self._smoothed = Smoother(self._smoother.weight), _NONE

    def smoothed(self, weight: float) -> Floats:
        """Return the debiased moving average over the full series; only points not yet seen cost anything."""
        if weight == 0:
            return self.values
        if weight != self._smoother.weight:
            self._smoother, self._smoothed = Smoother(weight), _NONE
        if len(self._smoothed) < len(self.values):
            fresh = self._smoother.extend(self.values[len(self._smoothed) :].tolist())
            self._smoothed = np.concatenate([self._smoothed, fresh])
        return self._smoothed

    def x(self, axis: XAxis) -> Floats | None:
        """Return the points' places along `axis`; None where they aren't known."""
        if axis == "time":
            return self.times
        if axis == "epoch":
            return self.steps / self.steps_per_epoch if self.steps_per_epoch else None
        return self.steps


@dataclass(slots=True)
class Line:
    """One thing to draw: a curve, or the mean of a group of curves with its band."""

    label: str
    color: str
    marker: str
    x: Floats
    y: Floats
    raw: Floats | None = None
    """The raw values under smoothed ones."""
    low: Floats | None = None
    high: Floats | None = None
    """The band: lowest and highest of the group at each point."""
    members: int = 1
    faint: bool = False
    """Whether it stands behind the others."""
    tails: list[tuple[Floats, Floats]] = field(default_factory=list)
    """What curves of the group have beyond the points that all of them have."""


def sorted_line(line: Line) -> Line:
    """Return `line` with x ascending and of a size that can be drawn: what drawing and the cursor rely on."""
    line.tails = [(x[at], y[at]) for x, y in line.tails for at in [_ascending(x)]]
    at = _ascending(line.x)
    if isinstance(at, slice):
        return line
    line.x, line.y = line.x[at], line.y[at]
    line.raw = None if line.raw is None else line.raw[at]
    line.low = None if line.low is None else line.low[at]
    line.high = None if line.high is None else line.high[at]
    return line


def _ascending(x: Floats) -> Indices | slice:
    """What selects the usable ones of `x` in ascending order: everything, nearly always."""
    usable = np.abs(x) <= HUGE
    if usable.all() and (np.diff(x) >= 0).all():
        return slice(None)
    order = np.argsort(x, kind="stable")
    return order[usable[order]]


def mean_line(members: Sequence[tuple[Series, Curve]], axis: XAxis, weight: float) -> Line | None:
    """Return mean, lowest and highest over the steps that all `members` have, and what each has beyond them.

    The mean is NaN where a member isn't finite. None when the members know no place along `axis`.
    """
    xs = [series.x(axis) for series, _ in members]
    if any(x is None for x in xs):
        return None
    where = _common_steps([series.steps for series, _ in members])
    values = np.stack([series.smoothed(weight)[at] for (series, _), at in zip(members, where, strict=True)])
    x = np.mean([x[at] for x, at in zip(xs, where, strict=True) if x is not None], axis=0)
    finite = np.isfinite(values).all(axis=0)
    values = np.where(finite, values, np.nan)
    curve = members[0][1]
    line = Line(curve.group or curve.label, curve.color, curve.marker, x, values.mean(axis=0), members=len(members))
    line.low, line.high = values.min(axis=0), values.max(axis=0)
    for (series, _), place, at in zip(members, xs, where, strict=True):
        start = int(at[-1]) if len(at) else 0
        if place is not None and start + 1 < len(series.values):
            line.tails.append((place[start:], series.smoothed(weight)[start:]))
    return line


def _common_steps(all_steps: Sequence[Floats]) -> list[Indices]:
    """Return, for each, the indices of the steps that all have."""
    shortest = min(all_steps, key=len)
    n = len(shortest)
    if all(np.array_equal(steps[:n], shortest) for steps in all_steps):
        return [np.arange(n)] * len(all_steps)
    common = shortest
    for steps in all_steps:
        common = np.intersect1d(common, steps)
    return [np.flatnonzero(np.isin(steps, common)) for steps in all_steps]


class SeriesStore:
    """All curves of a chart, by id, and the lines made of them."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}
        self._curves: list[Curve] = []

    def sync(self, curves: Sequence[Curve]) -> bool:
        """Take over `curves`; return whether anything to be seen changed."""
        dressed = [(c.id, c.label, c.color, c.group, c.marker, c.faint) for c in curves]
        changed = dressed != [(c.id, c.label, c.color, c.group, c.marker, c.faint) for c in self._curves]
        self._curves = list(curves)
        ids = {curve.id for curve in curves}
        self._series = {id_: series for id_, series in self._series.items() if id_ in ids}
        for curve in curves:
            changed = self._series.setdefault(curve.id, Series()).sync(curve) or changed
        return changed

    def lines(self, axis: XAxis, *, smoothing: float = 0.0, show_raw: bool = True, grouped: bool = True) -> list[Line]:
        """Return what to draw, in the order of the curves. Curves that know no place along `axis` are left out."""
        groups: dict[str, list[tuple[Series, Curve]]] = {}
        for curve in self._curves:
            key = f"g{curve.group}" if grouped and curve.group is not None else f"c{curve.id}"
            groups.setdefault(key, []).append((self._series[curve.id], curve))
        found = [self._line(members, axis, smoothing, show_raw) for members in groups.values()]
        return [sorted_line(line) for line in found if line is not None]

    def _line(self, members: list[tuple[Series, Curve]], axis: XAxis, smoothing: float, show_raw: bool) -> Line | None:
        begun = [member for member in members if len(member[0].values)] or members[:1]
        if len(begun) > 1:
            return mean_line(begun, axis, smoothing)
        series, curve = begun[0]
        x = series.x(axis)
        if x is None:
            return None
        if curve.faint:
            weight = max(smoothing, BEHIND)
            return Line(curve.label, curve.color, curve.marker, x, series.smoothed(weight), faint=True)
        raw = series.values if smoothing and show_raw else None
        return Line(curve.label if len(members) == 1 else curve.group or curve.label, curve.color, curve.marker, x,
                    series.smoothed(smoothing), raw)  # fmt: skip

    def knows(self, axis: XAxis) -> bool:
        """Whether any curve has a place along `axis`."""
        return any(series.x(axis) is not None for series in self._series.values())

    def convert(self, x: float, old: XAxis, new: XAxis) -> float | None:
        """Return where along `new` the point at `x` along `old` lies, by the curve that reaches furthest."""
        for series in sorted(self._series.values(), key=lambda series: -len(series.steps)):
            before, after = series.x(old), series.x(new)
            if before is not None and after is not None and len(before):
                return float(np.interp(x, before, after))
        return None
