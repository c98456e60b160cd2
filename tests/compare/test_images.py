"""Image by image: McNemar, confusions, disagreements."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tui_attn.compare.predictions import confusion, disagreements, mcnemar, per_class
from tui_attn.compare.summary import time_to_accuracy
from tui_attn.experiment.reducer import EpochResult


def rights(both: int, first_only: int, second_only: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    first = [True] * (both + first_only) + [False] * (second_only + neither)
    second = [True] * both + [False] * first_only + [True] * second_only + [False] * neither
    return np.array(first), np.array(second)


def test_mcnemars_worked_example() -> None:
    """Agresti, Categorical Data Analysis: approval of the prime minister, 150 changed one way and 86 the other."""
    first_only, second_only, p_value = mcnemar(*rights(794, 150, 86, 570))
    assert (first_only, second_only) == (150, 86)
    assert p_value == pytest.approx(stats.binomtest(86, 236).pvalue, rel=1e-9)
    assert p_value == pytest.approx(3.716e-5, rel=1e-3)


@pytest.mark.parametrize(("one", "other"), [(1, 0), (0, 5), (3, 3), (4, 5), (2, 11), (400, 520)])
def test_mcnemar_is_the_exact_binomial_test(one: int, other: int) -> None:
    _, _, p_value = mcnemar(*rights(50, one, other, 7))
    assert p_value == pytest.approx(stats.binomtest(one, one + other).pvalue, rel=1e-9)


def test_networks_that_agree_on_what_is_right_do_not_differ() -> None:
    assert mcnemar(*rights(90, 0, 0, 10)) == (0, 0, 1)


def test_different_test_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="same images"):
        mcnemar(np.ones(3, bool), np.ones(4, bool))


def test_confusion_counts_every_image_once() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(500, 7)), rng.integers(0, 7, 500)
    expected = np.zeros((7, 7), int)
    for row, label in zip(logits, labels, strict=True):
        expected[label, int(np.argmax(row))] += 1
    found = confusion(logits, labels)
    assert found.tolist() == expected.tolist()
    accuracy = (logits.argmax(axis=1) == labels).mean()
    share = np.bincount(labels, minlength=7) / 500
    assert (per_class(found) * share).sum() == pytest.approx(accuracy)


def test_a_class_without_images_has_no_accuracy() -> None:
    found = per_class(confusion(np.array([[3.0, 1, 0], [0, 1, 3]]), np.array([0, 0])))
    assert found[0] == 0.5
    assert np.isnan(found[1:]).all()


def test_disagreements_are_of_three_kinds() -> None:
    labels = np.array([0, 1, 2, 0, 1])
    first = np.eye(3)[[0, 1, 0, 0, 2]]
    second = np.eye(3)[[0, 2, 2, 0, 0]]
    found = disagreements(first, second, labels)
    assert found.first_right.tolist() == [1]
    assert found.second_right.tolist() == [2]
    assert found.both_wrong.tolist() == [4]
    with pytest.raises(ValueError, match="same images"):
        disagreements(first, second[:4], labels)


def test_the_time_to_an_accuracy_is_the_first_epochs_that_has_it() -> None:
    def epoch(number: int, accuracy: float) -> EpochResult:
        return EpochResult(number, number * 10, 0.0, 1.0, 0.5, 1.0, accuracy, number * 100, 2.5 * number, None)

    epochs = [epoch(1, 0.80), epoch(2, 0.90), epoch(3, 0.89), epoch(4, 0.92)]
    assert time_to_accuracy(epochs, 0.9) == 5.0
    assert time_to_accuracy(epochs, 0.91) == 10.0
    assert time_to_accuracy(epochs, 0.95) is None
    assert time_to_accuracy([], 0.1) is None
