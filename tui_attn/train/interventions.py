"""The process that intervenes on trained networks: `python -m tui_attn.train.interventions FOLDER [RUN]...`.

For each run it loads the final weights, computes every intervention on the whole test set and writes the results into
the run's folder, where `tui_attn.compare.load_interventions` reads them. Without RUN: every finished run of a model
with attention. Existing results for the same weights are kept.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_attn import data
from tui_attn.compare.archives import ArchiveError, read_weights
from tui_attn.compare.interventions import (
    KINDS,
    PIXELS_ONLY,
    TUNED,
    Intervention,
    Interventions,
    InterventionsError,
    load_interventions,
    path_in,
    to_json,
)
from tui_attn.compare.predictions import PredictionsError, load_predictions, paired_change
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import Manifest, RunsError
from tui_attn.experiment.model_info import MODELS, TWINS, attention_of, joined
from tui_attn.experiment.reducer import RunState
from tui_attn.system.console import complain, say
from tui_attn.system.files import write_atomically
from tui_attn.system.plain_file import open_to_write
from tui_attn.system.text import safe_text
from tui_attn.train.reading import read

if TYPE_CHECKING:
    import torch

    from tui_attn.models import GatedTrunk, MixingTrunk
    from tui_attn.train.feature_maps import Answers
    from tui_attn.train.tensors import Images

SIGN_OF_LIFE = 5.0
"""Seconds between two lines of progress."""
NICE = 10
"""The nice value of this process; that of workers is 5."""


class ProbeError(Exception):
    """A run can't be intervened on; the message is one line and says why."""


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when all runs have results, 1 when some failed, 2 when nothing could be begun."""
    folder = ExperimentDir(Path(arguments[0]))
    try:
        manifest = folder.manifest_data()
        runs = _runs(folder, arguments[1:])
        missing = [run for run in runs if not _has_results(folder, run)]
        if not missing:
            return 0
        laboratory = _Laboratory(folder, manifest)
    except (ProbeError, RunsError, data.DataError) as error:
        complain(str(error))
        return 2
    failed = 0
    for number, run in enumerate(missing, start=1):
        say(f"intervening on {run.id} ({number} of {len(missing)})")
        try:
            found = laboratory.intervene(run)
        except ProbeError as error:
            complain(f"{run.id}: {error}")
            failed = 1
        except Exception as error:  # of any kind: the other runs go on
            complain(f"{run.id}: {type(error).__name__}: {error}\n{_keep_traceback(folder.run(run.id))}")
            failed = 1
        else:
            what = f"{len(found.interventions)} interventions on {found.test_size:,} test images"
            say(f"{run.id}: {what} in {found.seconds:.1f} s")
    return failed


def _keep_traceback(folder: RunDir) -> str:
    """Append the traceback of the current error to the run's worker.log, and say where it is."""
    text = safe_text(traceback.format_exc())
    try:
        with os.fdopen(open_to_write(folder.worker_log, os.O_APPEND), "w") as file:
            file.write(text)
    except OSError:
        return text.splitlines()[-2].strip()
    return f"the details are in {safe_text(folder.worker_log, one_line=True)}: please report them"


def _runs(folder: ExperimentDir, wanted: Sequence[str]) -> list[RunState]:
    """The runs to intervene on. Raises `ProbeError` for one that is unsuitable, and where there is none."""
    known = read_state(folder).state.runs
    if not wanted:
        found = [run for run in known.values() if run.model in KINDS and run.state == "finished"]
        if not found:
            pixels = next((run.model for run in known.values() if attention_of(run.model) == "pixel gates"), None)
            if pixels:
                raise ProbeError(f"{pixels} {PIXELS_ONLY}")
            raise ProbeError(f"{folder.id} has no finished run of a model with attention")
        return found
    for run in wanted:
        if run not in known:
            raise ProbeError(f"{folder.id} has no run '{safe_text(run, one_line=True)}'")
        if known[run].model in TWINS:
            raise ProbeError(f"{run} was trained on random labels: it has no accuracy that could be lost")
        if known[run].model not in MODELS:
            raise ProbeError(f"{run} is a custom model: only {joined(KINDS)} can be intervened on")
        if known[run].model not in KINDS:
            if attention_of(known[run].model) == "pixel gates":
                raise ProbeError(f"{run} {PIXELS_ONLY}")
            raise ProbeError(f"{run} has no attention to intervene on")
        if known[run].state != "finished":
            raise ProbeError(f"{run} is {known[run].state}: only a finished run has its final weights")
    return [known[run] for run in wanted]


def _has_results(folder: ExperimentDir, run: RunState) -> bool:
    """Whether all results exist; version 0.1.0 tuned no constants."""
    try:
        found = load_interventions(folder.run(run.id), run.weights_sha256)
    except InterventionsError:
        return False
    return any(item.kind == TUNED for item in found.interventions)


class _Laboratory:
    """The data on the device, and the runs of one experiment on it."""

    def __init__(self, folder: ExperimentDir, manifest: Manifest) -> None:
        if manifest.config.validation:
            raise ProbeError(f"{folder.id} was trained with --validation: its networks must not see the test set")
        where = _locate(folder, manifest)  # before torch is imported, so that a missing data set is reported at once

        import torch

        from tui_attn.train.accelerator import keep_freed_memory

        torch.set_num_threads(manifest.threads)
        device = _device(manifest)
        if device.type == "cpu":
            keep_freed_memory()
        self._folder = folder
        self._manifest, self._where, self._device = manifest, where, device
        self._data = self._load(manifest.config.seed)

    def _load(self, seed: int) -> Images:
        """The data set with the training images of the runs with `seed`."""
        from tui_attn.train.tensors import on_device

        images = on_device(self._manifest.config.dataset, read(self._manifest, seed, self._where), self._device)
        self._subset = self._manifest.subset_seed(seed)
        return images

    def intervene(self, run: RunState) -> Interventions:
        """All interventions on one run, written into its folder. Raises `ProbeError`."""
        import torch

        folder = self._folder.run(run.id)
        if self._manifest.subset_seed(run.seed) != self._subset:
            self._data = self._load(run.seed)
        self._check_labels(folder)
        try:
            found = intervene(_network(folder, run, self._data), run, self._data, _progress(run.id))
        except (torch.OutOfMemoryError, MemoryError):
            raise ProbeError("there is not enough memory for its interventions") from None
        try:
            with folder.opened() as pinned:
                write_atomically(path_in(pinned), json.dumps(to_json(found), indent=1).encode() + b"\n")
        except OSError as error:
            raise ProbeError(f"its results can't be written ({error.strerror})") from None
        return found

    def _check_labels(self, folder: RunDir) -> None:
        """Raise `ProbeError` if the labels of its predictions aren't those of the test images here."""
        try:
            labels = load_predictions(folder.predictions).labels
        except PredictionsError:
            return
        here = self._data.test_labels.cpu().numpy()
        if labels.shape != here.shape or (labels != here).any():
            raise ProbeError("the test images are not those that it was evaluated on: restore the data set")


def intervene(
    model: GatedTrunk | MixingTrunk, run: RunState, images: Images, tick: Callable[[], object]
) -> Interventions:
    """All interventions on the trained network `model` of `run`, over the test images.

    Constants are tuned on the training images of `images`, which are those that the run was trained on.
    """
    from tui_attn.models import GatedTrunk
    from tui_attn.train.attention_interventions import attention_interventions
    from tui_attn.train.feature_maps import FeatureMaps, LabelledImages
    from tui_attn.train.gate_interventions import gate_interventions
    from tui_attn.train.tuned_constants import tuned_constants

    begin = time.perf_counter()
    precision = str(run.about.get("precision", "fp32"))
    shown = LabelledImages(images.test_images, images.test_labels, images.mean, images.std)
    training = LabelledImages(images.train_images, images.train_labels, images.mean, images.std)
    maps: FeatureMaps[Any] = FeatureMaps(model, shown, precision)
    interventions = gate_interventions if isinstance(model, GatedTrunk) else attention_interventions
    before, outcomes = interventions(maps, run.seed, tick)
    outcomes.append(tuned_constants(maps, training, run.seed, tick))
    right = before.right.numpy()
    items = []
    for outcome in outcomes:
        change = paired_change(right, outcome.right.numpy())
        items.append(
            Intervention(
                kind=outcome.kind,
                layer=outcome.layer,
                accuracy=change.after,
                delta=change.delta,
                ci95=change.ci95,
                lost=change.lost,
                gained=change.gained,
                draws=len(outcome.right),
                channels=outcome.channels,
                changed=float((outcome.answers.predicted != before.predicted).float().mean()),
                loss=_mean_loss(outcome.answers),
            )
        )
    return Interventions(
        run=run.id,
        model=run.model,
        seed=run.seed,
        weights_sha256=str(run.weights_sha256),
        test_size=len(right),
        accuracy=float(right.mean()),
        precision=precision,
        seconds=round(time.perf_counter() - begin, 3),
        interventions=tuple(items),
        loss=_mean_loss(before),
    )


def _mean_loss(answers: Answers) -> float | None:
    loss = float(answers.loss.double().mean())
    return loss if math.isfinite(loss) else None


def _locate(folder: ExperimentDir, manifest: Manifest) -> dict[str, Any]:
    """Where the data is now; it may have moved since the training. Raises `ProbeError` or `DataError`."""
    name = manifest.config.dataset
    found = data.find(name, Path(manifest.config.data_dir) if manifest.config.data_dir else None)
    if found is None:
        raise ProbeError(
            f"the data set {safe_text(name, one_line=True)} is not here: 'tui-attn data {name}' fetches it"
        )
    if found.version != manifest.data.get("version"):
        raise ProbeError(
            f"the data set {safe_text(name, one_line=True)} has changed since {folder.id}: restore it first"
        )
    return found.to_json()


def _device(manifest: Manifest) -> torch.device:
    """The first device of the training, where this process sees it, else the CPU."""
    import torch

    # If the experiment names its GPU by UUID, this process sees no other.
    first = torch.device("cuda:0" if manifest.gpus else manifest.devices[0])
    try:
        if first.type == "cuda" and (first.index or 0) < torch.cuda.device_count():
            torch.zeros(1, device=first)
            return first
    except RuntimeError:  # a fault of its driver, or another program uses it exclusively
        return torch.device("cpu")
    return first if first.type == "mps" and torch.backends.mps.is_available() else torch.device("cpu")


def _network(folder: RunDir, run: RunState, images: Images) -> GatedTrunk | MixingTrunk:
    """The trained network of `run`. Raises `ProbeError` where its weights are missing or not those of the log."""
    from safetensors.torch import load

    from tui_attn import models

    try:
        weights = load(read_weights(folder, run.weights_sha256))
        network = models.MODELS[run.model](images.channels, images.image_size, len(images.class_names))
        assert isinstance(network, models.GatedTrunk | models.MixingTrunk)  # noqa: S101  `KINDS` has no others
        network.load_state_dict(weights)
    except ArchiveError as error:
        raise ProbeError(f"weights.safetensors {error}: restore it from a copy, or train this run again") from None
    except Exception:  # torch raises many kinds on weights of another network
        raise ProbeError("weights.safetensors is of another network: restore it, or train this run again") from None
    return network


def _progress(run: str, clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """A function that prints a line now and then while `run` is being worked on."""
    begun = said = clock()

    def tick() -> None:
        nonlocal said
        if clock() - said >= SIGN_OF_LIFE:
            said = clock()
            say(f"{run}: at it for {said - begun:.0f} s")

    return tick


if __name__ == "__main__":
    os.umask(0o077)
    faulthandler.enable()
    os.nice(NICE)
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # cleaning up takes torch a tenth of a second
