"""Replaces what a network computes, to see what depends on it."""

from collections.abc import Callable

from torch import Tensor

Replacement = Tensor | Callable[[Tensor], Tensor]
"""A tensor to use instead of the computed one, or a function from the computed one to the one to use."""


def replaced(compute: Callable[[Tensor], Tensor], x: Tensor, by: Replacement | None) -> Tensor:
    """`compute(x)`, or its replacement `by`; None replaces nothing."""
    if isinstance(by, Tensor):
        return by
    return compute(x) if by is None else by(compute(x))
