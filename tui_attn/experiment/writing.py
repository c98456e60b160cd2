"""Creates an experiment's folder; writes and changes its `experiment.json`."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import MOST_BYTES, Manifest, RunsError, with_checksum
from tui_attn.experiment.options import ConfigError
from tui_attn.system.files import exclusive, make_folders, sync_folder, write_atomically
from tui_attn.system.text import safe_text


def check_owner(folder: ExperimentDir, allowed: str) -> None:
    """Refuse to change another user's experiment; the message says what is `allowed`. Raises `RunsError`."""
    try:
        owner = folder.path.stat().st_uid
    except OSError as error:
        raise RunsError(f"can't read {safe_text(folder.path, one_line=True)}: {error.strerror}") from None
    if owner != os.getuid():
        raise RunsError(f"{folder.id} belongs to another user (uid {owner}): {allowed}")


def write_manifest(folder: ExperimentDir, manifest: Manifest) -> None:
    """Write `experiment.json` atomically. Raises `OSError`."""
    encoded = with_checksum(manifest.to_json())
    if len(encoded) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"experiment.json would hold {len(encoded):,} bytes of at most {MOST_BYTES:,}")
    write_atomically(folder.manifest, encoded)


def extend_manifest(folder: ExperimentDir, seeds: int) -> Manifest:
    """Bring the experiment to `seeds` seeds. Raises `RunsError` when it has as many already, `OSError`."""

    def wider(manifest: Manifest) -> Manifest:
        if seeds <= manifest.config.seeds:
            known = "1 seed" if manifest.config.seeds == 1 else f"{manifest.config.seeds} seeds"
            raise RunsError(f"{folder.id} has {known} already: ask for more with --seeds")
        return manifest.configured(seeds=seeds)

    return change_manifest(folder, wider)


def change_manifest(folder: ExperimentDir, change: Callable[[Manifest], Manifest]) -> Manifest:
    """Read, change and write the manifest, one process at a time. Raises `RunsError`, `OSError`."""
    with exclusive(folder.path / "experiment.lock"):
        try:
            changed = change(folder.manifest_data())
        except ConfigError as error:
            raise RunsError(str(error)) from None
        write_manifest(folder, changed)
    return changed


def make_experiment(
    runs_dir: Path, config: ExperimentConfig, *, now: float | None = None, id_: str | None = None
) -> ExperimentDir:
    """Create an empty folder for a new experiment in `runs_dir`, named `id_`, or by date and name.

    Raises `RunsError` when it can't be written.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    base = id_ or f"{stamp}-{_slug(config.name or config.dataset)}"[:56].rstrip("-._")
    try:
        make_folders(runs_dir.absolute())
        for attempt in range(1000 if id_ is None else 1):
            folder = runs_dir / (base if attempt == 0 else f"{base}-{attempt + 1}")
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue
            sync_folder(runs_dir)
            return ExperimentDir(folder.absolute())
    except OSError as error:
        raise _unwritable(runs_dir, error) from None
    raise RunsError(f"can't find a free name in {safe_text(runs_dir, one_line=True)}: use another --name")


def check_place(runs_dir: Path) -> None:
    """Raise `RunsError` where an experiment can't be made in `runs_dir`, as far as can be told without writing."""
    try:
        there = next(path for path in (runs_dir.absolute(), *runs_dir.absolute().parents) if path.exists())
        number = 0 if os.access(there, os.W_OK | os.X_OK) else errno.EACCES
        if number := number if there.is_dir() else errno.ENOTDIR:
            raise OSError(number, os.strerror(number))
    except OSError as error:
        raise _unwritable(runs_dir, error) from None


def _unwritable(runs_dir: Path, error: OSError) -> RunsError:
    where = safe_text(runs_dir, one_line=True)
    return RunsError(f"can't write to {where} ({error.strerror}): choose another folder with --runs-dir")


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return slug or "experiment"
