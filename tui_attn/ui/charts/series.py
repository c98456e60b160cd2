"""Curves: points over training, smoothed as they grow, and seeds of a model gathered to their mean and range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from tui_attn.ui.charts.geometry import HUGE, Floats, Indices

XAxis = Literal["step", "epoch", "time"]
X_AXES: tuple[XAxis, ...] = ("step", "epoch", "time")
_NONE = np.zeros(0)


@dataclass(slots=True)
class Curve:
    """A named series of points over training steps, or the mean of a group of such series.

    Made of points with `of`; `CurveStore.lines` returns copies that also have what is drawn: `x` and `y` and the
    fields after them.
    """

    id: str
    """Smoothed values are kept by it."""
    label: str
    """What the legend says. Data, never markup."""
    color: str
    """A palette key: the model."""
    steps: Floats
    values: Floats
    """As long as `steps`; NaN and infinities are marked where they happened."""
    times: Floats | None = None
    """Seconds of training at each point; without them the curve isn't drawn over time."""
    steps_per_epoch: float | None = None
    """Without it the curve isn't drawn over epochs."""
    group: str | None = None
    """Curves of one group (the seeds of a model) are drawn as one mean curve; None stands alone."""
    revision: int = 0
    """Changes whenever the points do."""
    faint: bool = False
    """Whether it stands behind the others, without a label and without a band."""
    dimmed: bool = False
    """Whether another curve is selected."""
    smooth: bool = True
    """Whether smoothing applies: values of an epoch are drawn as they are."""
    x: Floats = field(default_factory=lambda: _NONE)
    """Ascending and finite; decimal logarithms where the axis is logarithmic."""
    y: Floats = field(default_factory=lambda: _NONE)
    raw: Floats | None = None
    """The raw values under smoothed ones."""
    low: Floats | None = None
    high: Floats | None = None
    """The band: lowest and highest of the group at each point."""
    members: int = 1
    tails: list[tuple[Floats, Floats]] = field(default_factory=list)
    """What curves of the group have beyond the points that all of them have."""

    @classmethod
    def of(
        cls,
        id: str,
        label: str,
        color: str,
        steps: ArrayLike,
        values: ArrayLike,
        times: ArrayLike | None = None,
        **options: Any,
    ) -> Curve:
        """Return the curve of these points, without copying arrays of floats; the shortest column counts."""
        columns = [np.asarray(column, dtype=np.float64) for column in (steps, values, times) if column is not None]
        columns = [column[: min(map(len, columns))] for column in columns]
        return cls(id, label, color, columns[0], columns[1], None if times is None else columns[2], **options)

    @property
    def rank(self) -> int:
        """The drawing order: higher ranks cover lower ones."""
        return 2 * (not self.faint) + (not self.dimmed)

    def along(self, axis: XAxis, *, log: bool = False) -> Floats | None:
        """The places of the points along `axis`; None where they aren't known."""
        if axis == "time":
            found = self.times
        elif axis == "epoch":
            found = self.steps / self.steps_per_epoch if self.steps_per_epoch else None
        else:
            found = self.steps
        if found is None or not log:
            return found
        with np.errstate(all="ignore"):
            return np.where(found > 0, np.log10(found), np.nan)


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


def _sorted(line: Curve) -> Curve:
    """`line` with finite places in ascending order, which drawing and the cursor rely on."""
    line.tails = [(x[at], y[at]) for x, y in line.tails for at in [_ascending(x)]]
    at = _ascending(line.x)
    if isinstance(at, slice):
        return line
    raw, low, high = (None if part is None else part[at] for part in (line.raw, line.low, line.high))
    return replace(line, x=line.x[at], y=line.y[at], raw=raw, low=low, high=high)


def _ascending(x: Floats) -> Indices | slice:
    """What selects the usable ones of `x` in ascending order: everything, nearly always."""
    usable = np.abs(x) <= HUGE
    if usable.all() and (np.diff(x) >= 0).all():
        return slice(None)
    order = np.argsort(x, kind="stable")
    return order[usable[order]]


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


class CurveStore:
    """Makes the curves to draw, and keeps smoothed values, so that each point is smoothed once."""

    def __init__(self) -> None:
        self._smoothed: dict[str, tuple[Smoother, Floats, Floats]] = {}
        """The smoother after its last value, the values, and the smoothed values, by curve."""

    def lines(
        self,
        curves: Sequence[Curve],
        axis: XAxis,
        *,
        log: bool = False,
        smoothing: float = 0.0,
        show_raw: bool = True,
        grouped: bool = True,
    ) -> list[Curve]:
        """Return what to draw, in the order of `curves`. Curves without a place along `axis` are left out."""
        ids = {curve.id for curve in curves}
        self._smoothed = {id_: known for id_, known in self._smoothed.items() if id_ in ids}
        groups: dict[object, list[Curve]] = {}
        for each in curves:
            key = (each.group, each.faint) if grouped and each.group is not None else each.id
            groups.setdefault(key, []).append(each)
        found = []
        for members in groups.values():
            begun = [member for member in members if len(member.values)] or members[:1]
            xs = [x for member in begun if (x := member.along(axis, log=log)) is not None]
            if len(xs) == len(begun):
                ys = [self._smooth(member, smoothing) for member in begun]
                line = (
                    _mean(begun, xs, ys) if len(begun) > 1 else _single(begun[0], len(members), xs[0], ys[0], show_raw)
                )
                found.append(_sorted(line))
        return found

    def _smooth(self, curve: Curve, weight: float) -> Floats:
        """The debiased moving average over all points; only points that are new cost anything."""
        if weight == 0 or not curve.smooth:
            return curve.values
        smoother, values, smoothed = self._smoothed.get(curve.id, (Smoother(weight), _NONE, _NONE))
        known = len(values)
        if smoother.weight != weight or not np.array_equal(curve.values[:known], values, equal_nan=True):
            smoother, known, smoothed = Smoother(weight), 0, _NONE
        if known < len(curve.values):
            smoothed = np.concatenate([smoothed, smoother.extend(curve.values[known:].tolist())])
        self._smoothed[curve.id] = smoother, curve.values, smoothed
        return smoothed


def _single(curve: Curve, members: int, x: Floats, y: Floats, show_raw: bool) -> Curve:
    """One curve; raw values show only under the selected one, because they hide the others."""
    raw = curve.values if show_raw and not curve.dimmed and y is not curve.values else None
    return replace(curve, label=curve.label if members == 1 else curve.group or curve.label, x=x, y=y, raw=raw)


def _mean(members: Sequence[Curve], xs: Sequence[Floats], ys: Sequence[Floats]) -> Curve:
    """Mean, lowest and highest over the steps that all `members` have, and what each has beyond them.

    The mean is NaN where a member isn't finite.
    """
    where = _common_steps([member.steps for member in members])
    values = np.stack([y[at] for y, at in zip(ys, where, strict=True)])
    x = np.mean([x[at] for x, at in zip(xs, where, strict=True)], axis=0)
    values = np.where(np.isfinite(values).all(axis=0), values, np.nan)
    first = members[0]
    line = replace(first, label=first.group or first.label, x=x, y=values.mean(axis=0), members=len(members))
    line.dimmed = all(member.dimmed for member in members)
    if not first.faint:
        line.low, line.high = values.min(axis=0), values.max(axis=0)
        starts = [int(at[-1]) if len(at) else 0 for at in where]
        line.tails = [(x[at:], y[at:]) for x, y, at in zip(xs, ys, starts, strict=True) if at + 1 < len(y)]
    return line


def known_axes(curves: Sequence[Curve]) -> list[XAxis]:
    """Return the axes along which any of `curves` has a place."""
    return [axis for axis in X_AXES if any(curve.along(axis) is not None for curve in curves)]


def convert(curves: Sequence[Curve], x: float, old: tuple[XAxis, bool], new: tuple[XAxis, bool]) -> float | None:
    """Return where along `new` the point at `x` along `old` lies, by the longest curve.

    An axis is its name and whether it is logarithmic.
    """
    for each in sorted(curves, key=lambda curve: -len(curve.steps)):
        before, after = each.along(old[0], log=old[1]), each.along(new[0], log=new[1])
        if before is not None and after is not None:
            good = np.isfinite(before) & np.isfinite(after)
            if good.any():
                return float(np.interp(x, before[good], after[good]))
    return None
