"""Estimates how long an experiment will take, from finished runs on the same machine, and how much memory.

The time of a run is its images at the speed of a past run's later epochs, the extra time of the first epoch, and for
each epoch the time between the training of two epochs (evaluation, probes, checkpoints). Runs are assigned to workers
as the supervisor would do it. Past runs that differ give a range.
"""

from __future__ import annotations

import heapq
import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tui_attn.data import DATASETS
from tui_attn.engines.workers import Slot
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.model_info import MODELS, attention_of, info_of
from tui_attn.experiment.options import ConfigError
from tui_attn.experiment.run_state import RunState
from tui_attn.supervision import scheduling
from tui_attn.system.text import duration, size

MOST_EXPERIMENTS = 40
"""Only this many of the newest experiments are read: machines and versions change."""
MOST_RUNS = 5
"""Past runs per model that an estimate is based on, the newest ones."""
MOST_BYTES = 4_000_000
"""Longer logs are not read for an estimate."""

_MANY_SEEDS = 200
"""Beyond this many, time is taken as proportional to the seeds."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The speed of one finished run. Times are in seconds."""

    config: ExperimentConfig
    model: str
    device: str
    """cpu, cuda or mps."""
    precision: str
    sharing: int
    """Workers on its device."""
    test_size: int
    per_image: float
    warm_up: float
    """Extra time of the first epoch."""
    between: float
    """From the end of an epoch's training to the start of the next: evaluation, probes, checkpoint."""
    start_up: float
    """From the supervisor's start to the first step, of the whole experiment."""


@dataclass(frozen=True, slots=True)
class Guess:
    """The estimated time of a whole experiment in seconds, and what it is based on."""

    low: float
    high: float
    past_runs: int
    like: bool = True
    """Whether the past runs had the same batch size and as many workers on a device."""
    missing: tuple[str, ...] = ()
    """Models without a past run: then there is no estimate."""

    def words(self) -> str:
        """The estimate in words: a range, a time, or why there is none."""
        if self.missing:
            return f"no estimate yet: no finished run of {', '.join(self.missing)} like this on this machine"
        low, high = duration(self.low), duration(self.high)
        if not self.high < 1e9:
            return "longer than anyone will wait"
        took = f"about {low}" if low == high else f"{low} to {high}"
        past = "1 past run" if self.past_runs == 1 else f"{self.past_runs} past runs"
        unlike = "" if self.like else " with another batch size or other jobs"
        return f"{took}, guessed from {past}{unlike} on this machine"


def shape_of(dataset: str) -> tuple[int, int]:
    """Channels and side of a data set's images; folders are read as 32 x 32 in colour."""
    info = DATASETS.get(dataset)
    return (3, 32) if info is None else (info.channels, info.image_size)


def sizes_of(config: ExperimentConfig) -> tuple[int, int] | None:
    """Training and test images of an epoch; None where the data set would have to be read."""
    info = DATASETS.get(config.dataset)
    if info is None and (config.train_limit is None or config.test_limit is None):
        return None
    try:
        return config.sizes(1 << 40, 1 << 40) if info is None else config.sizes(info.train_size, info.test_size)
    except ConfigError:  # too few images, as a start says
        return None


# ---- past runs


def paces(runs_dir: Path, host: str, *, most: int = MOST_EXPERIMENTS) -> list[Pace]:
    """How fast the finished runs were that `host` trained, newest experiments first. Never raises."""
    found: list[Pace] = []
    with suppress(RunsError):
        for folder in itertools.islice(_trained_by(host, runs_dir), most):
            with suppress(RunsError, OSError):
                found += paces_of(folder)
    return found


def _trained_by(host: str, runs_dir: Path) -> Iterator[ExperimentDir]:
    for folder in experiments(runs_dir):
        with suppress(RunsError, OSError):
            if folder.manifest_data().host == host and _length(folder) <= MOST_BYTES:
                yield folder


def _length(folder: ExperimentDir) -> int:
    logs = [folder.events, *folder.path.glob("*/events.jsonl")]
    return sum(log.stat().st_size for log in logs if log.is_file())


def paces_of(folder: ExperimentDir) -> list[Pace]:
    """How fast the finished runs of one experiment were. Raises `RunsError`."""
    follower = Follower(folder)
    follower.poll()
    config, known = follower.manifest.config, list(follower.state.runs.values())
    begun = [run.started_at for run in known if run.started_at is not None]
    start_up = min(begun) - follower.state.started_at if begun and follower.state.started_at is not None else 0.0
    sharing, between = _sharing(config, follower.manifest.devices), _between(known)
    finished = [run for run in known if run.state == "finished"]
    found = [_pace(run, config, sharing, between.get(run.id, 0.0), max(start_up, 0.0)) for run in finished]
    return [pace for pace in found if pace is not None]


def _pace(run: RunState, config: ExperimentConfig, sharing: int, between: float, start_up: float) -> Pace | None:
    """The speed of a run; None where its log doesn't tell it."""
    spent = [(0.0, 0), *((epoch.train_seconds, epoch.images) for epoch in run.epochs)]
    each = [
        (t - before, images - fewer) for (before, fewer), (t, images) in itertools.pairwise(spent) if images > fewer
    ]
    usual = statistics.median(seconds / images for seconds, images in each[1:] or each) if each else 0.0  # an image
    test_size, device, precision = (run.about.get(key) for key in ("test_size", "device", "precision"))
    known = isinstance(test_size, int) and test_size > 0 and usual > 0
    if not known or not all(map(math.isfinite, (usual, start_up, between))):
        return None
    kind = str(device or "").partition(":")[0], str(precision or "")
    warm_up = max(each[0][0] - each[0][1] * usual, 0.0)
    return Pace(config, run.model, *kind, sharing, int(test_size or 1), usual, warm_up, between, start_up)


def _code_of(model: str, config: ExperimentConfig) -> str | None:
    return next((own.sha256 for own in config.custom_models if own.name == model), None)


def _between(known: Sequence[RunState]) -> dict[str, float]:
    """Run -> the usual seconds between the training of two epochs of its worker, whichever run's turn it was."""
    ends: dict[int, list[tuple[float, float, str]]] = {}
    for run in known:
        before = 0.0
        for epoch in run.epochs:
            ends.setdefault(run.worker or 0, []).append((epoch.t, epoch.train_seconds - before, run.id))
            before = epoch.train_seconds
    gaps: dict[str, list[float]] = {}
    for turns in ends.values():
        turns.sort()
        for (before, _, _), (t, trained, id_) in itertools.pairwise(turns):
            gaps.setdefault(id_, []).append(t - before - trained)
    return {id_: max(statistics.median(found), 0.0) for id_, found in gaps.items()}


# ---- the guess


def guess(
    config: ExperimentConfig, devices: Sequence[str], past: Sequence[Pace], sizes: tuple[int, int] | None = None
) -> Guess | None:
    """How long `config` takes on `devices`, going by `past`; None while the data set's `sizes` are unknown."""
    sizes = sizes or sizes_of(config)
    if sizes is None:
        return None
    workers, sharing = len(_slots(config, devices)), _sharing(config, devices)
    found = alike(config, devices, past)
    used = [pace for its in found.values() for pace in its]
    missing = tuple(model for model in config.models if model not in found)
    if missing:
        return Guess(0.0, 0.0, len(used), missing=missing)
    times = [[time for pace in its for time in _run_seconds(pace, config, sizes, sharing)] for its in found.values()]
    starts = [pace.start_up for pace in used]
    return Guess(
        low=min(starts) + _makespan(list(map(min, times)), config.seeds, workers),
        high=max(starts) + _makespan(list(map(max, times)), config.seeds, workers),
        past_runs=len(used),
        like=all(_unlike(pace, config, sharing) == (False, False) for pace in used),
    )


def alike(config: ExperimentConfig, devices: Sequence[str], past: Sequence[Pace]) -> dict[str, list[Pace]]:
    """Model -> the past runs most similar to a run of it on `devices`, newest first; models without any are missing.

    Past runs of a custom model must be of the same code: the digest in `config`.
    """
    found = {}
    for model in config.models:
        its = [pace for pace in past if pace.model == model and _fits(pace, config, devices[0])]
        if its:
            unlike = partial(_unlike, config=config, sharing=_sharing(config, devices))
            best = min(map(unlike, its))
            found[model] = [pace for pace in its if unlike(pace) == best][:MOST_RUNS]
    return found


def _slots(config: ExperimentConfig, devices: Sequence[str]) -> list[Slot]:
    """The slots that get a run."""
    return scheduling.make_slots(devices, config.jobs)[: len(config.models) * config.seeds]


def _sharing(config: ExperimentConfig, devices: Sequence[str]) -> int:
    """The most workers on one device."""
    return max(slot.index for slot in _slots(config, devices)) + 1


def _fits(pace: Pace, config: ExperimentConfig, device: str) -> bool:
    past = pace.config
    precision = past.precision if config.precision == "auto" else pace.precision
    return (
        shape_of(past.dataset) == shape_of(config.dataset)
        and pace.device == device.partition(":")[0]
        and precision == config.precision
        and past.augment == config.augment
        and _code_of(pace.model, past) == _code_of(pace.model, config)
    )


def _unlike(pace: Pace, config: ExperimentConfig, sharing: int) -> tuple[bool, bool]:
    return pace.config.batch_size != config.batch_size, pace.sharing != sharing


def _run_seconds(pace: Pace, config: ExperimentConfig, sizes: tuple[int, int], sharing: int) -> Iterator[float]:
    """Seconds of one run at the speed of `pace`. Workers on one device share its throughput.

    Evaluation scales with the test set, probes and checkpoints don't: for another size there are two answers.
    """
    train, test = sizes
    config = config.with_epochs(train)
    epochs, evaluations = config.epochs, -(-config.epochs // config.evaluate_every)
    for scale in {1.0, test / pace.test_size}:
        images = train * epochs if config.steps is None else config.steps * min(config.batch_size, train)
        yield (images * pace.per_image + evaluations * pace.between * scale + pace.warm_up) * sharing / pace.sharing


def _makespan(times: Sequence[float], seeds: int, workers: int) -> float:
    """Seconds until `workers` have done `seeds` runs of each model; `times`: seconds of a run of each."""
    if seeds > _MANY_SEEDS:
        return _makespan(times, _MANY_SEEDS, workers) * seeds / _MANY_SEEDS
    queue = iter([time for _ in range(seeds) for time in times])
    left = len(times) * seeds
    free = [0.0] * workers
    while left:
        now = free[0]
        idle = sum(1 for at in free if at <= now)
        taken = scheduling.share(left, idle, len(times))
        heapq.heapreplace(free, now + sum(next(queue) for _ in range(taken)))
        left -= taken
    return max(free)


# ---- memory


_WIDTHS = 32, 64
"""Channels of the trunk's two layers."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of tensors on the device with the most workers, and their parts."""

    device: str
    workers: int
    """Workers on that device."""
    images: int
    activations: int
    state: int
    """Parameters, gradients and optimiser state."""

    @property
    def total(self) -> int:
        """All parts together."""
        return self.images + self.activations + self.state

    def words(self) -> str:
        """The estimate in words."""
        shared = f" in {self.workers} workers" if self.workers > 1 else ""
        parts = f"images {size(self.images)}, activations {size(self.activations)}, weights and Adam {size(self.state)}"
        return f"about {size(self.total)} on {self.device}{shared}, without torch itself: {parts}"


def estimate_memory(config: ExperimentConfig, devices: Sequence[str], sizes: tuple[int, int]) -> MemoryEstimate:
    """Estimate the memory of `config` on `devices`; `sizes` are the numbers of training and test images.

    Each worker holds, for images of C x S x S:

    - all images and labels: (train + test) * (C S^2 + 8) bytes, uint8 and int64;
    - parameters, gradients and Adam's two averages: 16 bytes a parameter of each model that it trains in turn;
    - activations and their gradients of one batch, of the model that needs most: 2 * 4 bytes a value (2 * 2 in bf16),
      where an image has C S^2 + sum over the layers of w s^2 (1 + 1/4 * (2 + 2)) values: the convolution's output, then
      pooling, its int64 indices and ReLU on a quarter of the positions. Attention between channels adds 5 * 64 * 128
      for its tokens and 2 * 8 * 64^2 for its weights.

    Custom models count as base. Not counted: torch, its libraries and its workspaces (0.76 and 0.99 GB in two CPU
    workers).
    """
    channels, side = shape_of(config.dataset)
    slots = _slots(config, devices)
    device, workers = max(((slot.device, slot.index + 1) for slot in slots), key=lambda pair: pair[1])
    value = 2 if config.precision == "bf16" else 4
    values = channels * side**2 + sum(2 * width * side**2 // 4**layer for layer, width in enumerate(_WIDTHS))
    if any(attention_of(model) == "channel matrix" for model in config.models):
        values += 5 * 64 * 128 + 2 * 8 * 64**2
    return MemoryEstimate(
        device=device,
        workers=workers,
        images=workers * sum(sizes) * (channels * side**2 + 8),
        activations=workers * 2 * value * min(config.batch_size, sizes[0]) * values,
        state=workers * 16 * sum(parameters(model, config.dataset) for model in config.models),
    )


def parameters(model: str, dataset: str) -> int:
    """The number of parameters of `model` on `dataset`, exact for the lab's three."""
    info = info_of(model) or MODELS["base"]
    channels, side = shape_of(dataset)
    classes = len(DATASETS[dataset].class_names) if dataset in DATASETS else 10
    first, second = _WIDTHS
    pixels = (side // 4) ** 2
    trunk = 9 * first * (channels - 1) + second * (pixels * classes - 49 * 10) + classes - 10
    attention = 257 * (pixels - 49) if info.attention == "channel matrix" else 0  # two linear layers, pixels <-> 128
    return info.parameters + trunk + attention
