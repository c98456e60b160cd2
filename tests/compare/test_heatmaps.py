"""Is the picture real? The numbers beside a heatmap, and what they come to in words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tui_attn.compare.heatmap_words import heatmap_sentences
from tui_attn.compare.heatmaps import (
    between_classes,
    effective_rank,
    heatmap_facts,
    rank_correlation,
)
from tui_attn.compare.wording import two_digits

Arrays = dict[str, np.ndarray]


def gates(rng: np.random.Generator, classes: float, levels: float, images: int = 50) -> Arrays:
    """A probe of one SE layer whose gates differ so much between classes, and between channels."""
    level = 0.5 + levels * rng.standard_normal(32)
    mean = level + classes * rng.standard_normal((10, 32))
    return {
        "se1/by_class": mean.astype(np.float32),
        "se1/within": np.full((10, 32), classes, np.float32),
        "se1/saturated": np.array([0.01, 0.2], np.float32),
        "classes/images": np.full(10, images, np.float32),
    }


def attention(rng: np.random.Generator, strength: float) -> Arrays:
    def rows(count: int) -> np.ndarray:
        weights = np.exp(strength * rng.standard_normal((count, 64, 64)))
        found: np.ndarray = (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)
        return found

    return {
        "attention/by_head": rows(8),
        "attention/by_class": rows(10),
        "attention/within": np.full((10, 64), 1e-4, np.float32),
        "attention/saturated": np.array([0.9, 0.0], np.float32),
        "classes/images": np.full(10, 50, np.float32),
    }


def test_between_classes_is_eta_squared() -> None:
    """Against the sums of squares of the values themselves, with classes of unlike sizes."""
    rng = np.random.default_rng(0)
    sizes = [5, 20, 11]
    values = [rng.normal(label, 1 + label, (size, 4)) for label, size in enumerate(sizes)]
    everything = np.concatenate(values)
    total = ((everything - everything.mean(0)) ** 2).sum(0)
    within = sum(((some - some.mean(0)) ** 2).sum(0) for some in values)
    found = between_classes(
        np.array([some.mean(0) for some in values]), np.array([some.std(0) for some in values]), np.array(sizes, float)
    )
    assert found == pytest.approx(1 - within / total)


def test_between_classes_of_rows_adds_up_their_columns() -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(label, 1, (30, 4, 6)) for label in range(3)]
    everything = np.concatenate(values)
    total = ((everything - everything.mean(0)) ** 2).sum((0, 2))
    within = sum(((some - some.mean(0)) ** 2).sum((0, 2)) for some in values)
    rms = np.array([np.sqrt(some.var(0).mean(-1)) for some in values])
    found = between_classes(np.array([some.mean(0) for some in values]), rms)
    assert found == pytest.approx(1 - within / total)


def test_between_classes_of_what_never_varies_is_0() -> None:
    assert between_classes(np.ones((3, 2)), np.zeros((3, 2))).tolist() == [0, 0]


def test_classes_that_make_no_difference_reach_the_level_of_chance() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((10, 50, 4000))
    shares = between_classes(values.mean(1), values.std(1))
    assert shares.mean() == pytest.approx(9 / 499, rel=0.05)


@pytest.mark.parametrize(
    ("matrix", "rank"),
    [
        (np.eye(7), 7.0),
        (np.outer([1, 2, 3], [1, -1, 2, 0]), 1.0),
        (np.zeros((3, 4)), 0.0),
        (np.diag([3.0, 1.0]), 1.7548),
    ],
)
def test_effective_rank(matrix: np.ndarray, rank: float) -> None:
    assert effective_rank(matrix.astype(float)) == pytest.approx(rank, abs=1e-4)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31))
def test_effective_rank_lies_between_1_and_the_rank(rows: int, columns: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).standard_normal((rows, columns))
    assert 1 - 1e-9 <= effective_rank(matrix) <= min(rows, columns) + 1e-9


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 5, 8)).round(1)
    assert rank_correlation(first, second) == pytest.approx(stats.spearmanr(first.ravel(), second.ravel()).statistic)
    assert rank_correlation(first, np.ones((5, 8))) is None


@pytest.mark.parametrize(
    ("classes", "levels", "learned", "words"),
    [
        (0.001, 0.01, False, "not 3 times as strong as before training, don't interpret: the levels"),
        (0.002, 0.02, False, "not 3 times as strong as before training, don't interpret: the levels"),
        (0.001, 0.2, True, "don't interpret: the differences between classes"),
        (0.05, 0.01, True, "don't interpret: the levels of the channels"),
        (0.05, 0.2, True, "grew in training: the levels of the channels"),
        (0.0001, 0.001, False, "flattened by training: the levels of the channels (0.1x, 0.008 to 0.00091)"),
    ],
)
def test_only_what_is_3_times_as_strong_as_before_training_was_learned(
    classes: float, levels: float, learned: bool, words: str
) -> None:
    rng = np.random.default_rng(0)
    untrained = gates(rng, 0.001, 0.01)
    (facts,) = heatmap_facts(gates(rng, classes, levels), untrained)
    assert facts.learned is learned
    assert words in heatmap_sentences(facts)[0]


def test_facts_of_a_heatmap() -> None:
    rng = np.random.default_rng(0)
    arrays = gates(rng, 0.05, 0.2)
    (facts,) = heatmap_facts(arrays, gates(rng, 0.001, 0.01))
    assert facts.layer == "se1"
    assert facts.saturated == pytest.approx((0.01, 0.2))
    assert facts.chance == pytest.approx(9 / 499)
    assert facts.between is not None
    assert facts.between.shape == (32,)
    assert facts.most_rank == 9
    assert 1 < facts.effective_rank <= 9
    words = " ".join(heatmap_sentences(facts))
    assert "1.0 % of the gates are below 0.05 and 20.0 % above 0.95" in words
    assert "2 % would be chance" in words


def test_a_pattern_that_grew_out_of_the_random_start_is_said_to() -> None:
    rng = np.random.default_rng(0)
    start = gates(rng, 0.001, 0.01)
    mean = start["se1/by_class"]
    grown = start | {"se1/by_class": (mean + 20 * (mean - mean.mean(0))).astype(np.float32)}
    (facts,) = heatmap_facts(grown, start)
    assert facts.follows_start == pytest.approx(1)
    assert "largely kept from the random start" in heatmap_sentences(facts)[1]


def test_facts_of_attention() -> None:
    rng = np.random.default_rng(0)
    (facts,) = heatmap_facts(attention(rng, 0.5), attention(rng, 0.01))
    assert (facts.layer, facts.learned) == ("attention", True)
    assert facts.between is not None
    assert facts.between.shape == (64,)
    assert "even share" in " ".join(heatmap_sentences(facts))
    (alike,) = heatmap_facts(attention(rng, 0.01), attention(rng, 0.01))
    assert alike.learned is False


def test_rounding_alone_is_no_pattern_between_classes() -> None:
    same = np.full((10, 32), 0.7, np.float32)
    rounded = np.nextafter(same, np.float32(1), where=np.arange(10)[:, None] % 3 == 0, out=same.copy())
    [facts] = heatmap_facts({"static1/by_class": rounded}, {"static1/by_class": same})
    assert facts.classes.change == "similar"
    assert facts.classes.strength == 0
    noise = {"static1/by_class": rounded, "static1/within": np.full((10, 32), 1e-9, np.float32)}
    [facts] = heatmap_facts(noise)
    assert facts.between is not None
    assert facts.between.max() == 0


def test_without_the_untrained_network_nothing_is_learned() -> None:
    (facts,) = heatmap_facts(gates(np.random.default_rng(0), 0.05, 0.2))
    assert facts.learned is None
    assert "missing" in heatmap_sentences(facts)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"classes/images": None},
        {"se1/within": None, "se1/saturated": None, "classes/images": None},
        {"se1/within": np.zeros((3, 3), np.float32)},
        {"se1/within": np.full((10, 32), np.nan, np.float32)},
        {"se1/saturated": np.array([np.nan, 7], np.float32)},
        {"se1/saturated": np.zeros(3, np.float32)},
        {"classes/images": np.zeros(10, np.float32)},
    ],
)
def test_what_is_missing_or_odd_is_left_out_of_the_sentences(change: dict[str, np.ndarray | None]) -> None:
    rng = np.random.default_rng(0)
    arrays = {k: v for k, v in (gates(rng, 0.05, 0.2) | change).items() if v is not None}
    (facts,) = heatmap_facts(arrays, gates(rng, 0.001, 0.01))
    assert facts.learned
    words = " ".join(heatmap_sentences(facts))
    assert "nan" not in words
    assert ("explains" in words) == (facts.between is not None)


@pytest.mark.parametrize(
    "values",
    [np.zeros((1, 32), np.float32), np.zeros((10, 0), np.float32), np.zeros(32, np.float32), np.full((10, 3), np.nan)],
)
def test_what_is_no_heatmap_has_no_facts(values: np.ndarray) -> None:
    assert heatmap_facts({"se1/by_class": values}) == []


def test_an_untrained_heatmap_or_a_twin_of_another_shape_is_as_good_as_none() -> None:
    rng = np.random.default_rng(0)
    trained, other = gates(rng, 0.05, 0.2), {"se1/by_class": rng.random((10, 16), np.float32)}
    (facts,) = heatmap_facts(trained, other, other)
    (alone,) = heatmap_facts(trained)
    assert (facts.levels, facts.classes) == (alone.levels, alone.classes)
    assert (facts.learned, facts.follows_start, facts.effective_rank_untrained) == (None, None, None)


def test_gates_that_are_all_equal_have_facts() -> None:
    flat = {"se1/by_class": np.full((10, 32), 0.5, np.float32)}
    (facts,) = heatmap_facts(gates(np.random.default_rng(0), 0.05, 0.2), flat)
    assert facts.learned is None  # every training makes a pattern there, random labels too
    assert "grew in training: the levels" in heatmap_sentences(facts)[0]
    assert "(none before)" in heatmap_sentences(facts)[0]
    (same,) = heatmap_facts(flat, flat)
    assert same.learned is False
    grown = {"se1/by_class": np.tile(np.linspace(0.4, 0.6, 32, dtype=np.float32), (10, 1))}
    (facts,) = heatmap_facts(grown, flat)
    assert heatmap_sentences(facts) == [
        "se1: all gates were equal before training; now they differ between channels (standard deviation 0.06)",
        "they are the same for every image, so they can't differ between classes",
    ]


@pytest.mark.parametrize(
    ("twin", "learned", "words"),
    [
        ((0.001, 0.01), True, "learned, stronger than before training and with random labels: the levels"),
        (
            (0.001, 0.2),
            True,
            "but not than with random labels, don't interpret: the levels",
        ),
        (
            (0.05, 0.2),
            False,
            "but not than with random labels, don't interpret: the levels",
        ),
    ],
)
def test_with_a_twin_only_what_is_3_times_as_strong_as_with_random_labels_was_learned(
    twin: tuple[float, float], learned: bool, words: str
) -> None:
    rng = np.random.default_rng(0)
    (facts,) = heatmap_facts(gates(rng, 0.05, 0.2), gates(rng, 0.001, 0.01), gates(rng, *twin))
    assert facts.learned is learned
    said = heatmap_sentences(facts)[0]
    assert words in said
    assert "x the twin's" in said


def test_a_pattern_that_only_training_can_make_needs_a_twin() -> None:
    rng = np.random.default_rng(0)
    flat = {"se1/by_class": np.full((10, 32), 0.5, np.float32)}
    trained = gates(rng, 0.05, 0.2)
    for twin, learned in ((flat, True), (gates(rng, 0.05, 0.2), False)):
        (facts,) = heatmap_facts(trained, flat, twin)
        assert facts.learned is learned


@pytest.mark.parametrize(("value", "text"), [(2.7e-5, "0.000027"), (0.0, "0"), (0.0016, "0.0016"), (None, "–")])
def test_small_numbers_have_no_exponent(value: float | None, text: str) -> None:
    assert two_digits(value) == text
