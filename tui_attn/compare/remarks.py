"""Sentences on what is missing or odd in a comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import fsum
from pathlib import Path

from tui_attn.compare.cautions import control_checks, outliers, unlike_times
from tui_attn.compare.pairs import BASE, Experiment, same_data, same_seed, why_left_out, why_not_paired
from tui_attn.compare.summary import RunSummary, Summary, these_networks
from tui_attn.compare.t_test import ERROR_RATE
from tui_attn.compare.verdicts import MARGIN
from tui_attn.compare.wording import interval_points, named, ordinal, points, points_words
from tui_attn.experiment.folders import TRASH, ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.model_info import has_gates, info_of, twin_of
from tui_attn.experiment.reducer import RUN_ENDED
from tui_attn.experiment.study import is_study
from tui_attn.system.text import command_line, percent, safe_text

FEW_STEPS = 3000
"""Fewer steps than this are few: after 7,000, se was level with base on Fashion-MNIST; after 2,345, behind."""
_MOST = 5
"""Runs that are named; further ones are counted."""


def find_remarks(experiment: Experiment, summary: Summary, *, commands: bool = True) -> list[str]:
    """Sentences on what the comparison `summary` of `experiment` lacks, the weightiest first; none when all is there.

    Text from files is made safe. With `commands` they name those that mend it, where they are of one experiment.
    """
    folder = experiment.folder.path if commands and not summary.experiments else None
    return [
        *_validation(experiment),
        *_study(experiment, summary),
        *_models(summary, any(run.gates for run in experiment.state.runs.values())),
        *_unfinished(summary.runs, summary.epochs, folder),
        *_diverged(summary),
        *_left_out(experiment),
        *_not_paired(experiment),
        *_one_start(experiment),
        *_seeds(summary, folder),
        *_plan(experiment, summary),
        *_scale(experiment, summary),
        *control_checks(experiment, summary).values(),
        *outliers(summary),
        *filter(None, [unlike_times(summary)]),
        *_epochs(experiment, summary),
        *_twins(summary),
        *_others(experiment, summary),
        *_predictions(experiment, summary),
        *_hardware(experiment),
        *_first(experiment.troubles(), "logs are damaged as well"),
    ]


def _validation(experiment: Experiment) -> Iterable[str]:
    held_out = experiment.manifest.config.validation
    if held_out:
        yield f"accuracies are of {held_out:,} training images held out for each seed: the test set was not opened"


def _study(experiment: Experiment, summary: Summary) -> Iterable[str]:
    folder = experiment.folder.path.absolute().parent
    if not summary.experiments and is_study(folder):
        yield (
            "this is one experiment of a study, and its verdicts are not adjusted for the others:"
            f" '{command_line('compare', folder)}' shows those that are"
        )


def _models(summary: Summary, gates: bool) -> Iterable[str]:
    models = summary.names
    if len(models) == 1:
        yield f"{models[0]} is the only model of this experiment: there is nothing to compare it with"
    elif BASE not in models:
        yield f"{BASE} is not in this experiment: no differences from it, and no verdicts"
    if not gates and not any(map(has_gates, models)):
        yield "no model with channel gates in this experiment: there are no gates to look at"


def _unfinished(runs: Sequence[RunSummary], epochs: int, folder: Path | None) -> Iterable[str]:
    """Runs that don't count because they didn't finish, by state."""
    ended: dict[tuple[str, bool], list[str]] = {}
    states = ("failed", "lost", "stopped", "skipped")
    unfinished = [line for line in runs if line.state in states and not line.diverged]
    for line in sorted(unfinished, key=lambda line: states.index(line.state)):
        reason = line.reason if line.state == "failed" else None
        ended.setdefault((_how(line.state, line.epoch, epochs, reason), bool(reason)), []).append(line.run)
    # A reason is of one run ("its worker was killed"): where several share it, it is each one's.
    said = [f"{named(ids)}{' each' if reason and len(ids) > 1 else ''} {how}" for (how, reason), ids in ended.items()]
    yield from _first(said, "kinds of runs that did not finish")
    if ended:
        yield "they do not enter means and verdicts"
    waiting = Counter(line.state for line in runs if line.state not in {*RUN_ENDED, "lost"})
    if waiting:
        some = ", ".join(f"{count} {state}" for state, count in waiting.items())
        yield f"not all runs have ended ({some}): means and verdicts are of those that finished and may change"
    if folder is not None and any(line.state in {"failed", "lost", "stopped"} for line in runs):
        yield f"'{command_line('resume', folder)}' continues what failed, was lost or stopped"


def _diverged(summary: Summary) -> Iterable[str]:
    """Runs whose loss became NaN or infinite."""
    for entry in summary.models:
        found = [run for run in entry.runs if run.diverged]
        if found:
            one = len(found) == 1
            guess = "" if found[0].test_accuracy is None else f", {percent(found[0].test_accuracy)} %"
            yield (
                f"{named([run.run for run in found])} diverged: {'it enters' if one else 'they enter'} means and"
                f" verdicts with the accuracy of guessing{guess}"
            )


def _how(state: str, epoch: int, epochs: int, reason: str | None) -> str:
    if state == "skipped" and not epoch:
        return state
    after = f"after {epoch} of {epochs} epochs" if epoch else "before the end of the first epoch"
    why = f": {safe_text(reason, one_line=True)}" if reason else ""
    return f"{state} {after}{': no process trains any more' if state == 'lost' else why}"


def _left_out(experiment: Experiment) -> Iterable[str]:
    """Finished runs that nevertheless don't count."""
    epochs = experiment.manifest.config.epochs
    found = [
        f"{safe_text(run.id, one_line=True)} {why}; it is left out of means and verdicts"
        for run in experiment.state.runs.values()
        if run.state == "finished" and (why := why_left_out(run, epochs))
    ]
    yield from _first(found, "finished runs are left out for the like")


def _not_paired(experiment: Experiment) -> Iterable[str]:
    """Runs of one seed that differ in more than their model."""
    config = experiment.manifest.config
    others = [model for model in config.models if model != BASE and not twin_of(model)] if BASE in config.models else []
    found = [
        f"{other.id} is not compared with {base.id}: they differ in {why}"
        for model in others
        for base, other in same_seed(experiment.state, config, model)
        if (why := why_not_paired(base, other))
    ]
    yield from _first(found, "pairs of runs are not compared for the like")
    names = {
        "test_size": "numbers of test images",
        "train_size": "numbers of training images",
        "torch": "versions of torch",
        "precision": "settings of precision",
        "device_name": "models of device",
    }
    for key, what in names.items():
        count = len({str(run.about[key]) for run in experiment.state.runs.values() if key in run.about})
        if count > 1:
            yield f"the runs have {count} different {what}: their means mix these"


def _one_start(experiment: Experiment) -> Iterable[str]:
    """Models whose seeds began with the same weights."""
    starts: dict[tuple[str, str], set[int]] = {}
    for run in experiment.state.runs.values():
        if isinstance(digest := run.about.get("start_sha256"), str):
            starts.setdefault((run.model, digest), set()).add(run.seed)
    for (model, _), seeds in starts.items():
        if len(seeds) > 1:
            yield (
                f"{model}: {len(seeds)} seeds began with the same weights, so its interval and verdict lack the chance"
                " of another start: let its weights depend on torch's random numbers"
            )


def _seeds(summary: Summary, folder: Path | None) -> Iterable[str]:
    models = summary.names
    counted = {entry.model: len(entry.counted) for entry in summary.models}
    if len(summary.seeds) == 1:
        verdicts = " and no verdict" if BASE in models and len(models) > 1 else ""
        more = "" if folder is None else f"; '{command_line('extend', folder, '--seeds 5')}' trains more"
        yield f"one seed: no intervals{verdicts}, because nothing tells how much another seed would change{more}"
    elif len(set(counted.values())) > 1:
        numbers = ", ".join(f"{model} {count}" for model, count in counted.items())
        yield f"the means are over different numbers of seeds ({numbers}); verdicts only use seeds finished in both"


def _plan(experiment: Experiment, summary: Summary) -> Iterable[str]:
    """What a verdict rests on where no plan was recorded before training."""
    compared = [entry.versus_base for entry in summary.models if entry.versus_base]
    if experiment.manifest.plan is not None or summary.experiments or len(summary.seeds) < 2 or not compared:
        return
    fixed, every = "its number of seeds counts as fixed beforehand", "it was extended, so every seed counts as a look"
    looks = every if experiment.state.extended else fixed
    yield f"no plan was recorded before training: {looks}, and the margin of {points_words(MARGIN)} was set afterwards"


def _scale(experiment: Experiment, summary: Summary) -> Iterable[str]:
    """Why models whose gates start near 0.5 are behind base after few steps."""
    for entry in summary.models:
        versus = entry.versus_base
        steps = max((run.step for run in experiment.state.runs.values() if run.model == entry.model), default=0)
        info = info_of(entry.model)
        behind = versus is not None and versus.verdict == "worse" and 0 < steps < FEW_STEPS
        if info is None or not info.half_open or not behind:
            continue
        half = summary.get("half").versus_base if "half" in summary.names else None
        cause = "the controls half and static (--controls) tell how much of its deficit that is"
        if half is not None:
            interval = f" ({interval_points(half.ci95)})" if half.ci95 else ""
            cause = f"half, which only has that scale, is {points(half.delta)} points{interval} from base"
            undone = summary.get("se2x").versus_base if entry.model == "se" and "se2x" in summary.names else None
            cause += f", and se2x, with the scale undone, {points(undone.delta)} points" if undone else ""
        yield (
            f"{entry.model} begins with gates near 0.5 in both layers, so with logits of about a quarter of base's"
            f" size; {steps:,} steps may not be enough to undo that, and its deficit is no evidence against looking at"
            f" the image: {cause}"
        )


def _epochs(experiment: Experiment, summary: Summary) -> Iterable[str]:
    """Verdicts that the epoch before would not have supported."""
    last = summary.epochs
    for entry in summary.models:
        versus = entry.versus_base
        if versus is None or versus.verdict not in {"better", "worse"}:
            continue
        pairs = same_seed(experiment.state, experiment.manifest.config, entry.model)
        known = [[{each.epoch: each.test_accuracy for each in run.epochs} for run in pair] for pair in pairs]
        found = [other[last - 1] - base[last - 1] for base, other in known if last - 1 in base.keys() & other.keys()]
        before = fsum(found) / len(found) if found else versus.delta
        if before / versus.delta < 0.5:
            yield (
                f"{entry.model}'s difference from {BASE} depends on the epoch: {points(before)} points after epoch"
                f" {last - 1}, {points(versus.delta)} after epoch {last}, which alone the verdict is about"
            )


def _twins(summary: Summary) -> Iterable[str]:
    """Models that were trained on random labels."""
    found = [f"{entry.model} ({percent(entry.accuracy)} % test accuracy)" for entry in summary.twins]
    if found:
        told = f"trained on random labels: {', '.join(found)}"
        yield f"{told}; the heatmaps are compared with theirs, and no verdict uses them"


def _others(experiment: Experiment, summary: Summary) -> Iterable[str]:
    """How many comparisons of the same two models on the same data there were before in this folder and its trash."""
    compared = [entry.model for entry in summary.models if entry.versus_base and entry.versus_base.decides]
    if summary.experiments or not compared:
        return
    before = [found for found in _earlier(experiment) if BASE in found]
    for model in compared:
        number = 1 + sum(model in found for found in before)
        if number > 1:
            yield (
                f"this is the {ordinal(number)} comparison of {model} with {BASE} on this data here, trash included;"
                f" if none were real, at least one verdict in {number} would appear with probability"
                f" {100 * (1 - (1 - ERROR_RATE) ** number):.0f} %"
            )


def _earlier(experiment: Experiment) -> Iterable[set[str]]:
    """The models with results of each earlier experiment on the same data."""
    this, own = experiment.manifest, experiment.folder.path.absolute()
    folders = neighbours(own.parent if is_study(own.parent) else own)
    for folder in (*folders, *(member for path in folders if is_study(path) for member in _folders(path))):
        try:
            manifest = ExperimentDir(folder).manifest_data()
        except RunsError:
            continue
        if same_data(manifest, this) and manifest.created < this.created and folder != own:
            yield {model for model in manifest.config.models if any(folder.glob(f"{model}-s*/predictions.npz"))}


def neighbours(folder: Path) -> list[Path]:
    """The folders in the folder of experiments that `folder` is in, itself included, and those in the trash there."""
    parent = folder.absolute().parent
    runs_dir = parent.parent if parent.name == TRASH else parent
    return [*_folders(runs_dir), *_folders(runs_dir / TRASH)]


def _folders(place: Path) -> list[Path]:
    try:
        return [] if place.is_symlink() else [path for path in place.iterdir() if not path.is_symlink()]
    except OSError:
        return []


def _predictions(experiment: Experiment, summary: Summary) -> Iterable[str]:
    problems: dict[str, None] = {}
    for entry in summary.models:
        if entry.versus_base is None:
            continue
        pairs = same_seed(experiment.state, experiment.manifest.config, entry.model)
        result, found = these_networks(experiment.folder, pairs)
        problems |= dict.fromkeys(found)
        if result is None and found:
            problems[f"so the networks of {entry.model} and {BASE} can't be compared image by image"] = None
    yield from _first(list(problems), "predictions can't be used either")


def _hardware(experiment: Experiment) -> Iterable[str]:
    """Where the runs were trained on hardware whose kernels differ: equal seeds need not give equal bits there."""
    found: dict[str, set[str]] = {}
    for run in experiment.state.runs.values():
        about = run.about
        gpu = [str(about.get("device_name")), str(about["capability"])] if "capability" in about else []
        kind = " ".join(gpu) or str(about.get("cpu_capability", ""))
        if run.state == "finished" and kind:
            found.setdefault(safe_text(kind, one_line=True), set()).add(str(about.get("host", "")))
    if len(found) > 1:
        hosts = {kind: safe_text(", ".join(sorted(hosts)), one_line=True) for kind, hosts in found.items()}
        kinds = "; ".join(f"{kind} ({hosts[kind]})" for kind in sorted(hosts))
        yield f"the runs were trained on different hardware, so equal seeds need not give equal bits: {kinds}"


def _first(sentences: Sequence[str], others: str) -> Iterable[str]:
    """The first few of `sentences`, and how many more there are."""
    yield from sentences[:_MOST]
    if len(sentences) > _MOST:
        yield f"{len(sentences) - _MOST} more {others}"
