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


RULED_ANEW = {"ci95", "p_value", "verdict"}
"""Of a difference from base: what missing pairs and experiments chosen afterwards now change."""


def _check(found: Any, printed: Any, *, anew: bool, versus: bool = False) -> None:
    """Whether all keys that 0.1.0 printed are there in their order, with their values; floats to 9 digits."""
    if isinstance(printed, dict):
        assert [key for key in found if key in printed] == list(printed)
        for key, value in printed.items():
            if not (anew and versus and key in RULED_ANEW):
                _check(found[key], value, anew=anew, versus=key == "versus_base")
    elif isinstance(printed, list):
        assert len(found) == len(printed)
        for one, other in zip(found, printed, strict=True):
            _check(one, other, anew=anew)
    elif printed == "no difference shown":
        assert found in {"undecided", "no difference above margin"}
    else:
        assert found == (pytest.approx(printed, rel=1e-9) if isinstance(printed, float) else printed)


@pytest.mark.parametrize("case", CASES)
def test_keys_order_and_values_are_those_of_0_1_0(tmp_path: Path, case: str) -> None:
    found = json.loads(json.dumps(summary_json(CASES[case](tmp_path))))
    printed = json.loads(json.loads(PRINTED.read_text())[case])
    _check(found, printed, anew=case in {"some failed", "two experiments"})
