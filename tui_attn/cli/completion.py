"""Shell completion of experiments, runs, models and data sets. Errors give no completions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import typer

from tui_attn.cli.context import file_settings, given
from tui_attn.experiment.options import Option, Switch

Found = list[tuple[str, str]]
"""Completions, each with a description that some shells show."""

VARIABLE = "_TUI_ATTN_COMPLETE"
"""The environment variable by which a shell asks for completions."""
_PLAIN = re.compile(r"[\w.,:+-]+", re.ASCII)
"""Words that no shell interprets."""
_NOT_PLAIN = re.compile(r"[^\w .,:+-]", re.ASCII)
_MOST = 200
"""At most so many experiments are offered, the newest ones."""


def make_safe() -> None:
    """Keep typer from loading rich to strip markup, which these texts lack: it takes longer than everything else."""
    from typer import _completion_classes

    if hasattr(_completion_classes, "_sanitize_help_text"):
        _completion_classes._sanitize_help_text = str  # type: ignore[assignment]


def _safe(found: Iterable[tuple[str, str]]) -> Found:
    """Drop words, and characters of descriptions, that a shell would interpret.

    The function that typer installs in zsh evaluates its input, and experiments' names may come from anywhere.
    """
    return [(word, " ".join(_NOT_PLAIN.sub(" ", about).split())) for word, about in found if _PLAIN.fullmatch(word)]


def experiments(context: typer.Context, incomplete: str) -> Found:
    """Completes experiments and studies: ids, and names that need no quotes."""
    try:
        named = context.params.get("experiments") or ()
        return _safe(found for found in _experiments(_runs_dir(context), incomplete) if found[0] not in named)
    except Exception:  # a shell can do nothing about errors
        return []


def _experiments(runs_dir: Path, incomplete: str) -> Iterable[tuple[str, str]]:
    from tui_attn.experiment import finding
    from tui_attn.experiment.folders import ExperimentDir
    from tui_attn.experiment.manifest import RunsError
    from tui_attn.experiment.study import StudyDir, studies

    found: Iterator[StudyDir | ExperimentDir] = chain(studies(runs_dir), finding.experiments(runs_dir))
    for folder in islice(found, _MOST):
        try:
            config = folder.plan().config if isinstance(folder, StudyDir) else folder.manifest_data().config
        except RunsError:
            name, about = None, "damaged"
        else:
            name, about = config.name, f"{config.dataset}: {', '.join(config.models)}"
        if folder.id.startswith(incomplete):
            yield folder.id, about if name is None else f"{name}, {about}"
        if name and name.startswith(incomplete):
            yield name, about


def in_the_trash(context: typer.Context, incomplete: str) -> Found:
    """The experiments in the trash."""
    try:
        from tui_attn.history import organize

        named = context.params.get("experiments") or ()
        ids = dict.fromkeys(item.id for item in organize.trashed(_runs_dir(context)))
        return _safe((id_, "") for id_ in ids if id_.startswith(incomplete) and id_ not in named)
    except Exception:
        return []


def runs_of(context: typer.Context, incomplete: str) -> Found:
    """The runs of the experiment that is named, or of the newest."""
    try:
        from tui_attn.experiment.finding import find_experiment
        from tui_attn.experiment.folders import run_id

        # Before an option that has no value yet, arguments are left unparsed.
        name = context.params.get("experiment") or next(iter(context.args), None)
        folder = find_experiment(_runs_dir(context), name)
        config = folder.manifest_data().config
        ids = [run_id(model, seed) for seed in config.seed_list for model in config.models]
        return _safe((id_, "") for id_ in ids if id_.startswith(incomplete))
    except Exception:
        return []


def _runs_dir(context: typer.Context) -> Path:
    here: Any = context
    while here is not None:
        if given(here, "runs_dir"):
            return Path(here.params["runs_dir"]).expanduser()
        here = here.parent
    return Path(file_settings(context).values.get("runs-dir", "runs")).expanduser()


def complete(option: Option) -> Callable[[Any, list[str], str], Found] | None:
    """What completes the value of `option`, or the last item of a comma-separated list; None for free text."""
    kind, name = option.kind, option.name
    if (not kind.choices and name != "device") or isinstance(kind, Switch):
        return None

    def offer(ctx: Any, args: list[str], incomplete: str) -> Found:
        before, comma, last = incomplete.rpartition(",") if kind.many else ("", "", incomplete)
        known = _devices() if name == "device" else (*kind.choices, "folder:") if name == "dataset" else kind.choices
        used = before.split(",")
        return _safe((before + comma + word, "") for word in known if word.startswith(last) and word not in used)

    return offer


def _devices() -> tuple[str, ...]:
    """Devices of this machine. GPUs are found by their device files, since asking the driver takes too long."""
    try:
        gpus = sorted(path.name[6:] for path in Path("/dev").glob("nvidia[0-9]*"))
    except OSError:
        gpus = []
    return ("auto", "all", "cpu", "cuda", "mps", *(f"cuda:{gpu}" for gpu in gpus))
