"""The numbers of a study against simple formulas, from recorded logs."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.recorded import T0, record
from tests.study.making import curve, write_member, write_study
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import summarise
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.study import StudyDir, StudyPlan
from tui_attn.experiment.writing import write_manifest
from tui_attn.history.entries import read_history
from tui_attn.study.analysis import choose_winners, read_results, results_json, slope
from tui_attn.study.tables import forest, study_lines, title

CONFIG = ExperimentConfig(models=("base", "se", "half"), seeds=4, epochs=2, train_limit=2000)
BASE = (0.80, 0.81, 0.82, 0.83)
SE = (0.83, 0.85, 0.84, 0.88)
HALF = (0.79, 0.80, 0.82, 0.81)
FIRST = {"base": BASE, "se": SE, "half": HALF}
SECOND = {"base": SE, "se": BASE, "half": HALF}


def t_interval(values: list[float], comparisons: int) -> tuple[float, float, float]:
    """Lower end, upper end and p of a mean, Bonferroni."""
    n, mean, sd = len(values), float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(stats.t.ppf(1 - 0.05 / (2 * comparisons), n - 1)) * sd / math.sqrt(n)
    p = min(1.0, comparisons * 2 * float(stats.t.sf(abs(mean) / (sd / math.sqrt(n)), n - 1)))
    return mean - half, mean + half, p


def test_every_cell_compared_counts_in_interval_and_p(tmp_path: Path) -> None:
    study = write_study(tmp_path, CONFIG, [{"lr": 0.001}, {"lr": 0.01}], [FIRST, SECOND])
    found = read_results(study)
    assert (found.state, found.comparisons, found.ended, found.total) == ("finished", 2, 24, 24)
    for cell, its in (("1-cell", FIRST), ("2-cell", SECOND)):
        rows = {row.model: row for row in found.cells if row.cell == cell}
        differences = [other - base for base, other in zip(its["base"], its["se"], strict=True)]
        versus = rows["se"].versus
        assert versus is not None
        assert versus.delta == pytest.approx(np.mean(differences))
        assert (*(versus.ci95 or ()), versus.p_value) == pytest.approx(t_interval(differences, 2))
        assert (versus.verdict, versus.pairs) == ("better" if cell == "1-cell" else "worse", 4)
        control = rows["half"].versus
        assert control is not None
        low, high, _ = t_interval([other - base for base, other in zip(its["base"], its["half"], strict=True)], 1)
        assert control.ci95 == pytest.approx((low, high))
        assert (control.verdict, control.p_value) == (None, None)
        assert rows["se"].ci95 == pytest.approx(t_interval(list(its["se"]), 1)[:2])


def test_before_all_seeds_of_a_cell_have_ended_there_is_no_verdict(tmp_path: Path) -> None:
    states = {0: {"se-s3": "running"}}
    found = read_results(write_study(tmp_path, CONFIG, [{"lr": 0.001}, {"lr": 0.01}], [FIRST], states=states))
    versus = next(row.versus for row in found.cells if row.model == "se")
    assert versus is not None
    assert (versus.pairs, versus.ci95, versus.verdict) == (3, None, None)
    assert (found.state, found.ended) == ("stopped", 11)


def test_a_failed_run_is_a_missing_pair_at_a_stricter_level(tmp_path: Path) -> None:
    states = {0: {"se-s1": "failed"}}
    config = replace(CONFIG, models=("base", "se"))
    study = write_study(tmp_path, config, [{"lr": 0.001}], [{"base": BASE, "se": SE}], states=states)
    found = read_results(study)
    versus = found.cells[1].versus
    assert versus is not None
    assert (versus.pairs, versus.missing, found.state) == (3, 1, "failed")
    kept = [SE[at] - BASE[at] for at in (0, 2, 3)]
    assert (*(versus.ci95 or ()), versus.p_value) == pytest.approx(t_interval(kept, math.comb(4, 1)))


def test_a_slope_is_the_least_squares_slope_on_log2_of_the_size() -> None:
    sizes, values = [1000, 3000, 7000, 60_000], [0.1, 0.25, 0.2, 0.4]
    assert slope(sizes, values) == pytest.approx(np.polyfit(np.log2(sizes), values, 1)[0])
    assert slope(sizes, [0.1, None, 0.2, 0.4]) is None


def test_a_curve_has_one_slope_a_seed_and_t_intervals_over_them(tmp_path: Path) -> None:
    config = ExperimentConfig(models=("base", "se", "eca", "static"), seeds=4, epochs=3, steps=40)
    sizes = [1000, 2000, 8000]
    rng = np.random.default_rng(3)
    found = [{model: tuple(rng.uniform(0.7, 0.9, 4).round(4)) for model in config.models} for _ in sizes]
    results = read_results(curve(tmp_path, config, sizes, found))
    assert (results.kind, results.length) == ("curve", "40 steps")
    slopes = {(each.model, each.versus.against): each.versus for each in results.slopes}
    assert slopes.keys() == {("se", "base"), ("eca", "base"), ("static", "base"), ("se", "static")}
    for (model, against), comparisons in ((("se", "base"), 2), (("eca", "base"), 2), (("se", "static"), 1)):
        by_seed = [
            float(np.polyfit(np.log2(sizes), [its[model][seed] - its[against][seed] for its in found], 1)[0])
            for seed in range(4)
        ]
        versus = slopes[model, against]
        assert versus.delta == pytest.approx(np.mean(by_seed))
        assert (*(versus.ci95 or ()), versus.p_value) == pytest.approx(t_interval(by_seed, comparisons))
    assert slopes["static", "base"].verdict is None
    assert [row.size for row in results.cells if row.model == "base"] == sizes


# ---- a validation split, and the test set


VALIDATED = replace(CONFIG, models=("base", "se"), seeds=2, validation=500)


def stage_one(tmp_path: Path) -> tuple[StudyDir, StudyPlan]:
    first, second = {"base": (0.7, 0.8), "se": (0.9, 0.8)}, {"base": (0.8, 0.8), "se": (0.7, 0.8)}
    study = write_study(tmp_path, VALIDATED, [{"lr": 0.001}, {"lr": 0.01}], [first, second])
    return study, study.plan()


def test_each_model_has_its_own_winner_and_only_winners_open_the_test_set_once(tmp_path: Path) -> None:
    study, plan = stage_one(tmp_path)
    assert plan.selects
    assert choose_winners(study, plan) == {"base": "2-cell", "se": "1-cell"}
    found = read_results(study)
    assert (found.test_openings, found.test_runs, found.ended, found.total) == (0, 0, 8, 12)
    assert all(row.versus is None for row in found.cells), "the validation split decides nothing but the winners"

    plan = study.change(winners=choose_winners(study, plan))
    finals = {cell.id: plan.cell_config(cell) for cell in plan.finals}
    assert {id_: (config.models, config.lr) for id_, config in finals.items()} == {
        "final-1-cell": (("se",), 0.001),
        "final-2-cell": (("base",), 0.01),
    }
    assert all((config.validation, config.seed_list) == (None, (2, 3)) for config in finals.values())
    for cell in plan.finals:
        write_member(study, plan, cell, {"base": (0.80, 0.82), "se": (0.83, 0.86)})
    found = read_results(study)
    assert (found.test_openings, found.test_runs, found.state) == (1, 4, "finished")
    base, se = found.finals
    assert (base.model, base.label, se.model, se.label) == ("base", "lr=0.01", "se", "lr=0.001")
    assert se.versus is not None
    assert (*(se.versus.ci95 or ()), se.versus.p_value) == pytest.approx(t_interval([0.03, 0.04], 1))
    text = "\n".join(study_lines(found, 100))
    assert "the test set was opened once, by 4 runs" in text
    assert found.at_edge == ("lr of base", "lr of se")
    assert "a wider range may be better: lr of base, lr of se" in " ".join(text.split())
    assert "* " in text


def test_without_a_validation_split_each_cell_opens_the_test_set(tmp_path: Path) -> None:
    found = read_results(write_study(tmp_path, CONFIG, [{"lr": 0.001}, {"lr": 0.01}], [FIRST, SECOND]))
    assert (found.test_openings, found.test_runs) == (2, 24)
    assert "opened 2 times, by 24 runs" in "\n".join(study_lines(found, 100))


def test_openings_by_earlier_studies_of_the_same_data_are_counted_in_the_trash_too(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [{"lr": 0.001}, {"lr": 0.01}]
    for name, created, dataset in (
        ("20231114-221319-first", T0 - 9, "fashion-mnist"),
        (".trash/20231114-221318-thrown-away", T0 - 8, "fashion-mnist"),
        ("20231114-221321-later", T0 + 9, "fashion-mnist"),
        ("20231114-221317-other-data", T0 - 7, "kmnist"),
    ):
        config = replace(CONFIG, dataset=dataset)
        study = write_study(tmp_path, config, settings, [FIRST, SECOND], name=name, created=created)
        for member in study.members():
            (member.run("base-s0").path / "predictions.npz").touch()
    found = read_results(write_study(tmp_path, CONFIG, settings, [FIRST, SECOND]))
    assert (found.test_openings, found.earlier_openings) == (2, 4)
    assert "trash included, opened the test set 4 times" in " ".join(" ".join(study_lines(found, 100)).split())


def test_a_curve_on_validation_images_does_not_open_the_test_set(tmp_path: Path) -> None:
    config = replace(CONFIG, validation=100, train_limit=None)
    found = read_results(curve(tmp_path, config, [1000, 2000], [FIRST, SECOND]))
    assert (found.test_openings, found.test_runs) == (0, 0)
    assert "the test set was not opened" in "\n".join(study_lines(found, 100))


def test_a_cell_that_lacks_a_seed_can_t_win(tmp_path: Path) -> None:
    states = {0: {"se-s0": "skipped"}}
    first = {"base": (0.7, 0.8), "se": (0.9, 0.9)}
    study = write_study(tmp_path, VALIDATED, [{"lr": 0.001}, {"lr": 0.01}], [first, first], states=states)
    assert choose_winners(study, study.plan())["se"] == "2-cell"
    both = {at: {"se-s0": "skipped"} for at in (0, 1)}
    study = write_study(tmp_path / "b", VALIDATED, [{"lr": 0.001}, {"lr": 0.01}], [first, first], states=both)
    with pytest.raises(RunsError, match="has all seeds of se"):
        choose_winners(study, study.plan())


# ---- text


def test_the_text_fits_the_terminal_and_json_holds_no_nan(tmp_path: Path) -> None:
    found = read_results(write_study(tmp_path, CONFIG, [{"lr": 0.001}, {"lr": 0.01}], [FIRST, SECOND]))
    for width in (60, 80, 120, 200):
        assert max(map(len, study_lines(found, width))) <= width
    assert all(line.isascii() for line in study_lines(found, 80, ascii=True))
    assert not all(line.isascii() for line in study_lines(found, 80))
    assert json.loads(json.dumps(results_json(found), allow_nan=False))["comparisons"] == 2


@pytest.mark.parametrize("name", [None, "rates"])
def test_a_study_is_called_by_its_name_or_its_id(tmp_path: Path, name: str | None) -> None:
    study = write_study(tmp_path, replace(CONFIG, name=name), [{"lr": 0.001}, {"lr": 0.01}], [FIRST])
    said = f"{name or study.id}: sweep of 2 cells x 3 models x 4 seeds, fashion-mnist, 2 epochs, stopped, 12 of 24 runs"
    assert title(read_results(study)) == said


def test_a_forest_puts_intervals_where_they_are() -> None:
    lines = forest("points", [("a", 0.01, (0.0, 0.02)), ("b", None, None)], 60)
    assert lines[1].index("●") - lines[1].index("╂") == pytest.approx(lines[1].rindex("╂") - lines[1].index("●"), abs=1)
    assert lines[1].index("╂") == lines[2].index("┊"), "its lower end is 0"


def test_experiments_of_studies_count_as_comparisons_and_say_whose_they_are(tmp_path: Path) -> None:
    config = replace(CONFIG, models=("base", "se"))
    study = write_study(tmp_path, config, [{"lr": 0.001}, {"lr": 0.01}], [FIRST, SECOND])
    for member in study.members():
        for run in member.path.glob("*-s*"):
            (run / "predictions.npz").write_bytes(b"")
    later = record(tmp_path, config=config)
    write_manifest(later, replace(later.manifest_data(), created=T0 + 9))
    found = read_state(later)
    said = find_remarks(found, summarise(found))
    assert any("the 3rd comparison of se with base on this data here" in remark for remark in said)
    one = read_state(study.member(study.plan().cells[0]))
    said = find_remarks(one, summarise(one))
    assert any("one experiment of a study, and its verdicts are not adjusted" in remark for remark in said)


def test_the_list_of_experiments_has_one_entry_for_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_study(tmp_path, CONFIG, [{"lr": 0.001}, {"lr": 0.01}], [FIRST])
    for _ in range(2):  # read, and read again with what is cached
        (entry,) = read_history(tmp_path)
        assert (entry.study, entry.state, entry.finished, entry.runs) == ("sweep", "stopped", 12, 24)
        assert "sweep of 2 cells" in entry.facts
