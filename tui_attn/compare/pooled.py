"""Several experiments as one comparison: models matched, seeds united, or refused where that would be unfair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tui_attn.compare.pairs import comparable, counts, final_accuracy, why_not_paired
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import Summary, summarise
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.experiment.follower import Follower, Situation, read_state
from tui_attn.experiment.manifest import Manifest, RunsError
from tui_attn.experiment.model_info import position
from tui_attn.experiment.reducer import ExperimentState, RunState
from tui_attn.system.text import safe_text

_MOST = 4
"""Reasons that are listed; further ones are counted."""


@dataclass(frozen=True, slots=True)
class _Folders(ExperimentDir):
    """Finds each run in the folder of the experiment that it belongs to."""

    by_run: Mapping[str, ExperimentDir] = field(default_factory=dict)

    def run(self, run: str) -> RunDir:
        """The run with id `run`."""
        return self.by_run[run].run(run)


@dataclass(frozen=True)
class PooledExperiment:
    """The runs of several experiments as those of one, as their logs stood when it was made."""

    followers: Sequence[Follower]
    manifest: Manifest
    folder: ExperimentDir
    state: ExperimentState
    states: Situation

    def situation(self) -> Situation:
        """The states as they were when the logs were read."""
        return self.states

    def troubles(self) -> list[str]:
        """What is wrong with the logs of any of them."""
        return [f"{each.folder.id}/{trouble}" for each in self.followers for trouble in each.troubles()]


def pool(followers: Sequence[Follower]) -> PooledExperiment:
    """Make one experiment of several. Raises `RunsError` with the reasons why they may not be compared."""
    reasons = why_not_together(followers)
    if reasons:
        names = ", ".join(follower.folder.id for follower in followers)
        more = f"; and {len(reasons) - _MOST} more" if len(reasons) > _MOST else ""
        raise RunsError(f"comparing {names} would be unfair: they differ in {'; '.join(reasons[:_MOST])}{more}")
    chosen = _chosen(followers)
    ids = " + ".join(follower.folder.id for follower in followers)
    configs = [follower.manifest.config for follower in followers]
    models = tuple(sorted(dict.fromkeys(model for config in configs for model in config.models), key=position))
    custom = tuple({each.name: each for config in configs for each in config.custom_models}.values())
    seed = min(run.seed for run, _ in chosen.values())
    config = replace(configs[0], models=models, custom_models=custom, seed=seed, seeds=1, name=None)
    situations = {id(follower): follower.situation() for follower in followers}
    states = {run: situations[id(follower)].runs[run] for run, (_, follower) in chosen.items()}
    kinds = [situation.experiment for situation in situations.values()]
    worst = next((kind for kind in kinds if kind != "finished"), "finished")
    state = ExperimentState(ids)
    state.runs = {id_: run for id_, (run, _) in chosen.items()}
    return PooledExperiment(
        followers=followers,
        manifest=replace(followers[0].manifest, id=ids, config=config),
        folder=_Folders(followers[0].folder.path, {run: follower.folder for run, (_, follower) in chosen.items()}),
        state=state,
        states=Situation(worst, states, any(situation.supervised for situation in situations.values())),
    )


def compare_together(folders: Sequence[ExperimentDir]) -> tuple[Summary, list[str]]:
    """The comparison of several experiments, and the remarks on it.

    Raises `RunsError`, also where comparing them would be unfair.
    """
    pooled = pool([read_state(folder) for folder in dict.fromkeys(folders)])
    ids = tuple(follower.folder.id for follower in pooled.followers)
    summary = replace(summarise(pooled, pooled=True), experiments=ids)
    return summary, [*_shares(pooled), *find_remarks(pooled, summary)]


def why_not_together(followers: Sequence[Follower]) -> list[str]:
    """Why experiments may not be compared with each other, a phrase for each reason; empty when they may."""
    first, *others = followers
    found = [reason for other in others for reason in comparable(first.manifest, other.manifest)]
    digests: dict[str, set[str | None]] = {}
    for follower in followers:
        for custom in follower.manifest.config.custom_models:
            digests.setdefault(custom.name, set()).add(custom.sha256)
    codes = [f"the code of {name}" for name, known in digests.items() if len(known) > 1]
    return list(dict.fromkeys([*found, *_unlike_devices(followers), *codes, *_clashes(followers)]))


def _unlike_devices(followers: Sequence[Follower]) -> list[str]:
    """The models of device of experiments that trained on different ones, unless one of them allows the mixture."""
    runs = [_counted(follower) for follower in followers]
    if any(run.about.get("mix_devices") is True for some in runs for run in some):
        return []
    found = [
        {safe_text(run.about["device_name"], one_line=True) for run in some if "device_name" in run.about}
        for some in runs
    ]
    different = list(dict.fromkeys(", ".join(sorted(names)) for names in found if names))
    return [f"model of device: {' and '.join(different)}"] if len(different) > 1 else []


def _clashes(followers: Sequence[Follower]) -> list[str]:
    """Runs of one model and seed that came to different results."""
    found = []
    seen: dict[str, RunState] = {}
    for follower in followers:
        for run in _counted(follower):
            before = seen.setdefault(run.id, run)
            why = None if before is run else why_not_paired(before, run)
            if why is not None:
                found.append(why)
            elif before is not run and not _same(before, run):
                found.append(f"{run.id} came to different results in two of them")
    return found


def _counted(follower: Follower) -> list[RunState]:
    return [run for run in follower.state.runs.values() if counts(run, follower.manifest.config.epochs)]


def _same(first: RunState, second: RunState) -> bool:
    one, two = first.weights_sha256, second.weights_sha256
    if one is not None and two is not None:
        return one == two
    return final_accuracy(first, first.epoch) == final_accuracy(second, second.epoch)


def _chosen(followers: Sequence[Follower]) -> dict[str, tuple[RunState, Follower]]:
    """One run of each model and seed: the first that counts, else the first."""
    found: dict[str, tuple[RunState, Follower]] = {}
    for follower in followers:
        counted = {run.id for run in _counted(follower)}
        for run in follower.state.runs.values():
            before = found.get(run.id)
            if before is None or (run.id in counted and not counts(before[0], follower.manifest.config.epochs)):
                found[run.id] = (run, follower)  # all have equally many epochs, or were refused
    if not found:
        raise RunsError("none of these experiments has a run yet: compare them once they have begun")
    return found


def _shares(pooled: PooledExperiment) -> list[str]:
    """Which runs come from which experiment."""
    found: dict[str, list[RunState]] = {follower.folder.id: [] for follower in pooled.followers}
    for id_, run in pooled.state.runs.items():
        found[pooled.folder.run(id_).path.parent.name].append(run)
    return [f"from {id_}: {_which(runs)}" for id_, runs in found.items()]


def _which(runs: Sequence[RunState]) -> str:
    if not runs:
        return "nothing, because the others have the same runs"
    models = list(dict.fromkeys(run.model for run in runs))
    seeds = sorted({run.seed for run in runs})
    if len(runs) != len(models) * len(seeds):
        return ", ".join(run.id for run in runs)
    label = "seed" if len(seeds) == 1 else "seeds"
    return f"{label} {', '.join(map(str, seeds))} of {', '.join(models)}"
