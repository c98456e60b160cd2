"""What is computed at the end of an epoch.

Each function gives the device its work at once and returns what waits for it and does the rest. That may be called from
another thread, so that the device trains on meanwhile.
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
    """What is kept of a probe."""

    file: bytes
    glance: dict[str, list[float]]
    """The mean gate of every channel by layer."""


class RunFiles(NamedTuple):
    """What is kept of a finished run."""

    predictions: bytes
    weights: bytes
    digest: str
    """Of the weights."""


class EpochResults(NamedTuple):
    """All that an epoch ends with."""

    evaluation: Evaluation
    probe: Probe | None
    files: RunFiles | None
    """After the last epoch."""


def end_of_epoch(
    trainer: Trainer, probes: ProbeSet | None, evaluation: Callable[[], Evaluation], *, last: bool
) -> Callable[[], EpochResults]:
    """Everything after an epoch whose `evaluation` was begun; it may raise `NotFiniteError`."""
    probed = probe_of(trainer, probes, whole=last)  # what takes much room is kept of the first and the last only
    files = files_of(trainer, evaluation) if last else None
    return lambda: EpochResults(evaluation(), probed(), files and files())


def probe_of(trainer: Trainer, probes: ProbeSet | None, *, whole: bool) -> Callable[[], Probe | None]:
    """A probe of the network, as far as it has attention to look at."""
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
