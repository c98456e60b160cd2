"""Interventions on trained networks: each does what it says, and what can't be intervened on is told in a line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tui_attn import data
from tui_attn.compare.effects import effects_of
from tui_attn.compare.interventions import KINDS, LAYERS, TUNED, load_interventions, path_in
from tui_attn.compare.predictions import load_predictions
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.writing import make_experiment, write_manifest
from tui_attn.launch import probe_process
from tui_attn.models import CNN_SE, MODELS, CNN_SelfAttention, GatedTrunk, MixingTrunk, fold_gates
from tui_attn.train import interventions
from tui_attn.train.attention_interventions import attention_interventions
from tui_attn.train.feature_maps import FeatureMaps, LabelledImages, another_image
from tui_attn.train.gate_interventions import DRAWS, Outcome, gate_interventions
from tui_attn.train.tuned_constants import tuned_constants
from tui_attn.train.worker_context import WorkerContext

RUNS = ("base-s0", "se-s0", "self-attention-s0", "se-s1")


Change = Callable[[Path], object]


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ExperimentDir:
    """Networks trained for a few steps, each with its predictions and weights; to be read only."""
    config = ExperimentConfig(
        models=("base", "se", "self-attention"), dataset="synthetic", epochs=1, train_limit=1500, test_limit=450
    )
    folder = make_experiment(tmp_path_factory.mktemp("runs"), config)
    located = data.ensure("synthetic")
    where = {"root": str(located.root), "files": [], "source": located.source, "version": located.version}
    manifest = Manifest(
        id=folder.id,
        created=0.0,
        config=config,
        threads=torch.get_num_threads(),
        devices=("cpu",),
        precision="fp32",
        data=where,
        versions={},
        host="here",
    )
    write_manifest(folder, manifest)
    log = LogWriter(folder.events)
    log.append("experiment_started", experiment=folder.id, devices=["cpu"], jobs=1, resumed=False)
    context = WorkerContext(folder, manifest, "cpu", probes=False)
    for run in RUNS:
        model, _, seed = run.rpartition("-s")
        log.append("run_queued", run=run, model=model, seed=int(seed))
        log.append("run_started", run=run, device="cpu", worker=1, attempt=1)
        context.open(run)
        context.session(run).train_epoch(lambda: False)
        context.session(run).finish()
        context.close(run)
        log.append("run_ended", run=run, state="finished", reason=None)
    log.append("run_queued", run="se-s2", model="se", seed=2)
    log.append("run_queued", run="se-s3", model="se", seed=3)
    log.append("run_ended", run="se-s3", state="stopped", reason=None)
    log.append("run_queued", run="simam-s0", model="simam", seed=0)
    log.close()
    return folder


@pytest.fixture
def copy(trained: ExperimentDir, tmp_path: Path) -> ExperimentDir:
    """A copy to do with as one likes."""
    return ExperimentDir(Path(shutil.copytree(trained.path, tmp_path / trained.id)))


# ---- what is computed


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Constants are tuned for 20 steps, which is enough to be better than the mean."""
    monkeypatch.setattr("tui_attn.train.tuned_constants.STEPS", 20)


def labelled(channels: int, count: int = 60) -> LabelledImages:
    """Images of coarse patches, some dark and some bright, so that their gates differ."""
    generator = torch.Generator().manual_seed(1)
    patches = torch.rand(count, channels, 4, 4, generator=generator) * torch.rand(count, 1, 1, 1, generator=generator)
    images = (255 * patches).to(torch.uint8).repeat_interleave(7, 2).repeat_interleave(7, 3)
    return LabelledImages(images, torch.arange(count) % 10, (0.3,) * channels, (0.2,) * channels)


def normalised(shown: LabelledImages) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (shown.mean, shown.std))
    return (shown.images / 255 - mean) / std


def se_network(channels: int = 1) -> CNN_SE:
    """Untrained, with gates that differ from image to image and from channel to channel as if it weren't."""
    torch.manual_seed(0)
    net = CNN_SE(channels).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith("se"):
                parameter.mul_(4)
    return net


def told(net: torch.nn.Module, shown: LabelledImages) -> LabelledImages:
    """The same images, each labelled as the network classifies it, so that every change of mind shows."""
    with torch.inference_mode():
        return replace(shown, labels=net(normalised(shown)).argmax(1))


def by_name(outcomes: list[Outcome]) -> dict[tuple[str, str], Outcome]:
    return {(outcome.kind, outcome.layer): outcome for outcome in outcomes}


def rightly(net: torch.nn.Module, shown: LabelledImages, **replaced: object) -> Tensor:
    with torch.inference_mode():
        found: Tensor = net(normalised(shown), **replaced).argmax(1) == shown.labels
    return found


@pytest.mark.parametrize("name", ["se", "cbam", "self-attention", "xca"])
def test_constants_are_tuned_on_the_training_images_alone(name: str) -> None:
    torch.manual_seed(0)
    net = MODELS[name]().eval()
    assert isinstance(net, GatedTrunk | MixingTrunk)
    test, training = labelled(1), labelled(1, count=60)
    maps: FeatureMaps[Any] = FeatureMaps(net, test, "fp32")
    before = {key: value.clone() for key, value in net.state_dict().items()}
    state = torch.get_rng_state()
    found = tuned_constants(maps, training, 0, nothing)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert (found.kind, found.layer, len(found.right)) == (TUNED, LAYERS[name][-1], 1)

    # Other labels of the test images change what is right and no prediction; other training labels do the opposite.
    relabelled: FeatureMaps[Any] = FeatureMaps(net, replace(test, labels=(test.labels + 1) % 10), "fp32")
    again = tuned_constants(relabelled, training, 0, nothing)
    assert torch.equal(again.answers.predicted, found.answers.predicted)
    other = tuned_constants(maps, replace(training, labels=(training.labels + 1) % 10), 0, nothing)
    assert not torch.equal(other.answers.loss, found.answers.loss)
    # On the images that they are tuned on, they do better than the means.
    own: FeatureMaps[Any] = FeatureMaps(net, training, "fp32")
    tuned = tuned_constants(own, training, 0, nothing)
    interventions_of = gate_interventions if isinstance(net, GatedTrunk) else attention_interventions
    mean = by_name(interventions_of(own, 0, nothing)[1])["mean", LAYERS[name][-1]]
    assert tuned.answers.loss.mean() < mean.answers.loss.mean()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("block", [60, 7])
def test_gate_interventions_are_the_networks_own_with_other_gates(channels: int, block: int) -> None:
    net = se_network(channels)
    shown = told(net, labelled(channels))
    maps = FeatureMaps(net, shown, "fp32")
    maps.block = block
    before, outcomes = gate_interventions(maps, 0, nothing)
    found = by_name(outcomes)
    assert set(found) == {(kind, layer) for kind in KINDS["se"] for layer in LAYERS["se"] if kind != TUNED}
    assert torch.equal(before.right, rightly(net, shown))
    with torch.inference_mode():
        losses = torch.nn.functional.cross_entropy(net(normalised(shown)), shown.labels, reduction="none")
    torch.testing.assert_close(before.loss, losses)
    own = {layer: gates.detach() for layer, gates in net.gates(normalised(shown)).items()}
    order = {layer: gates.mean(0).argsort(descending=True) for layer, gates in own.items()}

    def without(layer: str, chosen: Tensor) -> Tensor:
        return own[layer].index_fill(1, chosen, 0)

    replaced = {
        "mean": {layer: gates.mean(0) for layer, gates in own.items()},
        "ones": {layer: torch.ones_like(gates) for layer, gates in own.items()},
        "half": {layer: torch.full_like(gates, 0.5) for layer, gates in own.items()},
        "most-open-off": {layer: without(layer, order[layer][:4]) for layer in own},
        "least-open-off": {layer: without(layer, order[layer][-4:]) for layer in own},
    }
    for kind, gates in replaced.items():
        for layer in ("se1", "se2"):
            expected = rightly(net, shown, gates={layer: gates[layer]})
            assert torch.equal(found[kind, layer].right, expected[None]), (kind, layer)
        assert torch.equal(found[kind, "all"].right, rightly(net, shown, gates=gates)[None]), kind
    assert found["most-open-off", "se2"].channels == tuple(sorted(order["se2"][:4].tolist()))
    assert found["least-open-off", "se1"].channels == tuple(sorted(order["se1"][-4:].tolist()))
    assert found["most-open-off", "all"].channels is None


def test_mean_gates_are_a_network_without_attention() -> None:
    net, shown = se_network(), labelled(1)
    _, outcomes = gate_interventions(FeatureMaps(net, shown, "fp32"), 0, nothing)
    means = {layer: gates.mean(0).detach() for layer, gates in net.gates(normalised(shown)).items()}
    expected = rightly(fold_gates(net, means), shown)
    assert torch.equal(by_name(outcomes)["mean", "all"].right[0], expected)


def test_random_interventions_draw_anew_for_every_image_and_draw_and_alike_for_a_seed() -> None:
    net, shown = se_network(), labelled(1, 300)
    random = ("shuffled-images", "shuffled-channels", "random-off")
    first, again, other = (
        by_name(gate_interventions(FeatureMaps(net, shown, "fp32"), seed, nothing)[1]) for seed in (0, 0, 1)
    )
    for kind in random:
        for layer in LAYERS["se"]:
            draws = first[kind, layer].right
            assert draws.shape == (DRAWS, 300)
            assert torch.equal(draws, again[kind, layer].right)
        assert len({tuple(draw.tolist()) for draw in first[kind, "all"].right}) == DRAWS
        assert not torch.equal(first[kind, "all"].right, other[kind, "all"].right)


def test_no_image_gets_its_own_gates_back() -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (2, 3, 10, 1000):
        partner = another_image(count, generator)
        assert sorted(partner.tolist()) == list(range(count))
        assert (partner != torch.arange(count)).all()
    drawn = torch.stack([another_image(4, generator)[0] for _ in range(3000)])
    assert torch.bincount(drawn, minlength=4)[1:].min() > 900  # a third each


def test_gates_that_are_the_same_in_all_images_can_be_shuffled_without_any_effect() -> None:
    net, shown = se_network(), labelled(1, 100)
    with torch.no_grad():
        for block in (net.se1, net.se2):
            block.fc[2].get_parameter("weight").zero_()  # sigmoid(0) everywhere
    before, outcomes = gate_interventions(FeatureMaps(net, shown, "fp32"), 0, nothing)
    for kind in ("mean", "half", "shuffled-images", "shuffled-channels"):
        for layer in LAYERS["se"]:
            assert (by_name(outcomes)[kind, layer].right == before.right).all(), (kind, layer)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("block", [60, 11])
def test_attention_interventions_are_the_networks_own_with_other_weights(residual: bool, block: int) -> None:
    torch.manual_seed(0)
    net = CNN_SelfAttention(1, residual=residual).eval()
    with torch.no_grad():
        net.attn.mha.in_proj_weight.mul_(10)
        net.attn.to_map.weight.mul_(10)
    shown = told(net, labelled(1))
    maps = FeatureMaps(net, shown, "fp32")
    maps.block = block
    before, outcomes = attention_interventions(maps, 0, nothing)
    found = by_name(outcomes)
    assert set(found) == {(kind, "attention") for kind in KINDS["self-attention"] if kind != TUNED}
    assert torch.equal(before.right, rightly(net, shown))
    own = net.attention(normalised(shown)).detach()
    replaced = {"mean": own.mean(0), "uniform": torch.full((64, 64), 1 / 64), "identity": torch.eye(64)}
    for kind, weights in replaced.items():
        expected = rightly(net, shown, attention=weights)
        assert torch.equal(found[kind, "attention"].right[0], expected), kind
    # With another image's weights: what it becomes for an image is one of what the others' weights make of it.
    possible = torch.stack([rightly(net, shown, attention=own.roll(shift, 0)) for shift in range(1, 60)])
    draws = found["shuffled-images", "attention"].right
    assert draws.shape == (DRAWS, 60)
    assert ((draws[:, None] == possible).any(1)).all()
    assert not draws.all(1).any()


def test_interventions_change_no_weight_and_draw_from_no_global_stream() -> None:
    net = se_network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"]
    gate_interventions(FeatureMaps(net, labelled(1), "fp32"), 0, nothing)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state(legacy=False)["state"]["key"] == numpy_state).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_bf16_differs_by_rounding_alone() -> None:
    net, shown = se_network(), labelled(1, 400)
    exact, _ = gate_interventions(FeatureMaps(net, shown, "fp32"), 0, nothing)
    rounded, _ = gate_interventions(FeatureMaps(net, shown, "bf16"), 0, nothing)
    assert (exact.right != rounded.right).float().mean() < 0.1  # of random images on a network that knows nothing


# ---- the process


def test_every_finished_run_with_attention_gets_results(copy: ExperimentDir, capfd: pytest.CaptureFixture[str]) -> None:
    assert probe_process.start(copy).wait() == 0
    assert "se-s0: 25 interventions on 450 test images" in capfd.readouterr().err
    known = read_state(copy).state.runs
    for run in ("se-s0", "se-s1", "self-attention-s0"):
        found = load_interventions(copy.run(run), known[run].weights_sha256)
        logged = known[run].epochs[-1].test_accuracy
        assert found.accuracy == pytest.approx(logged, abs=0.01)
        assert path_in(copy.run(run)).stat().st_mode & 0o777 == 0o600
        for item in found.interventions:
            assert item.accuracy == pytest.approx(found.accuracy + item.delta)
            assert item.delta == pytest.approx(item.gained - item.lost)
            assert item.changed is not None and item.lost + item.gained <= item.changed + 1e-9 <= 1
            assert item.loss is not None and item.loss > 0
            assert item.ci95[0] <= item.delta <= item.ci95[1]
    by_model, problems = effects_of(read_state(copy))
    assert [found.model for found in by_model] == ["se", "self-attention"]
    assert [len(found.runs) for found in by_model] == [2, 1]
    assert problems == []


def main(folder: ExperimentDir, *runs: str) -> int:
    """The process's own `main`, in this process."""
    threads = torch.get_num_threads()
    try:
        return interventions.main([str(folder.path), *runs])
    finally:
        torch.set_num_threads(threads)


def test_results_that_speak_of_these_weights_are_kept_and_others_are_not(
    copy: ExperimentDir, capsys: pytest.CaptureFixture[str]
) -> None:
    path = path_in(copy.run("se-s0"))
    assert main(copy, "se-s0") == 0
    first = path.stat().st_mtime_ns
    capsys.readouterr()
    assert main(copy, "se-s0") == 0
    assert (path.stat().st_mtime_ns, capsys.readouterr().err) == (first, "")
    stale = json.loads(path.read_text()) | {"weights_sha256": "0" * 64, "accuracy": 0.123}
    path.write_text(json.dumps(stale))
    assert main(copy, "se-s0") == 0
    assert json.loads(path.read_text())["accuracy"] != 0.123


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (("base-s0",), "base-s0 has no attention to intervene on"),
        (("simam-s0",), "simam-s0 gates single pixels, so there is no gate of a whole channel that could be replaced"),
        (("se-s2",), "se-s2 is queued: only a finished run"),
        (("se-s3",), "se-s3 is stopped: only a finished run"),
        (("se-s9",), "has no run 'se-s9'"),
        (("../se-s0\x1b[2J",), "has no run '../se-s0␛[2J'"),
    ],
)
def test_runs_that_cannot_be_intervened_on(
    trained: ExperimentDir, runs: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(trained, *runs) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 0xFF
    path.write_bytes(content)


def other_labels(path: Path) -> None:
    found = load_predictions(path)
    np.savez(path, logits=found.logits, labels=(found.labels + 1) % 10)


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("weights.safetensors", Path.unlink, "weights.safetensors is missing"),
        ("weights.safetensors", damage, "weights.safetensors is damaged"),
        ("weights.safetensors", lambda path: path.write_bytes(b""), "weights.safetensors is damaged"),
        ("weights.safetensors", link, "weights.safetensors is not a file"),
        ("predictions.npz", other_labels, "the test images are not those that it was evaluated on"),
        ("probes", link, "symbolic link"),
    ],
)
def test_a_run_whose_files_are_not_as_they_were_is_told_and_the_others_go_on(
    copy: ExperimentDir, file: str, change: Change, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(copy.run("se-s0").path / file)
    assert main(copy, "se-s0", "self-attention-s0") == 1
    said = capsys.readouterr().err
    assert f"se-s0: {words}" in said or (words in said and "se-s0: " in said)
    assert "Traceback" not in said
    assert not path_in(copy.run("se-s0")).exists()
    assert path_in(copy.run("self-attention-s0")).exists()


def test_missing_predictions_are_no_obstacle(copy: ExperimentDir) -> None:
    copy.run("self-attention-s0").predictions.unlink()
    assert main(copy, "self-attention-s0") == 0


def test_a_data_set_that_changed_is_told_before_torch_is_loaded(
    copy: ExperimentDir, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = copy.manifest_data()
    write_manifest(copy, replace(manifest, data=manifest.data | {"version": "another"}))
    assert main(copy) == 2
    assert "the data set synthetic has changed" in capsys.readouterr().err


def test_an_experiment_without_attention_says_so(copy: ExperimentDir, capsys: pytest.CaptureFixture[str]) -> None:
    log = copy.events.read_text().splitlines(keepends=True)
    copy.events.write_text("".join(line for line in log if "se-s" not in line and "self" not in line))
    assert main(copy) == 2
    assert "simam gates single pixels" in capsys.readouterr().err
    copy.events.write_text("".join(line for line in log if not any(name in line for name in ("se-s", "self", "simam"))))
    assert main(copy) == 2
    assert "has no finished run of a model with attention" in capsys.readouterr().err


def test_an_unforeseen_error_costs_one_run_and_leaves_its_traceback_in_the_runs_log(
    copy: ExperimentDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("for no reason")

    monkeypatch.setattr(interventions, "paired_change", fail)
    assert main(copy, "se-s0") == 1
    said = capsys.readouterr().err
    assert "se-s0: ArithmeticError: for no reason" in said
    assert "Traceback" not in said
    assert "Traceback" in copy.run("se-s0").worker_log.read_text()
