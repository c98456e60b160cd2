"""The guess of how long an experiment takes, from recorded experiments whose pace is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import record
from tests.recorded_curves import IMAGES_PER_SECOND
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.custom_model import CustomModel
from tui_attn.launch.estimate import Guess, Pace, guess, paces

SMALL = ExperimentConfig(epochs=3, train_limit=6_000, test_limit=1_000)
EVALUATION = 0.25
"""Seconds that a recorded evaluation takes."""


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> list[Pace]:
    runs_dir = tmp_path_factory.mktemp("runs")
    record(runs_dir, config=SMALL, predictions=False, probes=False)
    return paces(runs_dir, "recorder")


def expected(config: ExperimentConfig, images: int) -> float:
    run = [config.epochs * (images / IMAGES_PER_SECOND[model] + EVALUATION) for model in config.models]
    return sum(run) * config.seeds


def only(found: Guess | None) -> float:
    assert found is not None
    assert found.low == pytest.approx(found.high)
    return found.low


def test_the_same_again_takes_as_long(past: list[Pace]) -> None:
    assert only(guess(SMALL, ["cpu"], past)) == pytest.approx(expected(SMALL, 6_000), rel=0.02)


@pytest.mark.parametrize(
    ("change", "images"),
    [({"epochs": 30}, 6_000), ({"seeds": 4}, 6_000), ({"models": ("se",)}, 6_000), ({"train_limit": 3_000}, 3_000)],
)
def test_it_grows_with_images_epochs_seeds_and_models(past: list[Pace], change: dict[str, int], images: int) -> None:
    config = replace(SMALL, **change)  # type: ignore[arg-type]
    assert only(guess(config, ["cpu"], past)) == pytest.approx(expected(config, images), rel=0.02)


def test_steps_take_the_time_of_their_images(past: list[Pace]) -> None:
    config = replace(SMALL, steps=400, train_limit=12_000)  # 94 steps an epoch: 4.26 epochs, five evaluations
    images = 400 * SMALL.batch_size
    run = [images / IMAGES_PER_SECOND[model] + 5 * EVALUATION for model in config.models]
    assert only(guess(config, ["cpu"], past)) == pytest.approx(sum(run), rel=0.02)


def test_workers_on_their_own_devices_halve_it_and_on_one_device_don_t(past: list[Pace]) -> None:
    config = replace(SMALL, seeds=10, device="cuda:0,cuda:1")
    on_gpus = [replace(pace, device="cuda") for pace in past]
    one = only(guess(replace(config, device="cuda"), ["cuda:0"], on_gpus))
    assert only(guess(config, ["cuda:0", "cuda:1"], on_gpus)) == pytest.approx(one / 2, rel=0.02)
    shared = guess(replace(SMALL, seeds=10, jobs=2), ["cpu"], past)
    assert only(shared) == pytest.approx(one, rel=0.02)
    assert shared is not None
    assert not shared.like


def test_a_model_of_one_s_own_goes_by_past_runs_of_the_same_code(tmp_path: Path) -> None:
    own = CustomModel(name="my_net-mynet", file="/nets/my_net.py", class_name="MyNet", sha256="1" * 64)
    config = replace(SMALL, models=("base", "my_net-mynet"), custom_models=(own,))
    record(tmp_path, config=config, predictions=False, probes=False)
    its_past = paces(tmp_path, "recorder")
    assert {pace.model for pace in its_past} == {"base", "my_net-mynet"}
    assert only(guess(config, ["cpu"], its_past)) > 0
    for digest in ("2" * 64, None):
        changed = guess(replace(config, custom_models=(replace(own, sha256=digest),)), ["cpu"], its_past)
        assert changed is not None
        assert changed.missing == ("my_net-mynet",)


def test_past_runs_that_differ_make_a_range(past: list[Pace]) -> None:
    slower = [replace(pace, per_image=2 * pace.per_image) for pace in past]
    found = guess(SMALL, ["cpu"], [*past, *slower])
    assert found is not None
    assert found.high > 1.5 * found.low > 0
    assert " to " in found.words()
    assert "6 past runs" in found.words()


def test_another_test_set_is_evaluated_in_more_or_in_the_same_time(past: list[Pace]) -> None:
    found = guess(replace(SMALL, test_limit=10_000), ["cpu"], past)
    assert found is not None
    more = 9 * EVALUATION * SMALL.epochs * 3
    assert found.high - found.low == pytest.approx(more, rel=0.02)


@pytest.mark.parametrize(
    "change",
    [{"dataset": "cifar10"}, {"precision": "fp32", "device": "mps"}, {"precision": "bf16"}, {"augment": ("crop",)}],
)
def test_nothing_is_guessed_from_runs_of_another_kind(past: list[Pace], change: dict[str, str]) -> None:
    config = replace(SMALL, **change)  # type: ignore[arg-type]
    found = guess(config, [config.device if config.device != "auto" else "cpu"], past)
    assert found is not None
    assert found.missing == config.models
    assert found.words().startswith("no estimate yet: no finished run of base, se, self-attention")


def test_another_batch_size_is_said(past: list[Pace]) -> None:
    found = guess(replace(SMALL, batch_size=64), ["cpu"], past)
    assert found is not None
    assert "with another batch size" in found.words()


def test_only_finished_runs_of_this_machine_count(tmp_path: Path) -> None:
    record(tmp_path, config=SMALL, states={"se-s0": "failed"}, predictions=False, probes=False)
    (tmp_path / "20240101-foreign").mkdir()
    assert {pace.model for pace in paces(tmp_path, "recorder")} == {"base", "self-attention"}
    assert paces(tmp_path, "elsewhere") == []
    assert paces(tmp_path / "nowhere", "recorder") == []


def test_a_damaged_log_is_no_reason_to_fail(tmp_path: Path) -> None:
    folder = record(tmp_path, config=SMALL, predictions=False, probes=False)
    log = folder.run("se-s0").events
    log.write_bytes(log.read_bytes()[::-1])
    assert {pace.model for pace in paces(tmp_path, "recorder")} == {"base", "self-attention"}


def test_a_folder_s_size_must_be_known(past: list[Pace]) -> None:
    config = replace(SMALL, dataset="folder:/images", train_limit=None)
    assert guess(config, ["cpu"], past) is None
    colour = [replace(pace, config=config) for pace in past]
    assert only(guess(config, ["cpu"], colour, sizes=(6_000, 1_000))) == pytest.approx(expected(SMALL, 6_000), rel=0.02)


@given(
    st.lists(
        st.builds(
            Pace,
            config=st.builds(ExperimentConfig, batch_size=st.integers(1, 10**6)),
            model=st.sampled_from(("base", "se")),
            device=st.just("cpu"),
            precision=st.just("fp32"),
            sharing=st.integers(1, 256),
            test_size=st.integers(1, 10**8),
            per_image=st.floats(1e-12, 1e6),
            warm_up=st.floats(0, 1e6),
            between=st.floats(0, 1e6),
            start_up=st.floats(0, 1e6),
        ),
        max_size=5,
    ),
    st.integers(1, 10_000),
    st.integers(1, 256),
    st.integers(1, 10**6),
)
def test_no_guess_is_negative_or_upside_down(past: list[Pace], seeds: int, jobs: int, epochs: int) -> None:
    config = ExperimentConfig(models=("base", "se"), seeds=seeds, jobs=jobs, epochs=epochs)
    found = guess(config, ["cpu"], past)
    assert found is not None
    assert 0 <= found.low <= found.high
    assert found.words()
