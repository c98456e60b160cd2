"""The device, data and precision that all sessions of a worker share."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable
from traceback import clear_frames

import torch

from tui_attn.data import Arrays, DataError
from tui_attn.experiment.custom_model import CustomModelError
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import Manifest
from tui_attn.system.plain_file import NotAFileError
from tui_attn.train import fused_pooling, tensors
from tui_attn.train.accelerator import free_memory, synchronise
from tui_attn.train.graphed_steps import Proofs
from tui_attn.train.optimiser import be_deterministic
from tui_attn.train.probe import ProbeSet
from tui_attn.train.reading import read
from tui_attn.train.run_writer import LogGoneError, retry_on_full_disk
from tui_attn.train.session import PrecisionChangedError, Session
from tui_attn.train.step import DTYPES, choose_precision
from tui_attn.train.trainer import NotFiniteError

_TOLD_IN_FULL = (PrecisionChangedError, NotFiniteError, DataError, LogGoneError, CustomModelError, NotAFileError)
"""Errors whose message is complete without a traceback."""


SPARE = 0.25
"""The share of a device's memory that must be free before a run is opened beside others."""


class WorkerContext:
    """Opens, keeps and closes the sessions of one worker. Raises `DataError`, and what torch raises."""

    def __init__(
        self,
        folder: ExperimentDir,
        manifest: Manifest,
        device: str,
        *,
        probes: bool = True,
        token: int = 0,
        arrays: Callable[[], Arrays] | None = None,
    ) -> None:
        """`arrays`: waits for the data of the first seed, which is being read; without it the data is read here."""
        self.folder, self.manifest = folder, manifest
        # A worker that is told its GPU by UUID sees no other.
        pinned = manifest.uuids.get(device) == os.environ.get("CUDA_VISIBLE_DEVICES", "")
        self.device = torch.device("cuda:0" if pinned else device)
        self.called = device
        """The device's name in the experiment."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        be_reproducible()
        self.precision = choose_precision(manifest.precision, self.device)
        if self.device.type == "cuda":
            fused_pooling.start_compiling(self.device, DTYPES[self.precision])
        self._subset = manifest.subset_seed(manifest.config.seed)
        first = arrays() if arrays else read(manifest, manifest.config.seed)
        self.images = tensors.on_device(manifest.config.dataset, first, self.device)
        """Those of the run that was opened last."""
        self.probes = ProbeSet.of(self.images) if probes else None
        synchronise(self.device)  # the sessions compute on streams of their own
        self.token = token
        """Of the worker, for the logs of its runs."""
        self.proofs: Proofs = {}
        self._sessions: dict[str, Session] = {}
        self._taken = 0
        """Bytes of device memory that the last opened session took."""

    def open(self, run: str, *, should_abort: Callable[[], bool] = lambda: False) -> None:
        """Start the run, or continue it from its newest good checkpoint.

        `should_abort` tells whether to stop waiting for room on a full disk: then `NoRoomError` is raised.
        """

        def make() -> Session:
            self._load_images(int(run.rpartition("-s")[2]))
            return Session(self, run, should_abort)

        free, _ = free_memory(self.device)
        session = self._sessions[run] = retry_on_full_disk(make, should_abort=should_abort, sign_of_life=lambda: None)
        session.begin()
        self._taken = free - free_memory(self.device)[0]

    def _load_images(self, seed: int) -> None:
        """Load the images of the runs with `seed`, unless they are on the device."""
        subset = self.manifest.subset_seed(seed)
        if subset == self._subset:
            return
        synchronise(self.device)  # other sessions may still read the memory that is freed
        images = tensors.on_device(self.manifest.config.dataset, read(self.manifest, seed), self.device)
        if self.probes is not None and self.manifest.config.validation:
            self.probes = ProbeSet.of(images)  # another seed may train on these images
        self._subset, self.images = subset, images  # together, and only when nothing has failed
        synchronise(self.device)

    @property
    def has_room(self) -> bool:
        """Whether the device has memory for one more run next to the open ones, evaluation included."""
        if not self._sessions:
            return True
        try:
            free, total = free_memory(self.device)
        except RuntimeError:  # the device has failed, which the next call reports
            return True
        return free >= max(total * SPARE, 2 * self._taken)

    def session(self, run: str) -> Session:
        """The open session of `run`."""
        return self._sessions[run]

    def fail(self, run: str, error: BaseException, traceback: str | None) -> None:
        """Record in the log of `run` why it failed, whether it was opened or not.

        Raises `OSError` when that can't be recorded, `BlockingIOError` where another process writes the log.
        """
        if isinstance(error, BlockingIOError):
            raise error
        reason = explain(error)
        chained: BaseException | None = error
        while chained is not None:  # local variables of its frames hold the network and activations
            clear_frames(chained.__traceback__)
            chained = chained.__cause__ or chained.__context__
        session = self._sessions.get(run)
        if session is not None:
            session.fail(reason, traceback)
            return
        log = LogWriter(self.folder.run(run).events)
        log.append("ended", state="failed", reason=reason, traceback=traceback, epoch=0, step=0, weights_sha256=None)
        log.close()

    def needs_traceback(self, error: BaseException) -> bool:
        """Whether the message of `error` alone is too little."""
        return not isinstance(error, _TOLD_IN_FULL)

    def device_is_lost(self, error: BaseException) -> bool:
        """Whether every further call of the device in this process would fail, though not in another process."""
        return device_is_lost(error)

    def close(self, run: str) -> None:
        """Close the run's files and free its memory."""
        session = self._sessions.pop(run, None)
        if session is None:
            return
        session.close()
        del session
        gc.collect()
        if self.device.type == "cuda":
            with contextlib.suppress(RuntimeError):  # after a device error, which the next call reports
                torch.cuda.empty_cache()


def explain(error: BaseException) -> str:
    """Why a run failed, in one line for the user."""
    text = str(error).strip().splitlines()
    first = text[0] if text else ""
    if is_out_of_memory(error):
        return f"out of memory: use a smaller --batch-size or fewer --jobs ({first})"[:500]
    if "busy or unavailable" in str(error):
        return f"another program holds the GPU for itself: end it, or use another --device ({first})"[:500]
    if isinstance(error, _TOLD_IN_FULL):
        return str(error)
    if isinstance(error, SystemExit):
        return f"its code called sys.exit({error.code!r}): return or raise an error instead"[:500]
    return f"{type(error).__name__}: {first}"[:500]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, of the device or of the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def device_is_lost(error: BaseException) -> bool:
    """Whether every further call of the device in this process would fail too."""
    if is_out_of_memory(error):
        return False
    text = str(error)
    return isinstance(error, torch.AcceleratorError) or (isinstance(error, RuntimeError) and "CUDA error" in text)


def be_reproducible() -> None:
    """Get the same bits from the same seed, as far as the device's kernels allow."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    be_deterministic()
    # Filling fresh memory only helps programs that read it before they write it.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
