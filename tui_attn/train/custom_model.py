"""Custom models: a network's class from a user's Python file. Nothing else in the program runs such a file.

A worker runs the copy in the experiment's folder, and only if it is, byte for byte, what experiment.json's digest says
and this user has named or trusted on this machine.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, cast

import torch
from torch import nn

from tui_attn.experiment import trust
from tui_attn.experiment.custom_model import CustomModel, CustomModelError, read_source, sha256
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.train import rng


def load_class(folder: ExperimentDir, model: CustomModel) -> type[nn.Module]:
    """The class of `model`, from the copy in the experiment's folder, made anew at each call.

    Raises `CustomModelError` for a copy that is missing, altered or not trusted, and whatever the file raises.
    """
    path = folder.custom_model(model.name)
    source = read_source(path, follow_links=False)
    if model.sha256 is None or sha256(source) != model.sha256:
        raise CustomModelError(f"the experiment's copy of {model.shown} has been altered: restore it from a copy")
    if not trust.is_trusted(model.sha256):
        raise CustomModelError(
            f"{model.shown} is code that you haven't named on this machine: resume with --trust-code"
        )
    return make_class(source, str(path), model.class_name)


def make_class(source: bytes, where: str, class_name: str) -> type[nn.Module]:
    """Run the Python file `source`, called `where` in tracebacks, and return the class in it.

    Raises `CustomModelError` where there is no such class, and whatever the file raises.
    """
    module = ModuleType(f"custom_model_{sha256(source)[:12]}")
    module.__file__ = where
    sys.modules[module.__name__] = module  # dataclasses look up their module there
    try:
        code = compile(source, where, "exec", dont_inherit=True)
    except ValueError as error:  # null bytes, up to Python 3.11.3
        raise SyntaxError(str(error)) from None
    with kept_settings():
        exec(code, module.__dict__)  # noqa: S102 - see above
    found = module.__dict__.get(class_name)
    if found is None:
        classes = [name for name, value in vars(module).items() if _is_network(value)]
        hint = f": it has {', '.join(classes[:5])}" if classes else ""
        raise CustomModelError(f"there is no class {class_name} in the file{hint}")
    if not _is_network(found):
        raise CustomModelError(f"{class_name} is not a class derived from torch.nn.Module")
    return found  # type: ignore[no-any-return]


def build(network: type[nn.Module], channels: int, image_size: tuple[int, int], classes: int) -> nn.Module:
    """An instance of a user's class, in training mode. Raises whatever its constructor raises.

    It is called with the numbers of channels and classes, and between them the side of square images, or height and
    width of others.
    """
    height, width = image_size
    with kept_settings():
        made = network(channels, height if height == width else image_size, classes)
        made.train()  # not chained: the class may override it
        return made


def _set_environment(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


_TORCH, _BACKENDS = torch._C, cast(Any, torch.backends)  # torch's stubs lack fp32_precision

_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, lambda device: torch.set_default_device(None if device.type == "cpu" else device)),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    (
        lambda: (_TORCH._get_deterministic_algorithms(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda both: torch.use_deterministic_algorithms(both[0], warn_only=both[1]),
    ),
    (lambda: _BACKENDS.fp32_precision, lambda precision: setattr(_BACKENDS, "fp32_precision", precision)),
    (_TORCH._get_mkldnn_enabled, _TORCH._set_mkldnn_enabled),
    (_TORCH._get_cudnn_enabled, _TORCH._set_cudnn_enabled),
    (_TORCH._get_cudnn_benchmark, _TORCH._set_cudnn_benchmark),
    (_TORCH._get_cudnn_deterministic, _TORCH._set_cudnn_deterministic),
    (lambda: sys.path[:], lambda path: sys.path.__setitem__(slice(None), path)),
    (lambda: dict(os.environ), _set_environment),
    (
        lambda: multiprocessing.get_start_method(allow_none=True),
        lambda method: multiprocessing.set_start_method(method, force=True),
    ),
    (lambda: warnings.filters[:], lambda filters: warnings.filters.__setitem__(slice(None), filters)),  # type: ignore[index]
    (sys.getrecursionlimit, sys.setrecursionlimit),
)
"""How a setting of the process is read, and how it is set where it has changed."""


@contextlib.contextmanager
def kept_settings() -> Iterator[None]:
    """Restore settings of this process that training and the log depend on, after foreign code has run.

    The random streams are restored too. The code gets an empty standard input.
    """
    settings = [(read, restore, read()) for read, restore in _SETTINGS]
    precision = torch.get_float32_matmul_precision()
    standard = sys.stdin, sys.stdout, sys.stderr
    cpu = torch.device("cpu")
    streams = rng.capture(cpu)
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    mask = os.umask(0o077)
    os.umask(mask)
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    saved = {number: os.dup(number) for number in range(3) if _is_open(number)}
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    try:
        yield
    finally:
        for number, descriptor in saved.items():
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(null)
        os.fchdir(folder)
        os.close(folder)
        os.umask(mask)
        for number, handler in handlers.items():
            if handler is not None and threading.current_thread() is threading.main_thread():
                signal.signal(number, handler)
        for read, restore, value in settings:
            if read() != value:
                restore(value)
        torch.set_float32_matmul_precision(precision)  # always: torch may refuse to read it, where a backend's was set
        sys.stdin, sys.stdout, sys.stderr = (
            os.fdopen(os.dup(number), mode) if stream is None or stream.closed else stream
            for number, (mode, stream) in enumerate(zip("rww", standard, strict=True))
        )
        rng.restore(streams, cpu)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _is_network(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, nn.Module)
