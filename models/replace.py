"""Putting something else in the place of what a network computed, to see what depends on it."""

from collections.abc import Callable

from torch import Tensor

Replacement = Tensor | Callable[[Tensor], Tensor]
"""A tensor to use in the place of the computed one, or a function from the computed one to the one to use."""


def replaced(compute: Callable[[Tensor], Tensor], x: Tensor, by: Replacement | None) -> Tensor:
    """What `compute` makes of `x`, or what `by` says to use in its place; None changes nothing."""
    if isinstance(by, Tensor):
        return by
    return compute(x) if by is None else by(compute(x))
