"""Every file name of an experiment and a run; making, finding and listing them; whether they live."""

from tui_attn.runs.finding import candidates, experiments, find_experiment, is_ours, only_match
from tui_attn.runs.folders import ID, ExperimentDir, RunDir, run_id
from tui_attn.runs.life import STALLED_AFTER, run_silent, supervisor_alive, supervisor_identity
from tui_attn.runs.manifest import FORMAT, FORMAT_VERSION, Manifest, RunsError
from tui_attn.runs.writing import check_owner, extend_manifest, make_experiment, rename_manifest, write_manifest

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "ID",
    "STALLED_AFTER",
    "ExperimentDir",
    "Manifest",
    "RunDir",
    "RunsError",
    "candidates",
    "check_owner",
    "experiments",
    "extend_manifest",
    "find_experiment",
    "is_ours",
    "make_experiment",
    "only_match",
    "rename_manifest",
    "run_id",
    "run_silent",
    "supervisor_alive",
    "supervisor_identity",
    "write_manifest",
]
