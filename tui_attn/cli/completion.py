"""What the Tab key offers: names of experiments, runs, models, data sets. Quick, and silent whatever is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import typer

Found = list[tuple[str, str]]
"""Words, each with what some shells show beside it."""

VARIABLE = "_TUI_ATTN_COMPLETE"
"""What a shell sets when it asks."""
_PLAIN = re.compile(r"[\w.+-]+", re.ASCII)
"""Names that need no quotes in any shell."""
_MOST = 200
"""Experiments that are offered, the newest."""


def quick() -> None:
    """Keep typer from loading rich to strip markup off texts without any: that takes longer than all the rest."""
    from typer import _completion_classes

    if hasattr(_completion_classes, "_sanitize_help_text"):
        _completion_classes._sanitize_help_text = str  # type: ignore[assignment]


def experiments(context: typer.Context, incomplete: str) -> Found:
    """The experiments of the runs folder that is asked for: ids, and names that need no quotes."""
    try:
        named = context.params.get("experiments") or ()
        return [found for found in _experiments(_runs_dir(context), incomplete) if found[0] not in named]
    except Exception:  # whatever it is, a shell has no use for it
        return []


def _experiments(runs_dir: Path, incomplete: str) -> Iterable[tuple[str, str]]:
    from tui_attn.experiment import finding
    from tui_attn.experiment.manifest import RunsError

    for folder in islice(finding.experiments(runs_dir), _MOST):
        try:
            config = folder.manifest_data().config
        except RunsError:
            name, about = None, "damaged"
        else:
            name, about = config.name, f"{config.dataset}: {', '.join(config.models)}"
        if folder.id.startswith(incomplete):
            yield folder.id, about if name is None else f"{name}, {about}"
        if name and _PLAIN.fullmatch(name) and name.startswith(incomplete):
            yield name, about


def in_the_trash(context: typer.Context, incomplete: str) -> Found:
    """The experiments in the trash."""
    try:
        from tui_attn.history import organize

        named = context.params.get("experiments") or ()
        ids = dict.fromkeys(item.id for item in organize.trashed(_runs_dir(context)))
        return [(id_, "") for id_ in ids if id_.startswith(incomplete) and id_ not in named]
    except Exception:
        return []


def runs_of(context: typer.Context, incomplete: str) -> Found:
    """The runs of the experiment that is named, or of the newest."""
    try:
        from tui_attn.experiment.finding import find_experiment
        from tui_attn.experiment.folders import run_id

        # What stands before an option without its value yet is not taken apart.
        name = context.params.get("experiment") or next(iter(context.args), None)
        folder = find_experiment(_runs_dir(context), name)
        config = folder.manifest_data().config
        ids = [run_id(model, seed) for seed in config.seed_list for model in config.models]
        return [(id_, "") for id_ in ids if id_.startswith(incomplete)]
    except Exception:
        return []


def _runs_dir(context: typer.Context) -> Path:
    from tui_attn.cli.context import file_settings, given

    here: Any = context
    while here is not None:
        if given(here, "runs_dir"):
            return Path(here.params["runs_dir"]).expanduser()
        here = here.parent
    return Path(file_settings(context).values.get("runs-dir", "runs")).expanduser()


def words(*known: str) -> Callable[[str], Found]:
    """Completes one of `known`."""

    def complete(incomplete: str) -> Found:
        return [(word, "") for word in known if word.startswith(incomplete)]

    return complete


def listed(*known: str) -> Callable[[str], Found]:
    """Completes the last item of a list with commas, by one of `known` that isn't in it yet."""

    def complete(incomplete: str) -> Found:
        before, comma, last = incomplete.rpartition(",")
        used = before.split(",")
        return [(before + comma + word, "") for word in known if word.startswith(last) and word not in used]

    return complete


def datasets(incomplete: str) -> Found:
    """Completes the name of a data set."""
    from tui_attn.experiment.config import DATASETS

    return words(*DATASETS, "folder:")(incomplete)


def _models(incomplete: str) -> Found:
    from tui_attn.experiment.config import MODEL_CLASSES

    return listed(*MODEL_CLASSES)(incomplete)


def _devices(incomplete: str) -> Found:
    """With the GPUs whose device files are here: to ask the driver would take too long."""
    try:
        gpus = sorted(path.name[6:] for path in Path("/dev").glob("nvidia[0-9]*"))
    except OSError:
        gpus = []
    return words("auto", "cpu", "cuda", "mps", *(f"cuda:{gpu}" for gpu in gpus))(incomplete)


def _themes(incomplete: str) -> Found:
    from tui_attn.ui.options import THEMES

    return words(*THEMES)(incomplete)


def _precisions(incomplete: str) -> Found:
    from tui_attn.experiment.config import PRECISIONS

    return words(*PRECISIONS)(incomplete)


def _augmentations(incomplete: str) -> Found:
    from tui_attn.experiment.config import AUGMENTATIONS

    return listed(*AUGMENTATIONS)(incomplete)


OF_SETTING: dict[str, Callable[[str], Found]] = {
    "models": _models,
    "dataset": datasets,
    "augment": _augmentations,
    "device": _devices,
    "precision": _precisions,
    "theme": _themes,
}
"""What completes the value of a setting."""
