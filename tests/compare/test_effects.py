"""Interventions read back and put into words: what is there counts, and what isn't is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import record
from tui_attn.compare import verdict
from tui_attn.compare.effects import (
    dependence_sentence,
    effect_rows,
    effects_json,
    effects_lines,
    effects_of,
    over_runs,
)
from tui_attn.compare.interventions import (
    KINDS,
    LAYERS,
    Intervention,
    Interventions,
    InterventionsError,
    load_interventions,
    path_in,
    to_json,
)
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import RunDir
from tui_attn.experiment.follower import read_state

DIGEST = "ab" * 32


def one(kind: str, layer: str, delta: float = 0.0, half: float = 0.002) -> Intervention:
    return Intervention(
        kind=kind,
        layer=layer,
        accuracy=0.9 + delta,
        delta=delta,
        ci95=(delta - half, delta + half),
        lost=max(0.0, -delta),
        gained=max(0.0, delta),
        draws=3,
        channels=(1, 2) if kind == "most-open-off" else None,
    )


def results(model: str = "se", seed: int = 0, mean: float = 0.0, shuffled: float = 0.0) -> Interventions:
    """All interventions, with changes where attention is replaced by its mean or shuffled between images."""
    changes = {"mean": mean, "shuffled-images": shuffled}
    items = [one(kind, layer, changes.get(kind, 0.0)) for kind in KINDS[model] for layer in LAYERS[model]]
    return Interventions(f"{model}-s{seed}", model, seed, DIGEST, 10_000, 0.9, "bf16", 1.5, tuple(items))


def kept(tmp_path: Path, found: Interventions, **changes: Any) -> RunDir:
    folder = RunDir(tmp_path / found.run)
    folder.probes.mkdir(parents=True)
    path_in(folder).write_text(json.dumps(to_json(found) | changes))
    return folder


@pytest.mark.parametrize("model", KINDS)
def test_what_is_written_is_read(tmp_path: Path, model: str) -> None:
    found = results(model, mean=-0.01)
    assert load_interventions(kept(tmp_path, found), DIGEST) == found


def test_results_of_other_weights_are_not_taken_for_these(tmp_path: Path) -> None:
    folder = kept(tmp_path, results())
    for digest in ("cd" * 32, None):
        with pytest.raises(InterventionsError, match="speaks of other weights"):
            load_interventions(folder, digest)
    moved = RunDir(folder.path.rename(tmp_path / "se-s1"))
    with pytest.raises(InterventionsError, match="speaks of other weights"):
        load_interventions(moved, DIGEST)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "another"}, "damaged"),
        ({"version": 0}, "another version"),
        ({"accuracy": 1.5}, "damaged"),
        ({"accuracy": float("nan")}, "damaged"),
        ({"accuracy": True}, "damaged"),
        ({"accuracy": "0.9"}, "damaged"),
        ({"model": "base"}, "damaged"),
        ({"seconds": -1}, "damaged"),
        ({"interventions": 3}, "damaged"),
        ({"interventions": [{}]}, "damaged"),
        ({"interventions": [{**to_json(results())["interventions"][0], "ci95": [0]}]}, "damaged"),
        ({"interventions": [{**to_json(results())["interventions"][0], "channels": [-1]}]}, "damaged"),
        ({"seed": float("inf")}, "damaged"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    folder = kept(tmp_path, results(), **changes)
    with pytest.raises(InterventionsError, match=words):
        load_interventions(folder, DIGEST)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00" * 100, '{"format": "tui-attn-interventions"}'])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    folder = kept(tmp_path, results())
    path_in(folder).write_text(content)
    with pytest.raises(InterventionsError, match=r"damaged|another version"):
        load_interventions(folder, DIGEST)


def test_a_missing_file_is_told_and_a_link_is_not_followed(tmp_path: Path) -> None:
    folder = kept(tmp_path, results())
    path_in(folder).rename(tmp_path / "elsewhere")
    with pytest.raises(InterventionsError, match="is missing"):
        load_interventions(folder, DIGEST)
    path_in(folder).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InterventionsError, match="is damaged"):
        load_interventions(folder, DIGEST)


def test_unknown_interventions_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    found = results()
    more = replace(found, interventions=(*found.interventions, one("sideways", "se1"), one("mean", "se3")))
    assert load_interventions(kept(tmp_path, more), DIGEST) == found


def test_over_several_seeds_the_interval_is_the_paired_t_interval() -> None:
    runs = [results(seed=seed, mean=delta) for seed, delta in enumerate((-0.010, -0.012, -0.011, -0.011))]
    effect = over_runs(runs).get("mean")
    assert effect is not None
    expected = verdict([0.9] * 4, [0.890, 0.888, 0.889, 0.889]).ci95
    assert effect.ci95 == pytest.approx(expected)
    assert effect.delta == pytest.approx(-0.011)
    assert effect.deltas == (-0.010, -0.012, -0.011, -0.011)


def test_of_two_networks_each_is_told_with_its_own_interval_over_images() -> None:
    found = over_runs([results("self-attention", seed, mean) for seed, mean in enumerate((-0.010, 0.003))])
    effect = found.get("mean")
    assert effect is not None
    assert effect.ci95 == pytest.approx((-0.0055, -0.0015)), "as wide as theirs, not a t interval of two"
    said = dependence_sentence(found)
    assert "self-attention-s0 -1.00, 95 % interval -1.20 to -0.80; self-attention-s1 +0.30" in said
    assert "2 seeds" not in said


@pytest.mark.parametrize(("tuned", "words"), [(0.004, "rises by 0.40"), (0.001, "changes by +0.10")])
def test_the_gain_of_tuned_constants_stands_beside_that_of_a_network_of_constants(tuned: float, words: str) -> None:
    items = (one("mean", "all"), one("shuffled-images", "all"), one("tuned", "all", tuned))
    found = replace(over_runs([replace(results(), interventions=items)]), control="static", control_gain=0.0078)
    said = dependence_sentence(found)
    assert words in said
    assert "static, which has constants already, gains 0.78 points by them" in said
    assert "by them" not in dependence_sentence(replace(found, control=None))


def test_with_one_seed_the_interval_is_the_networks_own() -> None:
    effect = over_runs([results(mean=-0.01)]).get("mean", "se1")
    assert effect is not None
    assert effect.ci95 == (-0.012, -0.008)


def test_an_intervention_that_a_run_lacks_is_left_out() -> None:
    second = results(seed=1)
    second = replace(second, interventions=second.interventions[1:])
    found = over_runs([results(), second])
    assert found.get("mean", "se1") is None
    assert found.get("mean", "se2") is not None


@pytest.mark.parametrize(
    ("deltas", "words"),
    [
        (
            {"mean": -0.01},
            "falls by 1.00 points (95 % interval -1.20 to -0.80): at most about 1.20 points of its 90.00 %",
        ),
        ({"mean": 0.01}, "rises by 1.00 points"),
        ({"mean": 0.001}, "changes by +0.10 points (95 % interval -0.10 to +0.30). Its own gates aren't"),
        (
            {"shuffled": -0.03},
            "those of another image do harm: -3.00 points (95 % interval -3.20 to -2.80,",
        ),
    ],
)
def test_how_much_depends_on_this_image_in_words(deltas: dict[str, Any], words: str) -> None:
    assert words in dependence_sentence(over_runs([results(**deltas)]))


def test_a_wide_interval_leaves_room() -> None:
    wide = replace(results(), interventions=(one("mean", "all", 0.0, 0.02), one("shuffled-images", "all")))
    said = dependence_sentence(over_runs([wide]))
    assert "Its own gates aren't shown to be worth more than constant ones (at most about 2.00 points)" in said


def test_a_layer_whose_interval_excludes_0_is_told_beside_both_layers_that_are_not() -> None:
    items = (one("mean", "all", -0.0005), one("mean", "se1"), one("mean", "se2", -0.003), one("shuffled-images", "all"))
    said = dependence_sentence(over_runs([replace(results(), interventions=items)]))
    assert "aren't shown" in said
    assert "alone it changes in se2 by -0.30 (-0.50 to -0.10), one of 2 unadjusted intervals" in said


def test_incomplete_interventions_say_so() -> None:
    less = replace(results(), interventions=(one("ones", "all"),))
    assert "incomplete" in dependence_sentence(over_runs([less]))


@pytest.mark.parametrize("width", [20, 30, 50, 67, 70, 80, 120])
def test_lines_fit_their_width(width: int) -> None:
    found = [over_runs([results()]), over_runs([results("self-attention")])]
    lines = effects_lines(found, ["no interventions on se-s1 yet"], width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for model in KINDS:
        for words in KINDS[model].values():
            assert words in text


def test_eighty_columns_show_everything_in_a_row() -> None:
    found = over_runs([results(mean=-0.01)])
    lines = effects_lines([found], [], 80)
    assert "their mean over all images both 89.00 -1.00 -1.20 to -0.80" in [" ".join(line.split()) for line in lines]
    assert len(effect_rows(found)) == 2 + 27


def seen(found: Interventions, *, keep: bool = True) -> Interventions:
    """With the loss and the share of predictions that change, as newer files hold them."""
    items = [replace(item, changed=0.02, loss=0.25) for item in found.interventions]
    return replace(
        found, interventions=tuple(items if keep else [replace(items[0], changed=None), *items[1:]]), loss=0.2
    )


def test_changed_predictions_and_the_loss_are_shown_where_they_are_known(tmp_path: Path) -> None:
    found = over_runs([seen(results(mean=-0.01)), seen(results(seed=1, mean=-0.02))])
    rows = effect_rows(found)
    assert rows[0][5:] == ["changed, %", "loss"]
    assert rows[1][5:] == ["–", "0.2000"]
    assert rows[2][5:] == ["2.00", "0.2500"]
    assert "2.00 % of its predictions change" in dependence_sentence(found)
    assert effects_json([found], [])["models"][0]["interventions"][0]["changed"] == pytest.approx(0.02)
    some = over_runs([seen(results()), seen(results(seed=1), keep=False)])
    assert some.effects[0].changed is None
    assert some.effects[1].changed == pytest.approx(0.02)
    assert "predictions change" not in dependence_sentence(over_runs([results()]))
    assert load_interventions(kept(tmp_path, seen(results())), DIGEST) == seen(results())


def test_a_file_of_0_1_0_is_read(tmp_path: Path) -> None:
    folder = kept(tmp_path, results(), loss=None)
    data = json.loads(path_in(folder).read_text())
    del data["loss"]
    for item in data["interventions"]:
        del item["changed"], item["loss"]
    path_in(folder).write_text(json.dumps(data))
    assert load_interventions(folder, DIGEST) == results()


def test_for_programs() -> None:
    found = effects_json([over_runs([results(mean=-0.01)])], ["a problem"])
    assert json.loads(json.dumps(found)) == found
    (model,) = found["models"]
    assert (model["model"], model["accuracy"], model["runs"][0]["run"]) == ("se", 0.9, "se-s0")
    assert model["interventions"][0]["ci95"] == [-0.012, -0.008]
    assert found["problems"] == ["a problem"]


def test_an_experiments_runs_are_found_and_what_is_missing_is_told(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=1, seeds=3)
    folder = record(tmp_path, config=config, states={"se-s2": "failed"}, test_size=100, points_per_epoch=5)
    known = read_state(folder).state.runs
    found, problems = effects_of(read_state(folder))
    assert found == []
    assert problems == [
        "no interventions on se-s0, self-attention-s0, se-s1, self-attention-s1, self-attention-s2 yet: "
        f"'tui-attn probe {folder.id} --runs-dir {tmp_path}' computes what the accuracy becomes when the attention is "
        "replaced"
    ]
    for seed in (0, 1):
        of_run = replace(results(seed=seed), weights_sha256=str(known[f"se-s{seed}"].weights_sha256))
        path_in(folder.run(of_run.run)).write_text(json.dumps(to_json(of_run)))
    stale = replace(results("self-attention"), weights_sha256="cd" * 32)
    path_in(folder.run(stale.run)).write_text(json.dumps(to_json(stale)))
    found, problems = effects_of(read_state(folder))
    assert [(effects.model, len(effects.runs)) for effects in found] == [("se", 2)]
    assert problems[0].startswith("self-attention-s0/probes/interventions.json speaks of other weights")
    assert problems[1].startswith("no interventions on self-attention-s1, self-attention-s2 yet")
    found, problems = effects_of(read_state(folder), "se-s1")
    assert [run.run for run in found[0].runs] == ["se-s1"]
    assert problems == []
    less = replace(results(seed=1), interventions=(), weights_sha256=str(known["se-s1"].weights_sha256))
    path_in(folder.run("se-s1")).write_text(json.dumps(to_json(less)))
    assert effects_of(read_state(folder), "se-s1")[1] == [
        f"interventions on se are incomplete: 'tui-attn probe {folder.id} --runs-dir {tmp_path}' computes them"
    ]
