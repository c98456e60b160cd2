"""Model cards: what they say of a network, of its model, and what they don't claim."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.recorded import record
from tui_attn.compare.summary import summarise
from tui_attn.compare.wording import verdict_sentence
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.follower import read_state
from tui_attn.export.weights import Card


def card(runs: Path, run: str, **options: Any) -> Card:
    follower = read_state(record(runs, config=ExperimentConfig(epochs=2, **options), points_per_epoch=10))
    return Card(follower, summarise(follower), follower.state.runs[run])


def metadata(text: str) -> dict[str, Any]:
    """The YAML at the head; each value is written as JSON, which is YAML too."""
    head = text.split("---\n")[1]
    return {key: json.loads(value) for key, _, value in (line.partition(": ") for line in head.splitlines())}


def test_the_metadata_are_those_of_this_network(tmp_path: Path) -> None:
    made = card(tmp_path, "se-s0")
    found = metadata(made.text())
    (index,) = found["model-index"]
    (result,) = index["results"]
    assert result["dataset"] == {"name": "Fashion-MNIST", "type": "fashion_mnist", "split": "test"}
    assert result["metrics"][0]["value"] == made.run.epochs[-1].test_accuracy
    assert found["pipeline_tag"] == "image-classification"
    assert "se" in found["tags"]


def test_with_one_seed_it_claims_nothing_of_the_model(tmp_path: Path) -> None:
    text = card(tmp_path, "se-s0").text()
    assert "too few for a verdict" in text
    assert "how much another seed would change isn't known" in text
    assert "nothing was chosen by the test set" in text


def test_with_seeds_it_has_their_mean_and_the_verdict(tmp_path: Path) -> None:
    made = card(tmp_path, "se-s1", seeds=5)
    text = made.text()
    verdict = verdict_sentence(made.summary, "se")
    assert verdict is not None
    assert f"- {verdict}." in text
    assert "over 5 seeds" in text
    assert "take the seeds' mean, not this network's figure" in text


def test_the_configuration_says_how_the_network_is_made(tmp_path: Path) -> None:
    config = card(tmp_path, "self-attention-s0").config()
    made_with = {key: config[key] for key in ("architecture", "in_channels", "image_size", "num_classes")}
    expected = {"architecture": "CNN_SelfAttention", "in_channels": 1, "image_size": 28, "num_classes": 10}
    assert made_with == expected
    assert config["training"]["learning_rate"] == 0.001
    assert json.loads(json.dumps(config, allow_nan=False)) == config


def test_a_name_is_never_markup(tmp_path: Path) -> None:
    text = card(tmp_path, "se-s0", name="[x](javascript:y) <script> **bold** `code` | a").text()
    assert r"\[x\](javascript:y) \<script\> \*\*bold\*\* \`code\` \| a" in text


def test_of_a_folder_of_images_that_is_gone_it_says_what_it_knows(tmp_path: Path) -> None:
    made = card(tmp_path, "base-s0", dataset=f"folder:{tmp_path}/gone")
    assert "network = CNN_Base(...)" in made.text()
    assert "normalisation" not in made.config()
