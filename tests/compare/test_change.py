"""The paired interval of one network's change: worked examples, and its level by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from tui_attn.compare.predictions import paired_change


def table(both: int, lost: int, gained: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    before = [True] * (both + lost) + [False] * (gained + neither)
    after = [True] * both + [False] * lost + [True] * gained + [False] * neither
    return np.array(before), np.array(after)


def test_the_literatures_worked_example() -> None:
    """Airway hyper-responsiveness of 21 children before and after a transplantation: Fagerland, Lydersen and Laake."""
    found = paired_change(*table(1, 1, 7, 12))
    assert found.delta == pytest.approx(6 / 21)
    assert found.ci95 == pytest.approx((0.013, 0.508), abs=5e-4)


def test_lost_and_gained_images_are_counted() -> None:
    found = paired_change(*table(80, 6, 2, 12))
    assert (found.before, found.after) == pytest.approx((0.86, 0.82))
    assert (found.lost, found.gained, found.delta) == pytest.approx((0.06, 0.02, -0.04))


def test_several_draws_are_averaged_image_by_image() -> None:
    before = np.array([True, True, False, False])
    draws = np.array([[True, False, False, True], [True, False, False, False]])
    found = paired_change(before, draws)
    assert (found.lost, found.gained) == pytest.approx((0.25, 0.125))
    assert found.delta == pytest.approx(found.after - found.before)
    # Draws that agree are one.
    same = paired_change(before, np.array([draws[0]] * 5))
    assert same == paired_change(before, draws[0])


def test_no_change_has_an_interval_all_the_same() -> None:
    before = np.arange(1000) < 900
    found = paired_change(before, before)
    assert found.delta == 0
    assert found.ci95[1] == -found.ci95[0] == pytest.approx(1.96 * np.sqrt(2) / 1002, rel=1e-3)


@pytest.mark.parametrize(
    ("before", "after"), [(np.zeros(0, bool), np.zeros(0, bool)), (np.ones(3, bool), np.ones(4, bool))]
)
def test_other_images_are_refused(before: np.ndarray, after: np.ndarray) -> None:
    with pytest.raises(ValueError, match="same images"):
        paired_change(before, after)


@pytest.mark.parametrize(
    ("images", "lost", "gained"),
    [(300, 0.0, 0.0), (300, 1 / 300, 0.0), (300, 0.03, 0.03), (10_000, 1e-4, 0.0), (10_000, 0.01, 0.004)],
)
def test_the_interval_holds_its_level(images: int, lost: float, gained: float) -> None:
    """95 % less three standard errors of the simulation; the plain normal interval can fall to 62 %."""
    rng = np.random.default_rng(0)
    trials, held = 600, 0
    before = np.arange(images) % 2 == 0  # so many are right that as many can be lost as gained
    for _ in range(trials):
        change = rng.random(images)
        after = np.where(before, change >= 2 * lost, change < 2 * gained)
        ends = paired_change(before, after).ci95
        held += ends[0] <= gained - lost <= ends[1]
    assert held / trials >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / trials)


def test_the_interval_of_averaged_draws_holds_its_level() -> None:
    """Images that are lost in some draws and not in others, each with a probability of its own."""
    rng = np.random.default_rng(1)
    trials, images, draws, held = 400, 2000, 3, 0
    before = np.ones(images, bool)
    for _ in range(trials):
        fragile = rng.beta(0.1, 1.9, images)  # 5 % on average
        after = rng.random((draws, images)) >= fragile
        ends = paired_change(before, after).ci95
        held += ends[0] <= -0.05 <= ends[1]
    assert held / trials >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / trials)
