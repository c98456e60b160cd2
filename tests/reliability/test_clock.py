"""The system's clock is set, backwards and forwards: nothing is lost, and nobody is taken for dead or alive."""

import itertools
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.reliability.conftest import Lab, kill
from tests.reliability.invariants import Reference, violations
from tests.reliability.test_real_program import SMALL, Program
from tests.waiting import eventually
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.follower import Follower
from tui_attn.launch import control, starting


def test_a_clock_that_is_set_changes_no_judgement(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = lab.make()
    supervisor = lab.start(experiment, worker_faults=("append:3:stop",))
    lab.await_frozen(experiment)
    follower = Follower(experiment)
    eventually(lambda: follower.poll() or follower.state.runs["base-s0"].state == "running", "the news of the start")
    now = time.time()
    for jump in (-1e6, 3600.0, 1e7):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        assert follower.situation().runs["base-s0"] == "running"
        with pytest.raises(control.LaunchError, match="running already"):
            starting.resume(experiment)
    kill(supervisor)
    assert follower.situation().experiment == "lost"


CLOCK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t which, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, which, now);
    char shift[32] = {0};
    int fd = which == CLOCK_REALTIME ? open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        if (pread(fd, shift, 31, 0) > 0) now->tv_sec += atol(shift);
        close(fd);
    }
    return result;
}
"""
"""The system's clock, shifted by as many seconds as the file CLOCK_SHIFT says."""


def test_a_clock_that_is_set_again_and_again_while_it_trains_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Reference]
) -> None:
    source, library, shift = tmp_path / "clock.c", tmp_path / "clock.so", tmp_path / "shift"
    source.write_text(CLOCK)
    build = ["gcc", "-shared", "-fPIC", "-o", str(library), str(source)]
    if shutil.which("gcc") is None or subprocess.run(build, check=False).returncode:
        pytest.skip("there is no compiler here")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("CLOCK_SHIFT", str(shift))
    program = Program(tmp_path)
    shift.write_text("0")
    front = program.start("--no-ui", *SMALL)
    shifts = itertools.cycle(("-300000000", "3600", "300000000", "-5", "0"))

    def set_clock() -> bool:
        beside = tmp_path / "next"
        beside.write_text(next(shifts))
        beside.replace(shift)
        return front.poll() is not None

    eventually(set_clock, "the end")
    out, err = front.communicate()
    assert front.returncode == 0, err
    assert "Traceback" not in err
    assert not re.search(r"-\d+ ?(s|m|h)\b", out)
    (experiment,) = experiments(program.runs)
    warned = [event for event in LogReader(experiment.events).read() if event.type == "warning"]
    assert warned == []
    assert violations(experiment, undisturbed) == []
