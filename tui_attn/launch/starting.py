"""Starts, resumes and extends experiments, with every check: the command line and the dashboard share these steps.

`start` creates an experiment, `resume` continues one without a supervisor, `extend` adds seeds.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from tui_attn import __version__, data
from tui_attn.data import Progress, silent
from tui_attn.experiment import writing
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.finding import next_in_order
from tui_attn.experiment.folders import ExperimentDir, run_id
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.kernels import cpu_kind, fastest
from tui_attn.experiment.manifest import FIRST, STRATIFIED, Manifest, RunsError
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.experiment.reducer import EXPERIMENT_ENDED
from tui_attn.launch import choosing, control, custom_models, devices, placement
from tui_attn.launch.control import LaunchError
from tui_attn.system import machine as machine_facts
from tui_attn.system.children import Folder
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    from tui_attn.experiment.engine_spec import EngineSpec
    from tui_attn.supervision.notify_settings import NotifySettings

Tell = Callable[[str], object]


class NothingToResumeError(LaunchError):
    """Every run of the experiment is finished or skipped."""


class CancelledError(Exception):
    """The start was cancelled before anything was created."""


class Started(NamedTuple):
    """An experiment and its supervisor, which is a child of this process."""

    folder: ExperimentDir
    supervisor: subprocess.Popen[bytes]


class Caller(NamedTuple):
    """Callbacks of a start, resume or extension, and where its notices go."""

    progress: Progress = silent
    """Of reading and downloading data; may raise to cancel."""
    tell: Tell = lambda _: None
    """Gets remarks for the user; may raise to cancel."""
    may_start: Callable[[], bool] = lambda: True
    """Asked when all checks have passed, before anything is created or started."""
    notify: NotifySettings | None = None
    wait: Callable[[float], object] = time.sleep
    """Waits for so many seconds; may raise to cancel."""


class Permit(NamedTuple):
    """Choices of the user at a resume or an extension that an experiment can't make by itself."""

    trust_code: bool = False
    """The user vouches for the custom models in it."""
    on: str | None = None
    """Where the workers run; by default where this user last ran them from this machine."""
    data_dir: Path | None = None
    """Where the data set is now."""
    device: str | None = None
    """On which devices training continues, as for --device."""
    mix_devices: bool = False
    """Whether one comparison may mix models of device."""


def start(config: ExperimentConfig, *, runs_dir: Path, id_: str | None = None, caller: Caller = Caller()) -> Started:
    """Check everything, fetch the data set, create the experiment's folder and start its supervisor.

    Nothing is created in `runs_dir` before the data is here, the custom models passed their check and the caller
    agreed. `id_`: the name of its folder, by default made from date and name. Raises `ConfigError`, `DataError`,
    `RunsError`, `ExportError`, `LaunchError` and `CancelledError`.
    """
    config, machine, chosen = prepare(config, caller.tell, submit=True)
    spec = config.engine
    placement.mention_logout(spec, caller.tell)
    located = data.ensure(config.dataset, _path(config.data_dir), progress=caller.progress)
    train_size, test_size = _sizes(config, located)
    config = config.with_epochs(train_size)
    if config.test_limit and not config.validation:  # the synthetic set has as many test images as are asked for
        config = replace(config, test_limit=test_size)
    limit = None if config.validation else config.train_limit
    if located.images is not None:
        from tui_attn.data.folder_content import check_images

        remarks = check_images(located, limit, config.test_limit, caller.progress, seeds=config.seed_list)
        for note in (*located.notes, *remarks):
            caller.tell(note)
    config, sources = custom_models.prepare(config, caller.tell, located)
    if not caller.may_start():
        raise CancelledError
    manifest = Manifest(
        id="",
        created=next_in_order(runs_dir, time.time()),
        config=config,
        threads=placement.chosen_threads(spec),
        devices=chosen,
        precision=choosing.precision(config.precision, chosen, machine) if spec.here else config.precision,
        data=located.to_json(),
        versions=_versions(),
        host=platform.node(),
        subset=FIRST if config.train_limit is config.validation is None else STRATIFIED,
        plan=config.plan,
        gpus=machine.identities(chosen) if spec.here else {},
        kernels=fastest(cpu_kind(), config.precision),
    )
    folder, identity = _create(manifest, runs_dir, id_, sources)
    try:
        return _start_supervisor(folder, spec, identity, caller)
    except (KeyboardInterrupt, SystemExit):  # cancelled: nothing of it shall remain
        shutil.rmtree(folder.path, ignore_errors=True)
        raise


def prepare(
    config: ExperimentConfig, tell: Tell, *, submit: bool = False
) -> tuple[ExperimentConfig, devices.Machine, tuple[str, ...]]:
    """The configuration of a start, with an absolute path of a folder of images, this machine and the devices.

    `submit`: ask a scheduler whether it would take the jobs. Raises `ConfigError`, `DataError` and `ExportError`.
    """
    if config.tensorboard:
        _export().require_tensorboard()
    config = replace(config, dataset=data.parse_dataset(config.dataset))
    placement.check(config.engine, submit=submit)
    machine = devices.probe()
    return config, machine, choosing.choose_and_tell(config, machine, tell)


def _export() -> ModuleType:
    from tui_attn import export  # costs start-up time

    return export


def resume(folder: ExperimentDir, permit: Permit = Permit(), caller: Caller = Caller()) -> Started:
    """Continue what is not finished in an experiment without a supervisor.

    Raises `DataError`, `RunsError`, `ConfigError` and `LaunchError`.
    """
    return _continue(folder, permit, caller, None)


def extend(folder: ExperimentDir, seeds: int, permit: Permit = Permit(), caller: Caller = Caller()) -> Started | str:
    """Bring an experiment to `seeds` seeds and train what is missing. Raises what `resume` raises.

    If a supervisor runs it, the command is sent to that supervisor, and its id is returned.
    """
    if not supervisor_alive(folder):
        return _continue(folder, permit, caller, seeds)
    control.check_owner(folder)
    if permit != Permit(trust_code=permit.trust_code):
        what = "its data" if permit.data_dir is not None else "it to another device or engine"
        raise LaunchError(f"{folder.id} is running: stop it before you move {what}")
    _check_data(folder, None, caller.progress, may_move=False)
    return control.send(folder, "extend", seeds=seeds)


def _continue(folder: ExperimentDir, permit: Permit, caller: Caller, seeds: int | None) -> Started:
    identity = _identity(folder)
    control.check_owner(folder)
    if seeds is None:
        _check_unfinished(folder)
    spec = placement.placement(folder, permit.on)
    _check(folder, spec, permit, caller)
    if seeds is not None:
        with _saying_why(folder):
            writing.extend_manifest(folder, seeds)
    caller.may_start()
    return _start_supervisor(folder, spec, identity, caller)


def _start_supervisor(folder: ExperimentDir, spec: EngineSpec, identity: str, caller: Caller) -> Started:
    placement.remember(folder, spec)
    process = control.start_supervisor(folder, identity=identity, notify=caller.notify, on=spec, wait=caller.wait)
    return Started(folder, process)


class Attempt:
    """A start that can be cancelled until its folder is created. Its methods may be called from any thread."""

    def __init__(self, notify: NotifySettings | None = None) -> None:
        self._notify = notify
        self._lock = threading.Lock()
        self._cancelled = self._created = False

    def caller(self, progress: Progress) -> Caller:
        """The caller of the start; remarks go to `progress` as well."""

        def heard(phase: str, done: int, total: int | None) -> None:
            if self._cancelled:
                raise CancelledError
            progress(phase, done, total)

        return Caller(
            progress=heard,
            tell=lambda text: heard(text, 0, None),
            may_start=self.may_create,
            notify=self._notify,
        )

    def cancel(self) -> bool:
        """Cancel as soon as the current step allows; False when the experiment exists already."""
        with self._lock:
            self._cancelled = not self._created
            return self._cancelled

    def may_create(self) -> bool:
        """Whether it wasn't cancelled; from then on it can't be."""
        with self._lock:
            self._created = not self._cancelled
            return self._created


# ---- a new experiment


def _create(
    manifest: Manifest, runs_dir: Path, id_: str | None, sources: Sequence[custom_models.Source]
) -> tuple[ExperimentDir, str]:
    """The new experiment and the identity of its folder. Everything is written through a descriptor of that folder."""
    folder = writing.make_experiment(runs_dir, manifest.config, id_=id_)
    with _saying_why(folder), Folder(folder.path) as held:
        if held.owner != os.getuid() or any(held.path.iterdir()):
            raise RunsError(
                f"{safe_text(folder.path, one_line=True)} was replaced by another folder during the start:"
                " choose a --runs-dir that only you can write to"
            )
        opened = ExperimentDir(held.path, name=folder.id)
        custom_models.keep(opened, sources)
        writing.write_manifest(opened, replace(manifest, id=folder.id))
        return folder, held.identity


def _sizes(config: ExperimentConfig, located: data.Located) -> tuple[int, int]:
    """Training and test images of a run. Raises `ConfigError`."""
    info, counts = data.DATASETS.get(config.dataset), located.counts
    if info is not None:
        return config.sizes(info.train_size, info.test_size)
    return config.sizes(sum(counts["train"].values()), sum(counts["test"].values()))


def _versions() -> dict[str, str]:
    found = {"tui_attn": __version__, "python": platform.python_version()}
    return found | {name: machine_facts.installed_version(name) or "none" for name in ("torch", "torchvision")}


# ---- the checks before a supervisor starts


def _identity(folder: ExperimentDir) -> str:
    with _saying_why(folder), Folder(folder.path) as held:
        return held.identity


def _check(folder: ExperimentDir, spec: EngineSpec, permit: Permit, caller: Caller) -> None:
    control.check_owner(folder)
    control.check_not_running(folder)
    control.check_elsewhere(folder, caller.wait, adopts=spec.engine == "slurm")
    custom_models.check_code(folder, trust_code=permit.trust_code)
    manifest = folder.manifest_data()
    for remark in custom_models.remarks(manifest):
        caller.tell(remark)
    placement.check(spec, submit=True)
    if spec.here:
        with _saying_why(folder):
            choosing.settle(folder, permit.device, caller.tell, mix=permit.mix_devices)
        _mention_hardware(folder, caller.tell)
    elif permit.device is not None or permit.mix_devices:
        raise LaunchError("--device is for workers here: with --on local")
    else:
        placement.mention_logout(spec, caller.tell)
    _check_data(folder, permit.data_dir, caller.progress, may_move=True)
    if manifest.config.tensorboard:
        try:
            _export().require_tensorboard()
        except _export().ExportError as error:
            caller.tell(f"{folder.id} trains on without TensorBoard's event files: {error}")


def _check_unfinished(folder: ExperimentDir) -> None:
    follower = read_state(folder)
    config, runs = follower.manifest.config, follower.state.runs
    wanted = [run_id(model, seed) for model in config.models for seed in config.seed_list]
    over = all(run in runs and runs[run].state in {"finished", "skipped"} for run in wanted)
    if over and follower.state.state in EXPERIMENT_ENDED:
        raise NothingToResumeError(f"{folder.id} is finished: more seeds continue it")


def _mention_hardware(folder: ExperimentDir, tell: Tell) -> None:
    """Tell the user if the experiment began on another CPU: the trained bits depend on its kernels."""
    here = machine_facts.cpu_model()
    others = {str(run.about["cpu"]) for run in read_state(folder).state.runs.values() if "cpu" in run.about} - {here}
    if others:
        there = safe_text(", ".join(sorted(others)), one_line=True)
        tell(f"{folder.id} was trained on {there}, and this is {here}: equal seeds need not give equal bits here")


def _check_data(folder: ExperimentDir, data_dir: Path | None, progress: Progress, *, may_move: bool) -> None:
    """Refuse data other than the experiment's; with `may_move`, record a new place of the same data."""
    manifest = folder.manifest_data()
    dataset, place = manifest.config.dataset, _path(manifest.config.data_dir)
    if data_dir is not None and dataset.startswith(data.FOLDER):
        dataset = data.parse_dataset(f"{data.FOLDER}{data_dir}")
    elif data_dir is not None:
        place = data_dir.absolute()
    given = Path(dataset.removeprefix(data.FOLDER)) if dataset.startswith(data.FOLDER) else place
    if given is not None and data_dir is None and not given.exists():
        where = safe_text(given, one_line=True)
        raise LaunchError(f"the data of {folder.id} is not in {where} any more: say where it is with --data-dir DIR")
    located = data.ensure(dataset, place, progress=progress)
    if located.version != manifest.data.get("version"):
        shown = safe_text(manifest.config.dataset, one_line=True)
        if data_dir is None:
            raise LaunchError(f"the data set {shown} has changed since {folder.id} began: restore it first")
        raise LaunchError(f"{safe_text(data_dir, one_line=True)} holds other data than {folder.id} began with: {shown}")
    found = located.to_json()
    if may_move and (data_dir is not None or any(manifest.data.get(key) != found[key] for key in ("root", "files"))):
        moved = {"dataset": dataset, "data_dir": None if place is None else str(place)}
        with _saying_why(folder):
            writing.change_manifest(folder, lambda before: replace(before.configured(**moved), data=found))


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


@contextlib.contextmanager
def _saying_why(folder: ExperimentDir) -> Iterator[None]:
    """Turn an `OSError` into a `RunsError` for the user."""
    try:
        yield
    except OSError as error:
        raise RunsError(f"can't write to {safe_text(folder.path, one_line=True)}: {error.strerror}") from None
