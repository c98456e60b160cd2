"""Custom models before training: they are tried, copied into the experiment, and trusted.

Nothing here runs their code. The process `tui_attn.train.custom_model_check` does, and later the workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import DEVNULL, PIPE, TimeoutExpired
from typing import NamedTuple

from tui_attn import data
from tui_attn.engines.workers import worker_environment
from tui_attn.experiment import trust
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.custom_model import CustomModel, CustomModelError, read_source, sha256
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.options import ConfigError
from tui_attn.launch.control import LaunchError
from tui_attn.system import children
from tui_attn.system.files import sync_folder, write_atomically
from tui_attn.system.signals import signal_name
from tui_attn.system.text import safe_text

TRIED_WITHIN = 30.0
"""Seconds within which a model's file must pass the check."""
MOST_WARNINGS = 20
ANSWER_WITHIN = 120.0
"""Seconds after which the checking process is killed as well; it imports torch first, and normally ends itself."""

Tell = Callable[[str], object]


class Source(NamedTuple):
    """A custom model and the content of its file, which is read only once."""

    model: CustomModel
    content: bytes


def prepare(
    config: ExperimentConfig, tell: Tell, located: data.Located | None = None
) -> tuple[ExperimentConfig, list[Source]]:
    """Read and try the custom models in `config`; returns the configuration with their digests, and the files.

    `located`: the data set, for the number of images. `tell` gets progress and warnings about the models. Nothing is
    written except the user's list of trusted code. Raises `ConfigError` for a model that can't be trained.
    """
    if not config.custom_models:
        return config, []
    info = data.dataset_info(config.dataset)
    if located is not None and located.counts:
        train, test = (sum(located.counts[split].values()) for split in ("train", "test"))
        info = replace(info, train_size=train, test_size=test)
    sources = []
    try:
        for model in config.custom_models:
            content = read_source(Path(model.file))
            sources.append(Source(replace(model, sha256=sha256(content)), content))
        for source in sources:
            tell(f"trying {source.model.shown}")
            for warning in examine(source, info, config):
                tell(f"{source.model.shown}: {warning}")
        for source in sources:
            trust.trust(str(source.model.sha256))
    except (CustomModelError, trust.TrustError) as error:
        raise ConfigError(str(error)) from None
    return replace(config, custom_models=tuple(source.model for source in sources)), sources


def keep(folder: ExperimentDir, sources: Sequence[Source]) -> None:
    """Copy the files into the experiment's folder. Raises `OSError`."""
    for source in sources:
        path = folder.custom_model(source.model.name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomically(path, source.content)
    if sources:
        sync_folder(folder.path)


def check_code(folder: ExperimentDir, *, trust_code: bool = False) -> None:
    """Refuse custom models that were altered since the experiment began, or not trusted by this user on this machine.

    `trust_code`: the user trusts them from now on. Raises `LaunchError` and `RunsError`.
    """
    try:
        strange = [model for model in folder.manifest_data().config.custom_models if not _is_trusted(folder, model)]
        if strange and not trust_code:
            path = folder.custom_model(strange[0].name)
            raise LaunchError(
                f"{folder.id} runs code that you haven't named on this machine: {', '.join(m.shown for m in strange)}\n"
                f"read {safe_text(path, one_line=True)}, then add --trust-code if you trust it"
            )
        for model in strange:
            trust.trust(str(model.sha256))
    except (CustomModelError, trust.TrustError) as error:
        raise LaunchError(str(error)) from None


def _is_trusted(folder: ExperimentDir, model: CustomModel) -> bool:
    path = folder.custom_model(model.name)
    if model.sha256 is None or sha256(read_source(path, follow_links=False)) != model.sha256:
        raise CustomModelError(f"{safe_text(path, one_line=True)} has been altered: restore it from a copy")
    return trust.is_trusted(model.sha256)


def remarks(manifest: Manifest) -> list[str]:
    """Remarks on files that the user has changed since the experiment began."""
    found = []
    for model in manifest.config.custom_models:
        with contextlib.suppress(CustomModelError):  # the original is gone: only the copy is left
            if sha256(read_source(Path(model.file))) != model.sha256:
                found.append(f"{model.shown} has changed since {manifest.id} began: its copy there is trained")
    return found


# ---- trying one


def examine(
    source: Source, info: data.DatasetInfo, config: ExperimentConfig, *, seconds: float = TRIED_WITHIN
) -> list[str]:
    """Try the model on random images of the data set's shape; returns warnings.

    Raises `CustomModelError` with the file, the line and what is wrong.
    """
    model = source.model
    train_size, test_size = config.sizes(info.train_size, info.test_size)
    question = {
        "class_name": model.class_name,
        "channels": info.channels,
        "image_size": [info.image_size, info.image_size],
        "classes": len(info.class_names),
        "batch_size": config.batch_size,
        "train_size": train_size,
        "test_size": test_size,
        "device": config.device,
        "precision": config.precision,
        "seconds": seconds,
    }
    return read_answer(model, *_ask(source.content, json.dumps(question), within=seconds + ANSWER_WITHIN))


def read_answer(model: CustomModel, answer: str, code: int | None) -> list[str]:
    """The warnings in the answer of the process that tried `model`, in which the file may have written, too.

    `code`: its exit code; None where it had to be killed. Raises `CustomModelError` as `examine`.
    """
    try:
        found = json.loads(answer.partition("\n")[0])  # a process that forked itself answers twice
        if "error" not in found:
            return [safe_text(warning, one_line=True)[:300] for warning in list(found["warnings"])[:MOST_WARNINGS]]
        line = None if found["line"] is None else int(found["line"])
        text, missing = safe_text(found["error"], one_line=True)[:300], str(found.get("missing") or "")
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        raise CustomModelError(_no_answer(model, answer, code)) from None
    where = model.shown if line is None else f"{safe_text(Path(model.file).name)}, line {line}"
    raise CustomModelError(f"{where}: {text}{_import_hint(model, missing, text)}")


def _ask(content: bytes, question: str, *, within: float) -> tuple[str, int | None]:
    """The answer of the process, and its exit code; None where it had to be killed."""
    reading, writing = os.pipe()
    environment = worker_environment(1, crowded=True) | {"CUDA_VISIBLE_DEVICES": ""}
    with os.fdopen(reading, "rb", buffering=0):
        try:
            process = children.python(
                "tui_attn.train.custom_model_check",
                str(writing),
                question,
                environment=environment,
                pass_fds=(writing,),
                start_new_session=True,
                stdin=PIPE,
                output=DEVNULL,
            )
        finally:
            os.close(writing)
        try:
            with contextlib.suppress(TimeoutExpired):
                process.communicate(content, timeout=within)
        finally:  # it and whatever it started
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            overdue = process.poll() is None
            process.wait()
        return _read_now(reading), None if overdue else process.returncode


def _read_now(descriptor: int) -> str:
    """What is in a pipe, which a process that the file started may hold open for ever."""
    os.set_blocking(descriptor, False)
    found = b""
    with contextlib.suppress(BlockingIOError):
        while len(found) < 1 << 20 and (part := os.read(descriptor, 1 << 16)):
            found += part
    return found.decode("utf-8", "replace")


def _no_answer(model: CustomModel, answer: str, code: int | None) -> str:
    """Why there is no answer: the time was up, or the process ended early."""
    if code is None or answer.startswith("Timeout"):
        line = re.search(r'File "own-model.py", line (\d+)', answer)
        where = model.shown if line is None else f"{safe_text(Path(model.file).name)}, line {line[1]}"
        return f"{where}: trying it took too long: does it loop, wait for input, or read data?"
    if code == -signal.SIGKILL:
        return f"{model.shown}: trying it was killed: it may need more memory than there is"
    how = f"by {signal_name(-code)}" if code < 0 else f"with exit code {code}"
    return f"{model.shown}: it ended the process that tried it, {how}"


def _import_hint(model: CustomModel, missing: str, text: str) -> str:
    """What to do about an import that failed."""
    top = missing.partition(".")[0]
    if top == "models":
        return "\nthe lab's networks are in tui_attn.models: from tui_attn.models import SEBlock"
    beside = Path(model.file).parent
    neighbour = "attempted relative import" in text
    with contextlib.suppress(OSError):
        neighbour |= top.isidentifier() and ((beside / f"{top}.py").exists() or (beside / top).is_dir())
    if neighbour:
        return "\na model of your own is one file: put what it needs into it, or install it as a package"
    return ""
