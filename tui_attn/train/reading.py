"""Reads the images of an experiment; without torch, so that a worker can import that meanwhile."""

from __future__ import annotations

from typing import Any

from tui_attn import data
from tui_attn.experiment.manifest import Manifest


def read(manifest: Manifest, seed: int, where: dict[str, Any] | None = None) -> data.Arrays:
    """The images that runs with `seed` train and are evaluated on; `where` as in the manifest, where they may be.

    Raises `DataError` with a message for the user.
    """
    config = manifest.config
    return data.load(
        data.Located.from_json(config.dataset, manifest.data if where is None else where),
        config.train_limit,
        config.test_limit,
        subset=manifest.subset_seed(seed),
        validation=config.validation,
    )
