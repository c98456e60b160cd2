"""Try a custom model before it is trained: `python -m tui_attn.train.custom_model_check FD QUESTION`.

The file comes through the standard input; the answer, one JSON object, goes to the descriptor FD. Whatever the file
does, prints or breaks stays in this process. `tui_attn.launch.custom_models` asks.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import math
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_attn.experiment.custom_model import CustomModelError

WHERE = "own-model.py"
"""The file's name in tracebacks."""
MOST_PARAMETERS = 100_000_000
"""A checkpoint of so many, with the optimiser's averages, takes 1.2 GB."""
ONE_START = "it begins with the same weights whatever the seed, so its seeds differ in the order of the images only"
MOST_IMAGES = 8
"""Of a batch that is computed; larger ones are tried on fake tensors, which have no data."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the network is to do."""

    class_name: str
    channels: int
    image_size: tuple[int, int]
    classes: int
    batch_size: int
    train_size: int
    test_size: int
    device: str
    """As configured."""
    precision: str
    """As configured: auto is what the workers choose on this machine's CPU."""
    seconds: float
    """The time limit for all code of the file, not counting torch's import."""

    @classmethod
    def from_json(cls, text: str) -> Question:
        """The inverse of `json.dumps`."""
        data = json.loads(text)
        return cls(**data | {key: tuple(data[key]) for key in ("image_size",)})


def main(arguments: list[str]) -> int:
    """Answer one question; 0 whatever the answer."""
    os.umask(0o077)
    source = sys.stdin.buffer.read()
    question = Question.from_json(arguments[1])
    with contextlib.suppress(OSError):  # the kernel ends this process first if memory runs out
        Path("/proc/self/oom_score_adj").write_text("1000")
    with os.fdopen(os.dup(int(arguments[0])), "w") as answer:
        os.close(int(arguments[0]))
        _silence()
        _warm_up()
        faulthandler.dump_traceback_later(question.seconds, exit=True, file=answer)
        found = examine(source, question)
        print(json.dumps(found), file=answer)
    return 0


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _warm_up() -> None:
    """Let torch import all that a training step needs, which must not count against the time limit."""
    network = b"from torch import nn\nclass Net(nn.Sequential):\n    def __init__(self, channels, size, classes):\n"
    network += b"        super().__init__(nn.Flatten(), nn.Linear(1, 1))\n"
    examine(network, Question("Net", 1, (1, 1), 1, 2, 2, 2, "cpu", "auto", 0))


def examine(source: bytes, question: Question) -> dict[str, Any]:
    """`{"parameters": N, "warnings": [...]}`, or `{"error": TEXT, "line": N or null}` for a file that can't be used."""
    try:
        return _try(source, question)
    except CustomModelError as error:
        return {"error": str(error), "line": None}
    except SyntaxError as error:
        inside = error.filename == WHERE
        return {"error": f"{type(error).__name__}: {error.msg}", "line": error.lineno if inside else _line(error)}
    except ImportError as error:
        return {"error": f"{type(error).__name__}: {error}", "line": _line(error), "missing": error.name}
    except SystemExit as error:
        return {"error": "it ends the program (SystemExit)", "line": _line(error)}
    except BaseException as error:  # whatever the file raises
        return {"error": f"{type(error).__name__}: {_first_line(error)}".rstrip(": "), "line": _line(error)}


def _first_line(error: BaseException) -> str:
    try:
        return (str(error).strip().splitlines() or [""])[0][:1000]
    except BaseException:  # __str__ of the file's own error
        return ""


def _line(error: BaseException) -> int | None:
    """The line of the file where it happened, the innermost one."""
    found = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == WHERE]
    return found[-1] if found else None


def _try(source: bytes, question: Question) -> dict[str, Any]:
    import torch

    from tui_attn.train import custom_model, networks, rng
    from tui_attn.train.step import EVALUATION_BATCH, Stepper, choose_precision

    network = custom_model.make_class(source, WHERE, question.class_name)

    def build(seed: int = 0) -> torch.nn.Module:
        rng.seed_all(seed)
        return custom_model.build(network, question.channels, question.image_size, question.classes)

    with _named(f"{question.class_name}(in_channels, image_size, num_classes)"):
        model = build()
    _check_parameters(model)
    warnings = list(_one_start(model, build))
    device = torch.device("cpu")
    mean, std = [0.5] * question.channels, [0.5] * question.channels
    precision = choose_precision(question.precision, device)
    stepper = Stepper(model, device, precision, lr=0.001, mean=mean, std=std, channels_last=False)
    images = torch.randint(0, 256, (MOST_IMAGES, question.channels, *question.image_size), dtype=torch.uint8)
    labels = torch.arange(MOST_IMAGES) % question.classes
    batch = min(question.batch_size, MOST_IMAGES)
    with _named("forward"):
        logits = model(images[:batch].float() / 255 - 0.5)
    wrong = networks.check_logits(logits, batch, question.classes)
    if wrong is not None:
        raise CustomModelError(wrong)
    with _named(f"a training step in {precision}"):
        loss, _ = stepper.train_step(images[:batch], labels[:batch])
    if not math.isfinite(loss.item()):
        raise CustomModelError("the loss of an untrained network is not finite: check its layers and how they begin")
    warnings += _untrained(model)
    with _named("forward in evaluation"):
        first, second = stepper.evaluate(images[:batch]), stepper.evaluate(images[:batch])
    if first.shape != logits.shape:
        raise CustomModelError(f"in evaluation forward returns a tensor of shape {tuple(first.shape)}")
    if not torch.equal(first, second):
        warnings.append("its logits in evaluation differ from call to call: is something random outside training?")
    passes = _passes(question, EVALUATION_BATCH)
    for what, count, training in passes:
        if count <= MOST_IMAGES:
            with _named(what):
                _ = stepper.train_step(images[:count], labels[:count]) if training else stepper.evaluate(images[:count])
    if _failure(build, question, "cpu", precision, _small(passes)) is None:
        failed = _failure(build, question, "cpu", precision, passes)
        if failed is not None:
            with _named(failed[0]):
                raise failed[1]
    if question.device.startswith(("auto", "cuda")):
        warnings += _on_gpu(build, question)
    _check_kept(stepper, build)
    with _named("running the file a second time, as a worker does for another seed,"):
        network = custom_model.make_class(source, WHERE, question.class_name)
        build(1)
    return {"parameters": networks.count_parameters(model), "warnings": warnings}


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Say what was tried in errors without a line of the file."""
    try:
        yield
    except (CustomModelError, SyntaxError, ImportError):
        raise
    except Exception as error:
        if _line(error) is not None:
            raise
        raise CustomModelError(f"{what} failed: {type(error).__name__}: {_first_line(error)}") from error


def _check_parameters(model: Any) -> None:
    import torch
    from torch.nn.parameter import UninitializedParameter

    count = 0
    for name, parameter in model.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            raise CustomModelError(f"{name} has no size yet: use layers with sizes instead of lazy ones")
        if parameter.is_meta:
            raise CustomModelError(f"{name} has no values: it is on the device 'meta'")
        if parameter.dtype is not torch.float32:
            raise CustomModelError(
                f"{name} is {str(parameter.dtype).removeprefix('torch.')}: parameters must be float32"
            )
        count += parameter.numel()
    if count == 0:
        raise CustomModelError("it has no parameters: there is nothing to train")
    if count > MOST_PARAMETERS:
        raise CustomModelError(f"it has {count:,} parameters: {MOST_PARAMETERS:,} at most")


def _one_start(model: Any, build: Any) -> Iterator[str]:
    """Whether seeds change the weights that the network begins with."""
    import torch

    other = dict(build(seed=1).named_parameters())
    if all(torch.equal(value, other[name]) for name, value in model.named_parameters() if name in other):
        yield ONE_START


_Pass = tuple[str, int, bool]
"""A forward pass: its name, its number of images, and whether it is one of training."""


def _passes(question: Question, evaluated: int) -> list[_Pass]:
    """The passes of a run that evaluates so many images at once."""
    found = []
    for kind, size, total in (
        ("an epoch", question.batch_size, question.train_size),
        ("an evaluation", evaluated, question.test_size),
    ):
        training = kind == "an epoch"
        found.append((f"a batch of {kind}, {min(size, total):,} of {total:,} images,", min(size, total), training))
        if total % size:
            found.append((f"the last batch of {kind}, {total % size:,} of {total:,} images,", total % size, training))
    return found


def _small(passes: list[_Pass]) -> list[_Pass]:
    """The same with at most `MOST_IMAGES`: failures that don't depend on the number of images."""
    return [(what, min(count, MOST_IMAGES), training) for what, count, training in passes]


def _failure(
    build: Any, question: Question, device: str, precision: str, passes: list[_Pass]
) -> tuple[str, Exception] | None:
    """The first of `passes` that fails on fake tensors, which need neither memory nor a GPU."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    what, model = "moving it to the device", build()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), _autocast(device, precision):
            model = model.to(device)
            for each in passes:
                what, count, training = each
                model.train(training)
                with torch.inference_mode(not training):
                    model(torch.zeros(count, question.channels, *question.image_size, device=device))
    except Exception as error:
        return what, error
    return None


@contextlib.contextmanager
def _autocast(device: str, precision: str) -> Iterator[None]:
    """As `torch.autocast`, which does nothing for a GPU where there is none."""
    import torch

    before = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    torch.set_autocast_enabled(device, precision == "bf16")
    torch.set_autocast_dtype(device, torch.bfloat16)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled(device, before[0])
        torch.set_autocast_dtype(device, before[1])


def _on_gpu(build: Any, question: Question) -> Iterator[str]:
    """What would fail on a GPU: mixed devices, the GPU's own precision, and its larger batches of evaluation."""
    from tui_attn.train.step import EVALUATION_BATCH_CUDA

    passes = _passes(question, EVALUATION_BATCH_CUDA)
    for precision in ("fp32",) if question.precision == "fp32" else ("fp32", "bf16"):
        failed = _failure(build, question, "cuda", precision, _small(passes))
        if failed is not None and precision == "fp32" and not _is_of_devices(failed[1]):
            return  # a limitation of fake tensors
        failed = failed or _failure(build, question, "cuda", precision, passes)
        if failed is not None:
            what, error = failed
            line = _line(error)
            where = what if line is None else f"line {line}"
            said = f"on a GPU, {where} fails in {precision} ({what} {type(error).__name__}: {_first_line(error)})"
            if _is_of_devices(error):
                said = f"on a GPU, {where} mixes devices: make tensors on x.device"
            if question.device.startswith("cuda"):
                raise CustomModelError(said) from None
            yield said
            return


def _is_of_devices(error: Exception) -> bool:
    text = str(error)
    missed = any(words in text for words in ("CUDA error", "NVIDIA driver", "CUDA GPUs"))  # code that needs a real GPU
    return _line(error) is not None and not missed and ("device" in text.lower() or "numpy" in text)


def _untrained(model: Any) -> Iterator[str]:
    """Parameters that require a gradient and got none."""
    found = [name for name, parameter in model.named_parameters() if parameter.requires_grad and parameter.grad is None]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        yield f"{', '.join(found[:3])}{more} gets no gradient and won't be trained: is it used in forward?"


def _check_kept(stepper: Any, build: Any) -> None:
    """Check that checkpoints can be loaded and weights saved."""
    import torch
    from safetensors.torch import save

    from tui_attn.train.networks import plain_weights

    state = stepper.state_dict()["model"]
    odd = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if odd:
        raise CustomModelError(f"its state holds {odd[0]}, which is no tensor: keep state in parameters and buffers")
    with _named("saving and loading its weights"):
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        build().load_state_dict(torch.load(file, weights_only=True))
        save(plain_weights(stepper.model.state_dict()))


if __name__ == "__main__":
    code = main(sys.argv[1:])
    os._exit(code)  # which also ends threads of the file
