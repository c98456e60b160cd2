"""What is asked of an engine before anything is submitted, and what `doctor --on` says of its hosts."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.engines.conftest import Slurm
from tui_attn.cli import doctor
from tui_attn.engines import slurm_commands
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.options import ConfigError
from tui_attn.launch import logout, placement


@pytest.mark.parametrize(
    ("limit", "seconds"), [("30", 1800), ("4:30", 270), ("4:00:00", 14400), ("1-2", 93600), ("1-2:30", 95400)]
)
def test_a_time_limit_in_seconds(limit: str, seconds: int) -> None:
    assert slurm_commands._seconds(limit) == seconds


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("sbatch: Job 7 to start at 2026-11-29T22:00:00 using 1 processors on nodes n1 in partition main\n", 0, None),
        ("allocation failure: Invalid partition name specified\n", 1, "Invalid partition name specified"),
        ("allocation failure: Unable to contact slurm controller (connect failure)\n", 1, None),
    ],
)
def test_what_slurm_would_refuse_is_known_before_anything_exists(
    fake: Slurm, text: str, code: int, reason: str | None
) -> None:
    fake.says("sbatch", text, code)
    assert slurm_commands.refusal(EngineSpec.parse("slurm:partition=gpu")) == reason
    ((*_, test_only, wrap),) = fake.asked("sbatch")
    assert (test_only, wrap) == ("--test-only", "--wrap=true")


def test_a_controller_that_does_not_answer_keeps_no_start_waiting(fake: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_commands, "TEST_WITHIN", 0.1)
    fake.freeze("sbatch")
    assert slurm_commands.refusal(EngineSpec("slurm")) is None


# ---- ssh


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts of which some have GPUs and some can't be reached."""
    here = tmp_path / "ssh-bin"
    here.mkdir()
    script = 'case "$*" in *gpu*nvidia*) exit 0;; *dead*) echo "ssh: no route to host" >&2; exit 255;; esac; exit 1'
    (here / "ssh").write_text(f"#!/bin/sh\n{script}\n")
    (here / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")


@pytest.mark.usefixtures("ssh")
@pytest.mark.parametrize(
    ("on", "device", "told"), [("ssh:gpu1,gpu2,gpu1", "cuda", 0), ("ssh:cpu1", "cpu", 1), ("slurm", "cpu", 1)]
)
def test_auto_asks_the_hosts_and_says_so_where_it_means_cpus(on: str, device: str, told: int) -> None:
    said: list[str] = []
    config = ExperimentConfig(on=on)
    assert placement.chosen_devices(config, config.engine, said.append) == (device,)
    assert len(said) == told
    assert all("train on CPUs" in each for each in said)


@pytest.mark.usefixtures("ssh")
@pytest.mark.parametrize(
    ("on", "said"),
    [
        ("ssh:gpu1,cpu1", "--device: only gpu1 of the hosts have GPUs: say cuda or cpu"),
        ("ssh:gpu1,dead1", "--on: dead1 can't be reached: ssh: no route to host"),
    ],
)
def test_hosts_that_differ_or_are_away_are_refused(on: str, said: str) -> None:
    config = ExperimentConfig(on=on)
    with pytest.raises(ConfigError) as error:
        placement.chosen_devices(config, config.engine, print)
    assert str(error.value) == said


# ---- what is said at a start


def test_a_start_says_when_a_logout_ends_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logout, "remedy", lambda: "loginctl enable-linger")
    said: list[str] = []
    placement.mention_logout(EngineSpec("slurm"), said.append)
    (only,) = said
    assert "when you log out: loginctl enable-linger" in only
    assert "sbatch -c1 --time=3-0 --wrap 'tui-attn --no-ui ...'" in only
    placement.mention_logout(EngineSpec("local"), said.append)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("on", "jobs", "said"),
    [
        ("slurm:partition=gpu", None, "200 runs, a job each, 50 at once: sbatch --parsable"),
        ("slurm", 8, "200 runs, in jobs that train one after the other, 8 at once: sbatch"),
        ("slurm:cpus=2", 200, "200 runs, a job each, 200 at once: sbatch"),
        ("ray:head:6379", None, "200 runs, an actor each, 50 at once, on head:6379"),
        ("ssh:a,b", None, "200 runs, 2 at once, on a, b"),
        ("local", None, ""),
    ],
)
def test_what_would_be_submitted(on: str, jobs: int | None, said: str) -> None:
    assert placement.submission(ExperimentConfig(on=on, jobs=jobs), 200).startswith(said)


def test_the_form_shows_only_the_options_that_one_chose() -> None:
    said = placement.submission(ExperimentConfig(on="slurm:partition=gpu,cpus=2"), 3, short=True)
    assert said == "3 runs, a job each, 3 at once: sbatch ... --partition=gpu --cpus-per-task=2 job.sh"


# ---- doctor

SRUN = """#!/bin/bash
while [ "${1#-}" != "$1" ]; do shift; done
"""


def node(**how: object) -> str:
    told = {"host": "n7", "time": "now", "sees_folder": True, "sees_lock": True, "missing_data": [], "torch": "2.11"}
    said = json.dumps(told | how).replace('"now"', "$(date +%s)")
    return 'echo "' + said.replace('"', '\\"') + '"'


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('exec "$@"', ["ok", "ok"]),
        (node(sees_lock=False), ["ok", "ok", "locks warning"]),
        (node(sees_folder=False), ["ok", "problem: n7 doesn't see"]),
        (node(torch=None), ["ok", "problem: n7 has no torch"]),
        (node(time=1e10), ["ok", "ok", "clock warning"]),
        (node(missing_data=["/data"]), ["ok", "ok", "problem: n7 doesn't see the data in /data"]),
        ("echo 'srun: error: no nodes' >&2; exit 1", ["ok", "problem: a node: srun: error: no nodes"]),
    ],
)
@pytest.mark.usefixtures("fake")
def test_the_doctor_asks_a_node(tmp_path: Path, answer: str, found: list[str]) -> None:
    (tmp_path / "bin" / "srun").write_text(f"{SRUN}{answer}\n")
    (tmp_path / "bin" / "srun").chmod(0o755)
    findings = list(doctor.examine_engine(EngineSpec.parse("slurm:partition=gpu"), tmp_path / "runs"))
    said = [f"{each.what} {each.verdict}: {each.text}" for each in findings]
    assert len(said) == len(found)
    assert all(words in each for words, each in zip(found, said, strict=True)), said


def test_the_doctor_says_why_slurm_would_refuse_the_jobs(tmp_path: Path, fake: Slurm) -> None:
    fake.says("sbatch", "allocation failure: Invalid qos specification\n", 1)
    *_, last = doctor.examine_engine(EngineSpec.parse("slurm:qos=low"), tmp_path)
    assert (last.verdict, last.text) == ("problem", "would refuse the jobs: Invalid qos specification")
