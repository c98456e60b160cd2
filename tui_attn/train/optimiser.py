"""Training without torch's compiler, whose import by an optimiser takes a second before the first step."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch

_NAME = "torch._dynamo"


class _Deferred(ModuleType):
    """Stands for `torch._dynamo` until any other attribute is needed, as by `torch.compile` in a custom model.

    The two functions that optimisers use have no effect outside compiled code.
    """

    @staticmethod
    def graph_break(*_: object, **__: object) -> None: ...

    @staticmethod
    def disable(function: Callable[..., Any], *_: object, **__: object) -> Callable[..., Any]:
        return function

    def __getattr__(self, name: str) -> Any:
        if name == "__file__":  # which `inspect` looks for in all modules, as Triton's import makes it do
            raise AttributeError(name)
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME], torch._dynamo
            importlib.import_module(_NAME)
            warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
            torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled(), warn_only=warn_only)
        return getattr(sys.modules[_NAME], name)


def defer_compiler() -> None:
    """Let torch import its compiler only for code that is to be compiled."""
    if _NAME not in sys.modules:
        deferred = _Deferred(_NAME)
        deferred.__spec__ = ModuleSpec(_NAME, None)
        sys.modules[_NAME] = torch._dynamo = deferred


def be_deterministic() -> None:
    """Use deterministic kernels where there are any; the compiler is configured when it is loaded."""
    defer_compiler()
    if isinstance(sys.modules.get(_NAME), _Deferred):
        torch.set_deterministic_debug_mode("warn")
    else:
        torch.use_deterministic_algorithms(True, warn_only=True)


def adam(parameters: Iterable[torch.Tensor], **options: Any) -> torch.optim.Adam:
    """`torch.optim.Adam(parameters, **options)`."""
    defer_compiler()
    return torch.optim.Adam(parameters, **options)
