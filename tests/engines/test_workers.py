"""The supervisor's side of a worker: its environment, and what is said when it died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiment.strategies import HOSTILE
from tests.processes import environment, open_descriptors, run_python
from tests.recorded import scene
from tui_attn.engines import workers
from tui_attn.engines.pipe import LocalLauncher
from tui_attn.engines.workers import CANNOT_RECORD, CANNOT_WORK, TERMINATED, Slot, exit_reason, worker_environment
from tui_attn.system.json_lines import LineReader, LineWriter
from tui_attn.system.text import has_control_characters


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A worker's log, whose last line says why."""
    path = tmp_path / "worker.log"
    path.write_text("Traceback (most recent call last):\n  File x\n\x1b[31mRuntimeError: bad\x07\n\n")
    return path


@pytest.mark.parametrize(
    ("code", "oom", "said"),
    [
        (-9, True, "its worker was killed because the machine ran out of memory: use fewer --jobs or a smaller"),
        (-9, False, "its worker was killed by SIGKILL (if nobody did this, the machine may have run out of memory)"),
        (-11, True, "its worker was killed by SIGSEGV"),
        (-63, False, "its worker was killed by signal 63"),
        (1, False, "its worker ended with exit code 1: ␛[31mRuntimeError: bad␇"),
        (0, False, "its worker ended with exit code 0"),
        (CANNOT_WORK, False, "its worker could not begin: ␛[31mRuntimeError: bad␇"),
        (CANNOT_RECORD, False, "its worker could not write its log"),
        (TERMINATED, False, "its worker was ended by SIGTERM"),
    ],
)
def test_why_a_worker_is_dead_in_one_line(log: Path, code: int, oom: bool, said: str) -> None:
    found = exit_reason(code, log, oom_killed=oom)
    assert found.startswith(said)
    assert not has_control_characters(found)


@pytest.mark.parametrize("code", [1, CANNOT_WORK])
def test_without_a_log_it_says_what_it_knows(tmp_path: Path, code: int) -> None:
    assert exit_reason(code, tmp_path / "nowhere", oom_killed=False) == f"its worker ended with exit code {code}"


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_library_printed_it_is_one_line_of_bounded_length(tmp_path: Path, text: str) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(text.encode("utf-8", "surrogatepass") * 500 + b"\xff\xfe")
    for code in (1, CANNOT_WORK):
        found = exit_reason(code, path, oom_killed=False)
        assert not has_control_characters(found.replace("\t", " "))
        assert len(found) < 500


def test_the_last_lines_of_a_log_are_its_end(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_text("x" * 10_000 + "é\nlast\n")
    assert workers.last_lines(path, size=7) == "�\nlast\n"
    assert len(workers.last_lines(path)) < 4097


@pytest.mark.parametrize("what", ["missing", "folder", "fifo", "link"])
def test_what_is_no_log_has_no_lines(tmp_path: Path, what: str) -> None:
    path = tmp_path / "worker.log"
    (tmp_path / "secret").write_text("secret")
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "link":
        path.symlink_to(tmp_path / "secret")
    before = open_descriptors()
    assert workers.last_lines(path) == ""
    assert open_descriptors() == before


def test_a_workers_threads_are_as_many_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    for crowded in (False, True):
        found = worker_environment(3, crowded=crowded)
        assert (found["OMP_NUM_THREADS"], found["MKL_NUM_THREADS"]) == ("3", "3")
        assert found["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_worker_that_cannot_be_started_keeps_no_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = scene(tmp_path, "empty")
    run = folder.run("se-s0")
    monkeypatch.setattr("sys.executable", str(tmp_path / "no-such-python"))
    before = open_descriptors()
    with pytest.raises(OSError):
        LocalLauncher(folder).start(Slot("cpu", 0), run)
    run.make()
    with pytest.raises(FileNotFoundError):
        LocalLauncher(folder).start(Slot("cpu", 0), run)
    assert open_descriptors() == before


# ---- deliberate deaths

PASS = """
import sys
from tui_attn.system.fault_injection import fault

for number in range(5):
    print(number, flush=True)
    fault("elsewhere")
    fault("here")
"""


@pytest.mark.parametrize(("order", "passes"), [("here", 1), ("here:1", 1), ("here:3", 3), ("here:9", 5), ("", 5)])
def test_a_process_dies_where_and_when_it_is_ordered_to(order: str, passes: int) -> None:
    done = run_python(PASS, TUI_ATTN_FAULT=order)
    assert done.stdout.split() == [str(number) for number in range(passes)]
    assert done.returncode == (0 if order in {"", "here:9"} else -signal.SIGKILL)


def test_a_process_freezes_where_it_is_ordered_to_and_goes_on_when_it_may() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PASS], stdout=subprocess.PIPE, text=True, env=environment(TUI_ATTN_FAULT="here:2:stop")
    )
    with process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate()
    assert output.split() == ["0", "1", "2", "3", "4"]
    assert process.returncode == 0


def test_a_pipe_that_is_full_loses_no_command() -> None:
    reading, writing = os.pipe()
    reader, writer = LineReader(reading), LineWriter(writing)  # a lost command fails the test instead of blocking it
    sent = [f"run-s{number}" for number in range(5000)]
    for run in sent:  # the worker is frozen and takes nothing
        writer.send({"do": "pause", "run": run})
    received: list[str] = []
    while len(received) < len(sent):
        received += [line["run"] for line in reader.read()]
        assert not reader.ended
        writer.flush()
    assert received == sent
    os.close(reading)
    writer.send({"do": "pause", "run": "after its end"})
    writer.flush()
    writer.close()


def test_what_was_sent_before_the_end_of_a_pipe_is_read() -> None:
    reading, writing = os.pipe()
    reader, writer = LineReader(reading), LineWriter(writing)
    assert (reader.read(), reader.ended) == ([], False)
    writer.send({"a": 1})
    os.write(writing, b'{"half": ')
    writer.close()
    assert (reader.read(), reader.ended) == ([{"a": 1}], True)
    os.close(reading)
