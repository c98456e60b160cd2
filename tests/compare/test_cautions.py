"""What keeps a reader from concluding more than an experiment shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.recorded import record
from tui_attn.compare.cautions import control_checks, outliers, skewed, still_rising, unlike_times
from tui_attn.compare.headline import likely_cause
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import Summary, summarise
from tui_attn.compare.wording import sentences, verdict_sentence
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state

BASE = [0.900, 0.902, 0.899, 0.901, 0.9005, 0.9015, 0.8995, 0.9]


def made(
    folder: Path, models: Sequence[str], shifts: Mapping[str, float], seeds: int = 8, **options: Any
) -> ExperimentDir:
    """Every model as `BASE`, shifted; the shifts of seeds differ a little."""
    given = {
        model: [BASE[at % len(BASE)] + shifts.get(model, 0.0) + 0.0002 * (-1) ** at for at in range(seeds)]
        for model in models
    }
    config = ExperimentConfig(epochs=2, seeds=seeds, models=tuple(models), looks=options.pop("looks", ()))
    return record(
        folder, config=config, probes=False, predictions=False, planned=True, **{"accuracies": given, **options}
    )


def summary_of(folder: ExperimentDir) -> Summary:
    return summarise(read_state(folder))


def spread_gates(folder: ExperimentDir, model: str, sd: float) -> None:
    """Let the gates of all runs of `model` differ so much between channels."""
    for run in (run for run in read_state(folder).state.runs.values() if run.model == model):
        own = folder.run(run.id)
        own.probes.mkdir(exist_ok=True)
        row = 0.5 + sd * np.tile([-1.0, 1.0], 16)
        layers = (f"{model}1", f"{model}2")
        arrays: dict[str, Any] = {f"{layer}/by_class": np.tile(row, (10, 1)).astype(np.float32) for layer in layers}
        np.savez(own.probes / "epoch-002.npz", **arrays)
        log = LogWriter(own.events)
        log.append("probe", epoch=2, file="epoch-002.npz", gates={})
        log.close()


def test_a_control_whose_gates_hardly_moved_is_no_evidence_on_looking_at_the_image(tmp_path: Path) -> None:
    folder = made(tmp_path, ("base", "static", "se"), {"static": -0.02, "se": -0.01}, seeds=3, looks=(3,))
    spread_gates(folder, "static", 0.014)
    spread_gates(folder, "se", 0.27)
    follower = read_state(folder)
    summary = summarise(follower)
    (said,) = control_checks(follower, summary).values()
    assert "static's gates hardly moved in" in said
    assert "spread over channels (SD) is 0.014, that of se's 0.27" in said
    assert "no evidence that looking at the image helps" in said
    assert said in find_remarks(follower, summary)
    spread_gates(folder, "static", 0.2)
    assert control_checks(follower, summary) == {}


def test_a_run_far_from_the_others_of_its_model_is_named_with_what_the_differences_are_without_it(
    tmp_path: Path,
) -> None:
    given = {"base": [*BASE[:7], 0.85], "se": [value + 0.004 for value in (*BASE[:7], 0.898)]}
    summary = summary_of(made(tmp_path, ("base", "se"), {}, accuracies=given))
    (said,) = outliers(summary)
    assert said.startswith("base-s7 (85.00 %) lies more than 5 standard deviations from the other 7 runs of the model")
    assert "it was kept; without seed 7 the differences from base are se +0.40" in said
    assert any("most extreme: seed 7" in text for text in skewed(summary))
    assert list(outliers(summary_of(made(tmp_path / "b", ("base", "se"), {"se": 0.01})))) == []


def test_unlike_times_and_accuracies_that_still_rise_are_told(tmp_path: Path) -> None:
    folder = made(tmp_path, ("base", "se"), {"se": 0.01}, seeds=3)
    follower = read_state(folder)
    summary = summarise(follower)
    assert unlike_times(summary) is None
    runs = follower.state.runs
    base, se = summary.models
    slow = tuple(replace(run, train_seconds=2.0 * (at + 1)) for at, run in enumerate(base.runs))
    said = unlike_times(replace(summary, models=(replace(base, runs=slow), se)))
    assert said is not None and said.startswith("don't compare times") and "3.0-fold" in said
    assert "base's from 2 s (base-s0) to 6 s (base-s2)" in said
    short = tuple(replace(run, train_seconds=0.02 * (at + 1)) for at, run in enumerate(base.runs))
    assert unlike_times(replace(summary, models=(replace(base, runs=short), se))) is None
    rising = [text for text in still_rising(summary, runs) if "still rises in the last epoch" in text]
    assert len(rising) == 1


def test_the_likely_cause_of_a_deficit_is_named_where_the_controls_show_it(tmp_path: Path) -> None:
    models, shifts = ("base", "half", "se", "se2x"), {"half": -0.012, "se": -0.007, "se2x": 0.004}
    said = likely_cause(summary_of(made(tmp_path / "a", models, shifts)))
    assert said == (
        "se is probably behind because gates start near 0.5: se2x, the same gates doubled, is +0.40 points from base"
        " and half, halved maps without gates, is -1.20 points from base (described, not tested)."
    )
    assert likely_cause(summary_of(made(tmp_path / "b", models, {"se": -0.007, "se2x": -0.007}))) is None


def test_a_limit_from_an_earlier_look_and_an_unadjusted_p_value_say_so(tmp_path: Path) -> None:
    shifts = [0.0051, 0.0049, 0.0050, 0.0052, 0.0048, 0.01, 0.0, 0.012, -0.003, 0.006]
    base = [0.9] * 10
    given = {"base": base, "se": [one + shift for one, shift in zip(base, shifts, strict=True)]}
    summary = summary_of(made(tmp_path, ("base", "se"), {}, seeds=10, accuracies=given, looks=(5, 10)))
    said = str(verdict_sentence(summary, "se"))
    assert "over all looks, both limits from the look at 5 seeds" in said
    assert "(not adjusted for the two looks, and so smaller)" in " ".join(sentences(summary, "se"))
