"""What is said in the form for a new experiment: hints beside its fields, and what its entries amount to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.custom_model import EXAMPLE
from tui_attn.ui.form_state import OWN, Draft


def limited(config: ExperimentConfig, sizes: tuple[int, int] | None) -> tuple[int, int] | None:
    """Training and test images of an epoch."""
    if sizes is None:
        return None
    return min(sizes[0], config.train_limit or sizes[0]), min(sizes[1], config.test_limit or sizes[1])


def amount(draft: Draft) -> str:
    """How many runs an experiment has."""
    config = draft.config()
    models, seeds = len(config.models), config.seeds
    if models * seeds == 1:
        return "1 run"
    return f"{models * seeds:,} runs: {_many(models, 'model')} x {_many(seeds, 'seed')}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _seeds(draft: Draft) -> str:
    config = draft.config() if not draft.reasons() else None
    if config is None or config.seeds == 1:
        return "of each model; with one there is no verdict" if config else "of each model"
    return f"of each model: {config.seed} to {config.seed + config.seeds - 1}"


HINTS: Mapping[str, Callable[[Draft], str]] = {
    "models": lambda _: "",
    OWN: lambda _: f"as in {EXAMPLE}",
    "epochs": lambda _: "passes over the training images",
    "seeds": _seeds,
    "seed": lambda _: "the others follow it",
    "batch_size": lambda _: "images in a training step",
    "lr": lambda _: "Adam's",
    "augment": lambda _: "at random, while training",
    "train_limit": lambda _: "the first so many images",
    "test_limit": lambda _: "the first so many images",
    "precision": lambda _: "auto: bf16 where it is fast",
    "jobs": lambda _: "workers",
    "data_dir": lambda _: "looked at first",
    "name": lambda _: "shown beside its id",
    "tensorboard": lambda _: "its event files, while it trains",
}
"""Entry -> what is said beside it while it is right."""
