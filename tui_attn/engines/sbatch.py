"""Submitting workers to SLURM: the command, the job's script, and whether SLURM would take a job."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from tui_attn.engines.mailbox import Mailbox
from tui_attn.engines.squeue import Command
from tui_attn.engines.workers import remote_environment
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.system.text import safe_text

MOST_JOBS = 50
"""At once, without `--jobs`."""
TEST_WITHIN = 10.0
"""Seconds for which a start waits for SLURM to say whether it would take a job."""
NOTICE = 60
"""Seconds before its time limit at which SLURM tells a job to checkpoint and leave; less where the limit is short."""
LATER = "unable to contact", "timed out", "connection refused", "zero bytes", "temporarily", "controller", "try again"
"""What sbatch says where the same may work later; the job may exist nevertheless."""


def job_name(folder: ExperimentDir, token: int) -> str:
    """What a job is called: nobody who sends an experiment can make it name another job of this user."""
    return f"{folder.id[:40]}.{token:012x}"


def most_jobs(config: ExperimentConfig) -> int:
    """How many jobs there are at once without `--jobs`: one a run, up to a limit."""
    return min(MOST_JOBS, len(config.models) * config.seeds)


def preview(spec: EngineSpec, *, short: bool = False) -> str:
    """The command that submits a job, for people; if `short`, with the user's options only."""
    if short:
        return " ".join(["sbatch ...", shlex.join(spec.slurm_options), "job.sh"])
    return shlex.join([*sbatch_words(spec, "EXPERIMENT", "EXPERIMENT.TOKEN", 1), "job.sh"])


def refusal(spec: EngineSpec) -> str | None:
    """Why SLURM would not take a job, as `sbatch --test-only` says; None where it would, or doesn't answer in time."""
    command = Command(*sbatch_words(spec, "test", "test", 1), "--test-only", "--wrap=true")
    code, text = command.wait(within=TEST_WITHIN)
    said = (text.strip().splitlines() or [""])[-1]
    # Without a controller it can't tell; one that is full takes the job nevertheless.
    unsure = code <= 0 or any(words in text.lower() for words in (*LATER, "busy", "not available"))
    return None if unsure or not said else safe_text(said.removeprefix("allocation failure: "), one_line=True)[:200]


def sbatch_words(spec: EngineSpec, experiment: str, name: str, count: int) -> list[str]:
    """The sbatch command for `count` alike workers, but for the script. Only known options reach it."""
    notice = min(NOTICE, max(10, _seconds(spec.slurm.get("time", "1:00:00")) // 4))
    fixed = (
        "sbatch --parsable --requeue --nodes=1 --ntasks=1 --chdir=/ --input=/dev/null --output=/dev/null --export=ALL"
    )
    about = [f"--signal=B:TERM@{notice}", f"--job-name={name}", f"--comment=tui-attn {experiment}"]
    array = [f"--array=0-{count - 1}"] if count > 1 else []
    return [*fixed.split(), *about, *array, *spec.slurm_options]


def _seconds(limit: str) -> int:
    """A time limit in seconds: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S."""
    days, dash, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    return int(days or 0) * 86400 + sum(part * unit for part, unit in zip(parts, units, strict=False))


def job_script(folder: ExperimentDir, threads: int, device: str, mailboxes: Sequence[Mailbox]) -> str:
    """The script of a job, in which every name stands in quotes. Each task of an array finds its mailbox by number."""
    path = folder.path.resolve()
    variables = remote_environment(folder, threads).items()
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables)
    cases = "\n".join(f"{number}) mailbox={mailbox.path.name} ;;" for number, mailbox in enumerate(mailboxes))
    worker = shlex.join([sys.executable, "-P", "-m", "tui_attn.train.worker", str(path), device, folder.id])
    return f"""#!/bin/bash
case "${{SLURM_ARRAY_TASK_ID:-0}}" in
{cases}
esac
box={shlex.quote(str(path / mailboxes[0].path.parent.name))}/$mailbox
[ -e "$box/inbox.jsonl" ] || exit 0
exec >>"$box/out.log" 2>&1
umask 077
{exports}
exec {worker} "$((16#$mailbox))" "$box"
"""
