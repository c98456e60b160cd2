"""`compare --json` of recorded experiments, against what 0.1.0 printed for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.recorded import record, scene
from tui_attn.compare.pooled import compare_together
from tui_attn.compare.summary import Summary, summarise, summary_json
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.follower import read_state

PRINTED = Path(__file__).with_name("printed_by_0_1_0.json")
ACCURACIES = {"base": [0.91, 0.912, 0.909], "se": [0.915, 0.916, 0.914], "self-attention": [0.911, 0.91, 0.9095]}


def _recorded(folder: Path, **options: Any) -> Summary:
    settings = {name: options.pop(name) for name in list(options) if name in ExperimentConfig.__dataclass_fields__}
    config = ExperimentConfig(**{"epochs": 2, "seeds": 3, **settings})
    return summarise(read_state(record(folder, config=config, **{"probes": False, "test_size": 2000, **options})))


def _together(folder: Path) -> Summary:
    options: dict[str, Any] = {"accuracies": ACCURACIES, "probes": False, "test_size": 2000}
    one = record(folder / "one", config=ExperimentConfig(epochs=2, seeds=2), **options)
    two = record(folder / "two", config=ExperimentConfig(epochs=2, seeds=1, seed=2), **{**options, "accuracies": {}})
    return compare_together([one, two])[0]


CASES = {
    "three seeds": lambda folder: _recorded(folder, accuracies=ACCURACIES),
    "one seed": lambda folder: _recorded(folder, seeds=1, seed=7, name="a “name”"),
    "some failed": lambda folder: _recorded(folder, states={"se-s1": "failed", "base-s2": "stopped"}),
    "no base": lambda folder: _recorded(folder, models=("se", "self-attention")),
    "nothing yet": lambda folder: summarise(read_state(scene(folder, "empty"))),
    "two experiments": _together,
}


def _tokens(text: str) -> Any:
    """The JSON value with its keys in order, and floats to 9 digits: the last ones are the machine's."""
    return json.loads(text, object_pairs_hook=list, parse_float=lambda number: f"{float(number):.9g}")


@pytest.mark.parametrize("case", CASES)
def test_keys_order_and_values_are_those_of_0_1_0(tmp_path: Path, case: str) -> None:
    printed = json.dumps(summary_json(CASES[case](tmp_path)))
    assert _tokens(printed) == _tokens(json.loads(PRINTED.read_text())[case])
