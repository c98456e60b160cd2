"""The sentence that stands first everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import record, scene, supervised
from tui_attn.compare.headline import LONGEST, headline
from tui_attn.compare.summary import summarise
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.follower import read_state
from tui_attn.system.textfit import cells

BASE = (0.910, 0.912, 0.911, 0.909, 0.913)
SE = (0.921, 0.922, 0.923, 0.918, 0.924)
SELF = (0.890, 0.893, 0.889, 0.891, 0.892)


def said(folder: Path, *, accuracies: Mapping[str, Sequence[float]] | None = None, **options: Any) -> str:
    config = ExperimentConfig(**{"epochs": 2, "seeds": 5, **options})
    made = record(folder, config=config, accuracies=accuracies or {}, predictions=False, probes=False)
    return headline(summarise(read_state(made)))


def test_it_says_who_is_better_and_who_is_worse_and_by_how_much(tmp_path: Path) -> None:
    text = said(tmp_path, accuracies={"base": BASE, "se": SE, "self-attention": SELF})
    assert text == "se is better than base by 1.06 points; self-attention is worse than base by 2.00 points."


def test_no_difference_and_undecided_are_told_apart(tmp_path: Path) -> None:
    same = tuple(value + 0.0001 * (-1) ** at for at, value in enumerate(BASE))
    wide = tuple(value + 0.02 * (-1) ** at for at, value in enumerate(BASE))
    text = said(tmp_path, accuracies={"base": BASE, "se": same, "self-attention": wide})
    assert text == "se makes no difference above 0.5 points; whether self-attention differs from base is undecided."


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    accuracies = {"base": (0.91,), "se": (0.92,), "self-attention": (0.90,)}
    text = said(tmp_path, seeds=1, accuracies=accuracies)
    assert text == "One seed: nothing decided yet. se +1.00, self-attention -1.00 points from base."


@pytest.mark.parametrize("models", [("base",), ("se",), ("se", "self-attention")])
def test_without_two_models_or_base_it_compares_nothing(tmp_path: Path, models: tuple[str, ...]) -> None:
    text = said(tmp_path, models=models, seeds=1)
    assert "% test accuracy; " in text
    assert ("base is missing" in text) == (len(models) == 2)


@pytest.mark.parametrize("kind", ["empty", "running", "failed", "lost"])
def test_it_is_short_in_every_state(tmp_path: Path, kind: str) -> None:
    text = headline(summarise(read_state(scene(tmp_path, kind, config=ExperimentConfig(epochs=2)))))
    assert 20 < cells(text) <= LONGEST


def test_many_models_with_long_names_are_counted(tmp_path: Path) -> None:
    models = ("base", *(f"/n/long{at}.py:" + "Long" * 9 for at in range(8)))
    text = said(tmp_path, models=models, seeds=3)
    undecided = "whether 6 models differ from base is undecided."
    assert text == f"2 models make no difference above 0.5 points; {undecided}"


def test_before_the_first_look_it_says_how_far_it_is(tmp_path: Path) -> None:
    states = {f"{model}-s{seed}": "queued" for model in ("base", "se", "self-attention") for seed in (2, 3, 4)}
    made = record(
        tmp_path,
        config=ExperimentConfig(epochs=2, seeds=5, looks=(5, 10)),
        planned=True,
        states=states,
        accuracies={"base": BASE, "se": SE, "self-attention": SELF},
        predictions=False,
        probes=False,
    )
    with supervised(made):
        text = headline(summarise(read_state(made)))
    assert text.startswith("2 of 5 seeds, first look at 5: nothing decided yet. se +1.05, self-attention -1.95 points")
