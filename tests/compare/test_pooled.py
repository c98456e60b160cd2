"""Several experiments as one, and when that is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import recorded
from tui_attn.compare import verdict
from tui_attn.compare.pooled import compare_together, why_not_together
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import summarise, summary_json
from tui_attn.compare.text_tables import comparison_table
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.writing import write_manifest

BOTH = ("base", "se")
FIRST = {"base": [0.91, 0.911, 0.909], "se": [0.915, 0.9165, 0.9142]}
SECOND = {"base": [0.9102, 0.9098], "se": [0.9151, 0.9155]}


def make(tmp_path: Path, name: str, accuracies: Any, *, seed: int = 0, **options: Any) -> ExperimentDir:
    models = options.pop("models", BOTH)
    seeds, states = len(next(iter(accuracies.values()))), options.pop("states", "finished")
    config = ExperimentConfig(epochs=2, seed=seed, seeds=seeds, models=models, **options)
    return recorded.record(tmp_path, experiment=name, config=config, states=states, accuracies=accuracies, probes=False)


def test_seeds_are_united_and_the_interval_is_that_of_all(tmp_path: Path) -> None:
    one = make(tmp_path, "one", FIRST)
    two = make(tmp_path, "two", SECOND, seed=3)
    summary, remarks = compare_together([one, two])
    found = summary_json(summary)
    assert found["experiments"] == ["one", "two"]
    assert found["seeds"] == [0, 1, 2, 3, 4]
    se = found["models"][1]
    whole = verdict(FIRST["base"] + SECOND["base"], FIRST["se"] + SECOND["se"], 1, resolution=1e-4)
    assert se["versus_base"]["delta"] == pytest.approx(whole.delta)
    assert se["versus_base"]["ci95"] == pytest.approx(list(whole.ci95 or ()))
    assert (se["versus_base"]["verdict"], se["versus_base"]["p_value"]) == (None, None), "chosen afterwards"
    assert se["versus_base"]["these_networks"]["seed"] == 0
    assert remarks[:2] == ["from one: seeds 0, 1, 2 of base, se", "from two: seeds 3, 4 of base, se"]
    assert any("one + two" in line for line in comparison_table(summary, remarks, 100))


def test_models_of_different_experiments_are_paired_by_seed(tmp_path: Path) -> None:
    one = make(tmp_path, "one", {"base": FIRST["base"]}, models=("base",))
    two = make(tmp_path, "two", {"se": FIRST["se"]}, models=("se",))
    summary, _ = compare_together([two, one])
    found = summary_json(summary)
    assert [entry["model"] for entry in found["models"]] == ["base", "se"]
    assert found["models"][1]["versus_base"]["seeds"] == [0, 1, 2]
    assert found["models"][1]["versus_base"]["delta"] == pytest.approx(0.0052333, abs=1e-6)


def test_no_command_is_named_that_several_experiments_have_no_use_for(tmp_path: Path) -> None:
    spread = {"base": [0.91, 0.95], "se": [0.94, 0.92]}
    one, two = make(tmp_path, "one", spread), make(tmp_path, "two", SECOND, seed=3)
    three = make(tmp_path, "three", FIRST, seed=7, states="failed")
    summary, remarks = compare_together([one, two, three])
    assert any("failed" in remark for remark in remarks)
    text = "\n".join(comparison_table(summary, remarks, 200))
    assert "to detect 1 point takes" in text
    assert "tui-attn" not in text


def test_runs_that_no_experiment_has_are_not_queued(tmp_path: Path) -> None:
    one = make(tmp_path, "one", FIRST)
    config = ExperimentConfig(epochs=2, models=("base", "self-attention"), seed=7)
    two = recorded.record(tmp_path, experiment="two", config=config)
    summary, remarks = compare_together([one, two])
    assert {run.state for run in summary.runs} == {"finished"}
    assert not any("not all runs have ended" in remark for remark in remarks)


def test_the_same_runs_count_once(tmp_path: Path) -> None:
    one, copy = make(tmp_path, "one", FIRST), make(tmp_path, "copy", FIRST)
    summary, remarks = compare_together([one, copy, one])
    found = summary_json(summary)
    alone = summary_json(summarise(read_state(one)))
    for key in ("delta", "ci95", "pairs", "seeds"):
        assert found["models"][1]["versus_base"][key] == alone["models"][1]["versus_base"][key]
    assert "from copy: nothing, because the others have the same runs" in remarks


def test_a_run_that_counts_stands_in_for_one_that_failed(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, models=BOTH)
    one = recorded.record(tmp_path, experiment="one", config=config, states={"se-s0": "failed"})
    two = recorded.record(tmp_path, experiment="two", config=config)
    summary, _ = compare_together([one, two])
    found = summary_json(summary)
    assert [run["counts"] for entry in found["models"] for run in entry["runs"]] == [True, True]
    assert found["state"] == "failed"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dataset": "kmnist"}, "data set: fashion-mnist and kmnist"),
        ({"batch_size": 64}, "batch size: 128 and 64"),
        ({"lr": 0.01}, "learning rate: 0.001 and 0.01"),
        ({"augment": ("flip",)}, "augmentation: none and flip"),
        ({"train_limit": 1000}, "--train-limit: none and 1000"),
        ({"test_limit": 1000}, "--test-limit: none and 1000"),
    ],
)
def test_other_settings_are_refused_in_words(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    one = make(tmp_path, "one", FIRST)
    two = make(tmp_path, "two", SECOND, seed=3, **options)
    with pytest.raises(RunsError, match="would be unfair") as raised:
        compare_together([one, two])
    assert reason in str(raised.value)


def test_other_epochs_precision_versions_and_data_are_refused(tmp_path: Path) -> None:
    one = make(tmp_path, "one", FIRST)
    epochs = recorded.record(tmp_path, experiment="e", config=ExperimentConfig(epochs=3, models=BOTH, seed=9))
    two = make(tmp_path, "two", SECOND, seed=3)
    manifest = two.manifest_data()
    changes: list[dict[str, Any]] = [
        {"precision": "bf16"},
        {"versions": manifest.versions | {"torch": "2.16.0"}},
        {"data": manifest.data | {"version": "2"}},
    ]
    assert why_not_together([read_state(one), read_state(two)]) == []
    found = [why_not_together([read_state(one), read_state(epochs)])]
    for change in changes:
        write_manifest(two, replace(manifest, **change))
        found.append(why_not_together([read_state(one), read_state(two)]))
    assert [len(reasons) for reasons in found] == [1, 1, 1, 1]
    assert [reasons[0].partition(":")[0] for reasons in found] == [
        "epochs", "precision", "version of torch", "version of the data set",
    ]  # fmt: skip


def _on(follower: Any, name: str, **about: Any) -> Any:
    """As if all runs had been trained on the model of device `name`."""
    for run in follower.state.runs.values():
        run.about |= {"device_name": name, **about}
    return follower


def test_models_of_device_are_not_mixed_unless_it_is_allowed(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one", FIRST), make(tmp_path, "two", SECOND, seed=3)
    alike = [_on(read_state(folder), "H200") for folder in (one, two)]
    assert why_not_together(alike) == []
    other = _on(read_state(two), "A100\x1b[31m")
    assert why_not_together([alike[0], other]) == ["model of device: H200 and A100␛[31m"]
    assert why_not_together([alike[0], _on(read_state(two), "A100", mix_devices=True)]) == []
    unknown = read_state(two)
    for run in unknown.state.runs.values():
        del run.about["device_name"]
    assert why_not_together([alike[0], unknown]) == []


def test_pairs_of_one_experiment_do_not_mix_models_of_device_either(tmp_path: Path) -> None:
    follower = read_state(make(tmp_path, "one", FIRST))
    for run in follower.state.runs.values():
        run.about["device_name"] = "A100" if run.id == "se-s1" else "H200"
    summary = summarise(follower)
    assert summary_json(summary)["models"][1]["versus_base"]["seeds"] == [0, 2]
    told = find_remarks(follower, summary)
    assert any("model of device: A100 against H200" in remark for remark in told), told
    for run in follower.state.runs.values():
        run.about |= {"mix_devices": True, "capability": "8.0" if run.id == "se-s1" else "9.0"}
    summary = summarise(follower)
    assert summary_json(summary)["models"][1]["versus_base"]["seeds"] == [0, 1, 2]
    told = find_remarks(follower, summary)
    assert any("different hardware" in remark and "A100 8.0" in remark for remark in told), told


def test_one_seed_with_two_results_is_refused(tmp_path: Path) -> None:
    one = make(tmp_path, "one", FIRST)
    other = make(tmp_path, "other", {"base": FIRST["base"], "se": [0.92, 0.92, 0.92]})
    reasons = why_not_together([_without_digests(one), _without_digests(other)])
    assert reasons == [f"se-s{seed} came to different results in two of them" for seed in range(3)]


def _without_digests(folder: ExperimentDir) -> Any:
    follower = read_state(folder)
    for run in follower.state.runs.values():
        run.weights_sha256 = None
    return follower


def test_experiments_without_runs_are_refused(tmp_path: Path) -> None:
    folders = [recorded.scene(tmp_path, "empty", experiment=name) for name in ("one", "two")]
    with pytest.raises(RunsError, match="none of these experiments has a run yet"):
        compare_together(folders)
