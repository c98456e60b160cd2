"""What is computed at the end of an epoch.

Each function queues work on the device and returns a function that waits for the result. That one may be called from
another thread, while the device goes on training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from safetensors.torch import save as to_safetensors

from tui_attn.train import checkpoint, networks, probe
from tui_attn.train.probe import ProbeSet
from tui_attn.train.trainer import Evaluation, Trainer


class Probe(NamedTuple):
    """A probe as it is saved."""

    file: bytes
    glance: dict[str, list[float]]
    """The mean gate of every channel by layer."""


class RunFiles(NamedTuple):
    """The files of a finished run."""

    predictions: bytes
    weights: bytes
    digest: str
    """Of the weights."""


class EpochResults(NamedTuple):
    """All results of an epoch."""

    evaluation: Evaluation
    probe: Probe | None
    files: RunFiles | None
    """After the last epoch."""


def end_of_epoch(
    trainer: Trainer, probes: ProbeSet | None, evaluation: Callable[[], Evaluation], *, last: bool
) -> Callable[[], EpochResults]:
    """The results of an epoch whose `evaluation` is queued; reading them may raise `NotFiniteError`."""
    probed = probe_of(trainer, probes, whole=last)  # large arrays are kept of the first and the last epoch only
    files = files_of(trainer, evaluation) if last else None
    return lambda: EpochResults(evaluation(), probed(), files and files())


def probe_of(trainer: Trainer, probes: ProbeSet | None, *, whole: bool) -> Callable[[], Probe | None]:
    """A probe of the network; None without attention."""
    if probes is None:
        return lambda: None
    read = probe.compute(trainer.network, probes, whole=whole)

    def pack() -> Probe | None:
        arrays, glance = read()
        return Probe(probe.pack(arrays), glance) if arrays else None

    return pack


def files_of(trainer: Trainer, evaluation: Callable[[], Evaluation]) -> Callable[[], RunFiles]:
    """Predictions and weights."""
    copies, copies_are_done = checkpoint.copied(trainer.network.state_dict())
    labels = trainer.test_labels.numpy().astype(np.int64)

    def pack() -> RunFiles:
        copies_are_done()
        predictions = probe.pack({"logits": evaluation().logits.numpy(), "labels": labels})
        weights = networks.plain_weights(copies)
        return RunFiles(predictions, to_safetensors(weights), networks.weights_sha256(weights))

    return pack
