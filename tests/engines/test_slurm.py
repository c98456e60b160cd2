"""Workers as SLURM jobs, against a SLURM that says what the test wants, when the test wants it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.engines.conftest import Slurm
from tests.recorded import record, scene
from tests.supervision.workshop import command, states, ticks
from tests.waiting import eventually
from tui_attn.engines import slurm_commands
from tui_attn.engines.mailbox import mailboxes
from tui_attn.engines.slurm import SlurmLauncher, SlurmWorker
from tui_attn.engines.workers import CANNOT_WORK, TERMINATED, Slot
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.durations import waiting_words
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.launch import control
from tui_attn.supervision.restarts import GRACE, HARD_GRACE
from tui_attn.supervision.supervisor import Supervisor


def experiment(tmp_path: Path, *, jobs: int | None = None) -> ExperimentDir:
    return record(tmp_path / "runs", config=ExperimentConfig(models=("base", "se"), jobs=jobs))


def launched(folder: ExperimentDir, on: str = "slurm", count: int = 1) -> tuple[SlurmLauncher, list[SlurmWorker]]:
    launcher = SlurmLauncher(folder, EngineSpec.parse(on))
    workers = [launcher.start(Slot("cpu", number), folder.run("se-s0")) for number in range(count)]
    for worker in workers:
        worker.held.append("se-s0")
    return launcher, workers


def until(launcher: SlurmLauncher, condition: object) -> list[str]:
    """Look until the condition holds; what the user was told meanwhile."""
    assert callable(condition)
    told: list[str] = []

    def looked() -> object:
        told.extend(launcher.look())
        return condition()

    eventually(looked, "it")
    return told


def news(launcher: SlurmLauncher, answers: int = 2) -> None:
    """Look until squeue has answered so often again, to questions asked from now on."""
    asked, before = time.monotonic(), launcher.queue.answers
    until(launcher, lambda: launcher.queue.answers >= before + answers and launcher.queue.known_at > asked)


# ---- submitting


def test_only_known_options_reach_sbatch(tmp_path: Path, fake: Slurm) -> None:
    launcher, (worker,) = launched(experiment(tmp_path), "slurm:partition=gpu,time=30,gres=gpu:1,cpus=4,poll=60")
    until(launcher, lambda: worker.job == "4711")
    (words,) = fake.asked("sbatch")
    ours = {"--partition=gpu", "--time=30", "--gres=gpu:1", "--cpus-per-task=4"}
    assert ours <= set(words)
    assert {word.split("=")[0] for word in set(words[:-1]) - ours} == {
        *("--parsable", "--requeue", "--nodes", "--ntasks", "--chdir", "--input", "--output", "--export", "--signal"),
        *("--job-name", "--comment"),
    }


def test_alike_workers_are_one_array(tmp_path: Path, fake: Slurm) -> None:
    launcher, workers = launched(experiment(tmp_path), count=200)
    until(launcher, lambda: all(worker.job for worker in workers))
    assert [worker.job for worker in workers] == [f"4711_{number}" for number in range(200)]
    (words,) = fake.asked("sbatch")
    assert "--array=0-199" in words


@pytest.mark.parametrize(
    "name", ["a b", "$(touch pwned)", "'; touch pwned; '", 'q"uote', "new\nline", "back\\slash %j"]
)
def test_no_name_is_code_in_a_job_script(
    tmp_path: Path, fake: Slurm, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / name
    here.mkdir()
    python = here / "py thon"
    python.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    folder = experiment(here)
    launcher, workers = launched(folder, count=2)
    until(launcher, lambda: workers[0].job is not None)
    env = {**os.environ, "SLURM_ARRAY_TASK_ID": "1"}
    subprocess.run(["bash", str(workers[0].mailbox.script)], cwd=tmp_path, env=env, check=True)
    box = workers[1].mailbox
    words = box.output.read_text().split("\0")[:-1]
    assert words[:3] == ["-P", "-m", "tui_attn.train.worker"]
    assert words[3:] == [str(folder.path.resolve()), "cpu", folder.id, str(box.token), str(box.path.resolve())]
    assert not list(tmp_path.rglob("pwned"))


def test_what_slurm_refuses_fails_its_run_with_slurms_own_words(tmp_path: Path, fake: Slurm) -> None:
    fake.says("sbatch", "sbatch: error: invalid partition specified: gpu\n", 1)
    folder = experiment(tmp_path)
    launcher, (worker,) = launched(folder)
    until(launcher, lambda: worker.exit_code() is not None)
    assert worker.exit_code() == CANNOT_WORK
    assert worker.excuse() is None
    last = folder.run("se-s0").worker_log.read_text().splitlines()[-1]
    assert last == "SLURM refuses the job: sbatch: error: invalid partition specified: gpu"


def test_a_controller_that_is_away_is_asked_again(tmp_path: Path, fake: Slurm) -> None:
    fake.says("sbatch", "sbatch: error: Unable to contact slurm controller (connect failure)\n", 1)
    launcher, (worker,) = launched(experiment(tmp_path))
    until(launcher, lambda: "Unable to contact" in str(worker.waits))
    fake.says("sbatch", "4712\n")
    until(launcher, lambda: worker.job == "4712")


def test_a_job_that_was_taken_although_sbatch_failed_is_not_submitted_twice(tmp_path: Path, fake: Slurm) -> None:
    fake.says("sbatch", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n", 1)
    launcher, (worker,) = launched(experiment(tmp_path))
    until(launcher, lambda: fake.asked("sbatch"))
    fake.says("squeue", f"4713|PENDING|Priority|N/A|{worker.name}\n")
    until(launcher, lambda: worker.job is not None)
    calls = len(fake.asked("sbatch"))
    news(launcher)
    assert worker.job == "4713"
    assert len(fake.asked("sbatch")) == calls


def test_a_frozen_controller_holds_nothing_up(tmp_path: Path, fake: Slurm) -> None:
    for name in ("sbatch", "squeue", "scancel"):
        fake.freeze(name)
    launcher, (worker,) = launched(experiment(tmp_path))
    until(launcher, lambda: fake.asked("sbatch") and fake.asked("squeue"))
    for _ in range(1000):
        launcher.look()
    assert worker.exit_code() is None
    worker.kill(signal.SIGKILL)
    assert worker.exit_code() == -signal.SIGKILL
    assert len(fake.asked("squeue")) == 1
    submitting, _ = launcher._submitting or pytest.fail("nothing is being submitted")
    for frozen in (submitting, launcher.queue._asking):
        assert frozen is not None
        frozen.done(within=-1.0)


def test_a_slow_controller_is_asked_more_seldom(fake: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUI_ATTN_SQUEUE_EVERY")
    now = [0.0]
    queue = slurm_commands.Queue(clock=lambda: now[0])
    queue.look()
    gaps = []
    for _ in range(4):
        asked = queue._asked
        eventually(lambda: queue._asking is None or queue._asking.done(), "an answer")
        now[0] += slurm_commands.SLOW + 1
        queue.look()
        now[0] = queue._next
        gaps.append(now[0] - asked)
        queue.look()
    assert gaps == [60.0, 120.0, 120.0, 120.0]


# ---- watching


@pytest.fixture
def running(tmp_path: Path, fake: Slurm) -> tuple[Slurm, SlurmLauncher, SlurmWorker]:
    """A worker whose job waits, then runs."""
    launcher, (worker,) = launched(experiment(tmp_path))
    until(launcher, lambda: worker.job is not None)
    fake.says("squeue", f"4711|PENDING|Priority|N/A|{worker.name}\n")
    until(launcher, lambda: worker.waits == "Priority")
    worker.mailbox.note_begin(0, "n1")
    fake.says("squeue", f"4711|RUNNING|None|N/A|{worker.name}\n")
    until(launcher, lambda: worker.waits is None)
    assert worker.place == "n1"
    return fake, launcher, worker


Running = tuple[Slurm, SlurmLauncher, SlurmWorker]


def test_a_job_that_is_queued_again_waits_and_goes_on(running: Running) -> None:
    fake, launcher, worker = running
    worker.mailbox.note_end(0, TERMINATED)
    fake.says("squeue", f"4711|PENDING|BeginTime|N/A|{worker.name}\n")
    until(launcher, lambda: worker.waits == "BeginTime")
    assert worker.exit_code() is None
    worker.mailbox.note_begin(1, "n2")
    until(launcher, lambda: worker.waits is None)
    assert worker.place == "n2"
    worker.mailbox.note_end(1, 0)
    until(launcher, lambda: worker.exit_code() == 0)


@pytest.mark.parametrize(
    ("state", "ended", "code", "excuse", "cancelled"),
    [
        ("FAILED", None, -signal.SIGKILL, None, False),
        ("FAILED", 1, 1, None, False),
        ("OUT_OF_MEMORY", None, -signal.SIGKILL, None, False),
        ("NODE_FAIL", None, -signal.SIGKILL, "its node failed", False),
        ("TIMEOUT", TERMINATED, TERMINATED, "its job reached its time limit", False),
        ("PREEMPTED", TERMINATED, TERMINATED, "its job was preempted", False),
        ("FAILED", TERMINATED, TERMINATED, "SLURM told its job to end", False),
        ("CANCELLED", TERMINATED, TERMINATED, None, True),
        ("CANCELLED", None, -signal.SIGKILL, None, True),
        (None, None, -signal.SIGKILL, "SLURM does not know its job any more", False),
    ],
)
def test_who_is_to_blame_for_an_end(
    running: Running, state: str | None, ended: int | None, code: int, excuse: str | None, cancelled: bool
) -> None:
    fake, launcher, worker = running
    if ended is not None:
        worker.mailbox.note_end(0, ended)
    fake.says("squeue", "" if state is None else f"4711|{state}|None|N/A|{worker.name}\n")
    until(launcher, lambda: worker.exit_code() is not None)
    assert (worker.exit_code(), worker.excuse(), worker.cancelled) == (code, excuse, cancelled)
    assert worker.evicted == (state in {"NODE_FAIL", "PREEMPTED"})


def test_no_answer_means_alive_and_is_told_once(running: Running) -> None:
    fake, launcher, worker = running
    fake.says("squeue", "slurm_load_jobs error: Unable to contact slurm controller\n", 1)
    told = until(launcher, lambda: launcher.queue.problem)
    before = len(fake.asked("squeue"))
    told += until(launcher, lambda: len(fake.asked("squeue")) > before + 2)
    assert (worker.exit_code(), worker.waits) == (None, None)
    fake.says("squeue", f"4711|PENDING|BeginTime|{time.strftime('%Y-%m-%d')}T23:59:58|{worker.name}\n")
    told += until(launcher, lambda: worker.waits == "BeginTime, not before 23:59")
    said = "(slurm_load_jobs error: Unable to contact slurm controller)"
    why = "its jobs count as alive until it does; 'tui-attn stop' ends the wait"
    assert told == [f"SLURM does not answer {said}: {why}", "SLURM answers again"]


def test_what_waits_says_that_slurm_does_not_answer(tmp_path: Path, fake: Slurm) -> None:
    launcher, (worker,) = launched(experiment(tmp_path))
    until(launcher, lambda: worker.job is not None)
    fake.says("squeue", f"4711|PENDING|BeginTime|2031-05-06T07:08:09|{worker.name}\n")
    until(launcher, lambda: worker.waits == "BeginTime, not before 2031-05-06 07:08")
    fake.says("squeue", "", 1)
    until(launcher, lambda: worker.waits == "no answer")
    fake.says("squeue", f"4711|PENDING|Resources|N/A|{worker.name}\n")
    until(launcher, lambda: worker.waits == "Resources")


def test_a_supervisor_whose_slurm_was_shut_down_waits_says_so_and_ends_when_told_to_stop(
    tmp_path: Path, fake: Slurm
) -> None:
    folder, now = scene(tmp_path, "empty", config=ExperimentConfig(models=("base", "se"), epochs=5)), [0.0]
    launcher = SlurmLauncher(folder, EngineSpec("slurm"))
    supervisor = Supervisor(folder, launcher=launcher, clock=lambda: now[0])
    supervisor.begin()

    def ticked(condition: object) -> None:
        assert callable(condition)

        def looked() -> object:
            supervisor.tick()
            return condition()

        eventually(looked, "it")

    ticked(lambda: all(worker.job for worker in launcher._workers))
    running, waiting = launcher._workers
    running.mailbox.note_begin(0, "n1")
    fake.says("squeue", f"4711_0|RUNNING|None|N/A|{running.name}\n4711_1|PENDING|Priority|N/A|{waiting.name}\n")
    ticked(lambda: (running.waits, waiting.waits) == (None, "Priority"))
    for name in ("squeue", "sbatch", "scancel"):
        fake.says(name, "slurm_load_jobs error: Unable to contact slurm controller\n", 1)
    ticked(lambda: waiting.waits == "no answer")
    now[0] += 86_400
    ticks(supervisor, 20)
    assert states(folder) == {"base-s0": "starting", "se-s0": "queued"}
    state = read_state(folder).state
    assert [message for _, message in state.warnings if message.startswith("SLURM does not answer (")]
    assert waiting_words(state.runs.values()) == "1 waits for SLURM: no answer"

    command(folder, "stop", "c1")
    ticks(supervisor)
    assert states(folder) == {"base-s0": "starting", "se-s0": "stopped"}  # it may have a job that checkpoints
    now[0] += GRACE + HARD_GRACE + 1
    ticks(supervisor)
    assert supervisor.done
    supervisor.end()
    assert set(states(folder).values()) == {"stopped"}
    assert not running.mailbox.inbox.exists()  # its job ends by itself, should SLURM come back with it


def test_a_job_of_another_name_is_not_ours(running: Running) -> None:
    fake, launcher, worker = running
    fake.says("squeue", "4711|RUNNING|None|N/A|somebody's\n")
    until(launcher, lambda: worker.exit_code() is not None)
    worker.kill(signal.SIGKILL)
    launcher.look()
    assert fake.asked("scancel") == []


def test_what_waits_is_cancelled_at_once_when_nothing_is_left_for_it(tmp_path: Path, fake: Slurm) -> None:
    launcher, (worker,) = launched(experiment(tmp_path))
    until(launcher, lambda: worker.job is not None)
    worker.tell("exit")
    assert worker.exit_code() == 0
    launcher.look()
    eventually(lambda: fake.asked("scancel"), "scancel")
    assert fake.asked("scancel") == [["--quiet", f"--name={worker.name}", "4711"]]


def test_many_jobs_are_cancelled_by_one_command(tmp_path: Path, fake: Slurm) -> None:
    launcher, workers = launched(experiment(tmp_path), count=200)
    until(launcher, lambda: all(worker.job for worker in workers))
    for worker in workers:
        worker.tell("exit")
    launcher.look()
    eventually(lambda: fake.asked("scancel"), "scancel")
    assert fake.asked("scancel") == [["--quiet", f"--name={workers[0].name}", *(str(each.job) for each in workers)]]


# ---- supervisors come and go


def test_another_supervisor_adopts_the_jobs_and_knows_what_they_have(running: Running, tmp_path: Path) -> None:
    _, _, worker = running
    for do, run in (("train", "se-s0"), ("train", "base-s0"), ("forget", "se-s0")):
        worker.tell(do, run)
    folder = ExperimentDir(worker.mailbox.path.parent.parent)
    after = SlurmLauncher(folder, EngineSpec("slurm"))
    (adopted,) = after.adopt([Slot("cpu", 0), Slot("cpu", 1)])
    assert (adopted.token, adopted.job, adopted.held) == (worker.token, "4711", ["base-s0"])
    until(after, lambda: adopted.waits is None)


def test_jobs_for_which_there_is_no_place_are_let_go(running: Running) -> None:
    fake, _, worker = running
    folder = ExperimentDir(worker.mailbox.path.parent.parent)
    assert SlurmLauncher(folder, EngineSpec("slurm")).adopt([]) == []
    assert list(mailboxes(folder)) == []
    eventually(lambda: fake.asked("scancel"), "scancel")
    assert fake.asked("scancel") == [["--quiet", f"--name={worker.name}", "--state=PENDING", "4711"]]


def test_a_job_that_the_controller_takes_for_pending_is_not_left_behind(running: Running) -> None:
    """After a crash slurmctld may have forgotten that it started the job."""
    fake, launcher, worker = running
    worker.mailbox.note_end(0, 0)
    until(launcher, lambda: worker.exit_code() == 0)
    worker.close()
    launcher.look()
    eventually(lambda: fake.asked("scancel"), "scancel")
    assert fake.asked("scancel") == [["--quiet", f"--name={worker.name}", "--state=PENDING", "4711"]]


@pytest.mark.parametrize("reason", ["JobHoldMaxRequeue", "launch failed requeued held"])
def test_a_job_that_slurm_gave_up_is_cancelled_and_its_run_not_blamed(running: Running, reason: str) -> None:
    fake, launcher, worker = running
    fake.says("squeue", f"4711|PENDING|{reason}|N/A|{worker.name}\n")
    until(launcher, lambda: worker.exit_code() is not None)
    assert worker.excuse() == "SLURM held its job after too many lost nodes"
    assert not worker.cancelled
    eventually(lambda: fake.asked("scancel"), "scancel")
    assert fake.asked("scancel") == [["--quiet", f"--name={worker.name}", "4711"]]


def test_a_job_that_a_person_holds_waits(running: Running) -> None:
    fake, launcher, worker = running
    fake.says("squeue", f"4711|PENDING|JobHeldUser|N/A|{worker.name}\n")
    until(launcher, lambda: worker.waits == "JobHeldUser")
    assert worker.exit_code() is None


def test_a_second_interrupt_cancels_what_waits_and_lets_go_of_what_runs(running: Running) -> None:
    fake, _, worker = running
    control.kill(ExperimentDir(worker.mailbox.path.parent.parent))
    assert not worker.mailbox.inbox.exists()
    eventually(lambda: fake.asked("scancel"), "scancel")
    assert fake.asked("scancel") == [["--quiet", f"--name={worker.name}", "--state=PENDING", "4711"]]
