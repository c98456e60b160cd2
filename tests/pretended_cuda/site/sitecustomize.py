"""Pretend GPUs in every Python process that has PRETENDED_CUDA in its environment, once it imports torch."""

import importlib.abc
import importlib.machinery
import os
import sys
from types import ModuleType
from typing import Any


class _Loader(importlib.abc.Loader):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._inner.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        from tests.pretended_cuda.device import from_environment

        pretended = from_environment()
        if pretended is not None:
            pretended.__enter__()
            globals()["_kept"] = pretended  # closing it would end the pretence


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


if "PRETENDED_CUDA" in os.environ:
    sys.meta_path.insert(0, _Finder())
