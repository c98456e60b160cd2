"""Looks are planned, counted and told; families share the error rate; earlier comparisons are counted."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import record
from tui_attn.compare import verdict
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import Summary, Versus, summarise
from tui_attn.compare.text_tables import footnotes, model_rows
from tui_attn.compare.verdicts import Look, judge
from tui_attn.compare.wording import extension_sentences, ordinal, points, sentences, verdict_sentence
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import TRASH, ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.writing import extend_manifest

BASE = [0.9100, 0.9120, 0.9090, 0.9110, 0.9105, 0.9102, 0.9093, 0.9111, 0.9099, 0.9107, 0.9104, 0.9109]
SE = [0.9131, 0.9149, 0.9102, 0.9148, 0.9120, 0.9131, 0.9125, 0.9137, 0.9119, 0.9140, 0.9129, 0.9136]


def folder_of(tmp_path: Path, seeds: int, **options: Any) -> ExperimentDir:
    about: dict[str, Any] = {"models": ("base", "se"), "epochs": 1, "looks": (5, 10), **options.pop("config", {})}
    config = ExperimentConfig(seeds=seeds, **about)
    given = {"base": BASE[:seeds], "se": SE[:seeds], **options.pop("accuracies", {})}
    return record(tmp_path, config=config, accuracies=given, planned=True, probes=False, **options)


def summary_of(tmp_path: Path, seeds: int, **options: Any) -> Summary:
    return summarise(read_state(folder_of(tmp_path, seeds, **options)))


def versus_of(summary: Summary, model: str = "se") -> Versus:
    found = summary.get(model).versus_base
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("seeds", "look", "pairs", "following"),
    [(3, None, 3, 5), (5, Look(1, 2), 5, 10), (7, Look(1, 2), 5, 10), (10, Look(2, 2), 10, None)],
)
def test_the_newest_look_is_told_and_stands_until_the_next(
    tmp_path: Path, seeds: int, look: Look | None, pairs: int, following: int | None
) -> None:
    found = versus_of(summary_of(tmp_path, seeds))
    expected = verdict(BASE[:seeds], SE[:seeds], looks=(5, 10), resolution=1e-4)
    assert (found.look, found.pairs, found.next_look) == (look, pairs, following)
    assert (found.ci95, found.p_value, found.verdict) == (expected.ci95, expected.p_value, expected.verdict)
    assert found.delta == pytest.approx(expected.delta)
    assert not found.margin_set_afterwards


def test_a_look_waits_for_all_of_its_seeds(tmp_path: Path) -> None:
    """Seed 2 still trains: five other pairs are no look."""
    states = {"se-s2": "running"}
    from tests.recorded import supervised

    folder = folder_of(tmp_path, 6, states=states)
    with supervised(folder):
        found = versus_of(summarise(read_state(folder)))
    assert (found.pairs, found.look, found.verdict, found.p_value) == (5, None, None, None)


def test_a_pair_that_is_missing_later_leaves_an_earlier_look_alone(tmp_path: Path) -> None:
    whole = versus_of(summary_of(tmp_path / "a", 5))
    found = versus_of(summary_of(tmp_path / "b", 7, states={"se-s6": "failed"}))
    assert (found.ci95, found.p_value, found.missing) == (whole.ci95, whole.p_value, ())


def test_the_worst_run_that_was_skipped_costs_the_level(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, 5, states={"se-s2": "skipped"})
    kept = [seed for seed in range(5) if seed != 2]
    expected = verdict(
        [BASE[seed] for seed in kept], [SE[seed] for seed in kept], looks=(5, 10), missing=1, resolution=1e-4
    )
    assert versus_of(summary).ci95 == pytest.approx(expected.ci95)
    text = "\n".join(sentences(summary, "se"))
    assert "1 of 5 pairs is missing (seed 2): the others are tested at 1/5 of the level" in text


def resume(tmp_path: Path, folder: ExperimentDir, run: str, at: float) -> None:
    """Let `run`, which ended without a result, be trained to its end, which it reaches at the time `at`."""
    whole = folder_of(tmp_path / "whole", 10)
    shutil.rmtree(folder.run(run).path)
    shutil.copytree(whole.run(run).path, folder.run(run).path)
    log = LogWriter(folder.events, clock=lambda: at)
    log.append("run_queued", run=run, model="se", seed=1)
    log.append("run_started", run=run, device="cpu", worker=4242, attempt=1)
    log.append("run_ended", run=run, state="finished", reason=None)
    log.close()


def taken_at(folder: ExperimentDir, seeds: int) -> float:
    """When the look at so many seeds was taken."""
    return max(run.settled_at or 0.0 for run in read_state(folder).state.runs.values() if run.seed < seeds)


def test_a_run_that_is_resumed_after_a_look_does_not_test_that_look_again(tmp_path: Path) -> None:
    differences = [other - base for base, other in zip(BASE, SE, strict=True)]
    missing = [value if seed != 1 else None for seed, value in enumerate(differences)]
    folder = folder_of(tmp_path / "five", 5, states={"se-s1": "failed"})
    before = versus_of(summarise(read_state(folder)))
    assert before.ci95 == pytest.approx(judge(missing[:5], looks=(5, 10), resolution=1e-4).ci95)
    resume(tmp_path, folder, "se-s1", taken_at(folder, 5) + 1)
    summary = summarise(read_state(folder))
    after = versus_of(summary)
    assert (after.ci95, after.p_value, after.missing, after.seeds) == (
        before.ci95,
        before.p_value,
        (1,),
        (0, 2, 3, 4),
    )
    assert "seed 1 was resumed after this look and counts from the next on" in " ".join(sentences(summary, "se"))

    folder = folder_of(tmp_path / "ten", 10, states={"se-s1": "failed"})
    resume(tmp_path / "second", folder, "se-s1", taken_at(folder, 5) + 0.001)
    found = versus_of(summarise(read_state(folder)))
    starts = [1, 10, *[1] * 8]
    expected = judge(differences[:10], looks=(5, 10), resolution=1e-4, counts_from=starts)
    assert (found.look, found.missing, found.pairs) == (Look(2, 2), (), 10)
    assert found.ci95 == pytest.approx(expected.ci95)
    assert found.p_value == pytest.approx(expected.p_value)


def test_a_look_waits_for_a_run_that_was_stopped(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 5, states={"se-s1": "stopped"})
    found = versus_of(summarise(read_state(folder)))
    assert (found.look, found.ci95, found.next_look, found.pairs) == (None, None, 5, 4)
    resume(tmp_path, folder, "se-s1", taken_at(folder, 5) + 1)
    whole = versus_of(summary_of(tmp_path / "again", 5))
    found = versus_of(summarise(read_state(folder)))
    assert (found.ci95, found.missing) == (whole.ci95, ())


def test_each_verdict_has_its_sentence(tmp_path: Path) -> None:
    first = summary_of(tmp_path / "a", 5)
    assert "look 1 of 2, five seeds)" in str(verdict_sentence(first, "se"))
    beyond = str(verdict_sentence(summary_of(tmp_path / "b", 12), "se"))
    assert "beyond look 2 of 2, 12 seeds)" in beyond
    assert beyond.startswith("se is better than base by") and beyond.endswith("below the margin of 0.5 points")
    near = summary_of(tmp_path / "c", 10, accuracies={"se": [value + 0.0002 for value in BASE[:10]]})
    flat = summary_of(tmp_path / "d", 10, accuracies={"se": [*BASE[1:10], BASE[0]]}, config={"margin": 2})
    assert str(verdict_sentence(near, "se")).startswith("se is better than base by 0.02 points")
    assert "se: no difference from base above 2 points" in str(verdict_sentence(flat, "se"))
    early = str(verdict_sentence(summary_of(tmp_path / "e", 3), "se"))
    assert early.endswith("with three seeds so far; the first look is at 5 seeds")


def test_an_undecided_verdict_says_what_would_decide_it(tmp_path: Path) -> None:
    wide = {"se": [0.9000, 0.9200, 0.9000, 0.9210, 0.9150]}
    summary = summary_of(tmp_path, 5, accuracies=wide)
    assert versus_of(summary).verdict == "undecided"
    text = "\n".join(sentences(summary, "se"))
    assert "or lies within the margin of 0.5 points, would decide it: the next look is at 10 seeds" in text
    assert "for the margin it takes" in text and "80 % power, spread" in text


def test_extending_says_what_another_look_costs_and_shows(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, 5)
    look, shows = extension_sentences(summary, 10)
    assert look == "a verdict at 10 seeds, look 2 of 2 as planned, with 45 % of the error rate"
    assert shows.startswith("would show, 4 times in 5, 0.") and shows.endswith(" points (se)")
    assert extension_sentences(summary, 7) == ["no verdict at 7 seeds: the next look is planned at 10"]
    assert extension_sentences(summary, 12)[0] == "a verdict at 12 seeds, beyond the plan, with 10 % of the error rate"
    assert extension_sentences(summary, 5) == []


def test_extending_without_a_plan_says_that_verdicts_may_change(tmp_path: Path) -> None:
    config = ExperimentConfig(seeds=5, models=("base", "se"), epochs=1)
    folder = record(tmp_path, config=config, accuracies={"base": BASE[:5], "se": SE[:5]}, probes=False)
    summary = summarise(read_state(folder))
    assert (versus_of(summary).looks, versus_of(summary).verdict) == (None, "better")
    assert extension_sentences(summary, 7)[-1].endswith("may change")
    assert not any("may change" in text for text in extension_sentences(summary_of(tmp_path / "planned", 5), 10))


def test_extending_keeps_the_plan(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 5, config={"looks": None})
    before = folder.manifest_data().plan
    assert before is not None and before.looks == (5, 10)
    extend_manifest(folder, 20)
    assert folder.manifest_data().plan == before


@pytest.mark.parametrize("extended", [False, True])
def test_experiments_without_a_plan(tmp_path: Path, extended: bool) -> None:
    config = ExperimentConfig(seeds=10, models=("base", "se"), epochs=1)
    folder = record(tmp_path, config=config, accuracies={"base": BASE[:10], "se": SE[:10]}, probes=False)
    if extended:
        log = LogWriter(folder.events)
        log.append("extended", seeds=10)
        log.close()
    follower = read_state(folder)
    summary = summarise(follower)
    found = versus_of(summary)
    expected = verdict(BASE[:10], SE[:10], looks=() if extended else None, resolution=1e-4)
    assert (found.ci95, found.look, found.margin_set_afterwards) == (expected.ci95, None, True)
    remark = next(each for each in find_remarks(follower, summary) if "no plan" in each)
    assert ("every seed counts as a look" in remark) == extended
    assert "0.5 points was set afterwards" in remark


def test_an_interval_of_several_looks_says_so_and_no_difference_shows_no_p_value(tmp_path: Path) -> None:
    alike = [value + 0.0001 * (seed % 3 - 1) for seed, value in enumerate(BASE[:10])]
    for seeds, where in ((5, "look 1 of 2, five seeds"), (10, "over all looks, look 2 of 2, ten seeds")):
        summary = summary_of(tmp_path / str(seeds), seeds, accuracies={"se": alike[:seeds]})
        said = str(verdict_sentence(summary, "se"))
        assert "no difference from base above 0.5 points" in said and where in said
        assert "p=" not in said and ("over all looks" in said) == (seeds == 10)
        table = {row[0].strip(): row[1:] for row in model_rows(summary)}
        assert table["95 % interval**"][1] != "–" and "p-value**" not in table


def test_controls_have_intervals_and_blind_controls_a_family_of_their_own(tmp_path: Path) -> None:
    models = ("base", "se", "self-attention", "static")
    given = {"static": BASE[5:10], "self-attention": SE[:5]}
    summary = summary_of(tmp_path, 5, config={"models": models}, accuracies=given)
    assert summary.comparisons == 2
    control, against = versus_of(summary, "static"), summary.get("se").versus_control
    assert (control.verdict, control.p_value, control.level) == (None, None, 0.95)
    assert control.ci95 == pytest.approx(verdict(BASE[:5], BASE[5:10], looks=(5, 10), resolution=1e-4).ci95)
    assert "described, not tested (a control, base with one learned gate" in str(verdict_sentence(summary, "static"))
    assert against is not None and against.against == "static"
    assert against.ci95 == pytest.approx(verdict(BASE[5:10], SE[:5], 1, looks=(5, 10), resolution=1e-4).ci95)
    assert any("blind to the image" in sentence for sentence in sentences(summary, "se"))
    assert summary.get("self-attention").versus_control is None
    table = {row[0]: row[1:] for row in model_rows(summary)}
    assert table["against blind control"] == ["–", points(against.delta), "–", "–"]
    assert "the intervals of controls hold each by itself" in " ".join(footnotes(summary))


def test_earlier_comparisons_on_the_same_data_are_counted_with_the_trash(tmp_path: Path) -> None:
    for number, name in enumerate(["one", "two", TRASH, "other-data", "newest"]):
        where = tmp_path / TRASH if name == TRASH else tmp_path
        data = {"version": "2" if name == "other-data" else "1"}
        folder = folder_of(where, 3, experiment=name.strip("."), data=data, config={"lr": 0.001 * (number + 1)})
        made_at(folder, 1000.0 + number)
    follower = read_state(ExperimentDir(tmp_path / "newest"))
    text = "\n".join(find_remarks(follower, summarise(follower)))
    assert "this is the 4th comparison of se with base on this data here, trash included" in text
    assert "at least one verdict in 4 would appear with probability 19 %" in text
    first = read_state(ExperimentDir(tmp_path / "one"))
    assert not any("comparison of" in remark for remark in find_remarks(first, summarise(first)))


def made_at(folder: ExperimentDir, created: float) -> None:
    from tui_attn.experiment.writing import write_manifest

    write_manifest(folder, replace(folder.manifest_data(), created=created))


def test_ordinals() -> None:
    assert [ordinal(number) for number in (2, 3, 7, 11, 12, 21, 112)] == [
        "2nd", "3rd", "7th", "11th", "12th", "21st", "112th",
    ]  # fmt: skip
