"""Networks of the user's own: a class from a Python file. Nothing else in the program runs such a file.

A worker runs the copy in the experiment's folder, and only if it is, byte for byte, what experiment.json's digest says
and this user has named or trusted on this machine.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType

import torch
from torch import nn

from tui_attn.experiment import trust
from tui_attn.experiment.custom_model import CustomModel, CustomModelError, read_source, sha256
from tui_attn.experiment.folders import ExperimentDir


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
    sys.modules[module.__name__] = module  # dataclasses and the like look their module up
    code = compile(source, where, "exec", dont_inherit=True)
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
        return network(channels, height if height == width else image_size, classes).train()


@contextlib.contextmanager
def kept_settings() -> Iterator[None]:
    """Undo what code in between does to settings of torch that other runs of this process depend on."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    gradients = torch.is_grad_enabled()
    benchmark = torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.set_grad_enabled(gradients)
        torch.backends.cudnn.benchmark = benchmark


def _is_network(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, nn.Module)
