"""The dashboard in a real terminal: start, keys, resize, leaving, hang-up, signals, colours."""

from __future__ import annotations

import re
import shutil
import signal
import termios
from pathlib import Path

import psutil
import pytest
from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import alive, drive, make_app, screen_text, staged, until
from tests.ui.harness import drawn as settled
from tests.ui.terminal import ESCAPE, OPEN, opened
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui.app import DashboardApp

NEVER_DONE = """
import asyncio
from tui_attn.ui.app import DashboardApp
async def never(self): await asyncio.Event().wait()
DashboardApp._shutdown = never
"""
"""The end of a dashboard that waits for something for ever."""
SGR = re.compile(rb"\x1b\[([0-9;]*)m")


def drawn(text: str) -> bool:
    """Whether the dashboard shows its curves."""
    return "┤" in text and "base-s0" in text


def go_on(folder: ExperimentDir, loss: float) -> None:
    """Let base-s0 log two more points, the last with `loss`."""
    log = LogWriter(folder.run("base-s0").events)
    log.append("metrics", epoch=3, step=[90_000, 90_001], loss=[0.5, loss], accuracy=[0.8, 0.9], train_seconds=1e5)
    log.close()


def test_it_shows_the_runs_and_q_leaves_at_once(tmp_path: Path) -> None:
    with staged(tmp_path / "runs", "running") as folder, opened(folder, cwd=tmp_path) as terminal:
        text = terminal.until(drawn)
        assert "▶ running" in text
        terminal.press("q")
        assert terminal.wait() == 0
        assert f"training goes on: 'tui-attn attach {folder.id}' comes back" in terminal.after_leaving()
        for mode in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1003l", b"\x1b[?2004l"):
            assert mode in terminal.raw, "the terminal is left as it was found"


def test_it_says_where_the_experiment_is_when_it_is_elsewhere(tmp_path: Path) -> None:
    with staged(tmp_path / "my runs", "running") as folder, opened(folder, cwd=tmp_path) as terminal:
        terminal.until(drawn)
        terminal.press("q")
        terminal.wait()
        assert f"tui-attn attach {folder.id} --runs-dir 'my runs'" in terminal.after_leaving()


def test_leaving_an_ended_experiment_prints_its_result(tmp_path: Path) -> None:
    with opened(recorded.scene(tmp_path, "finished")) as terminal:
        terminal.until(drawn)
        terminal.press("q")
        assert terminal.wait() == 0
        assert "test accuracy" in terminal.after_leaving()
        assert "self-attention" in terminal.after_leaving()


@pytest.mark.parametrize(("scene", "code"), [("failed", 3), ("stopped", 3)])
def test_the_exit_code_tells_how_it_ended(tmp_path: Path, scene: str, code: int) -> None:
    with opened(recorded.scene(tmp_path, scene)) as terminal:
        terminal.until(drawn)
        terminal.press("q")
        assert terminal.wait() == code


def test_leaving_a_lost_experiment_says_how_to_go_on(tmp_path: Path) -> None:
    with opened(recorded.scene(tmp_path, "lost")) as terminal:
        terminal.until("? lost")
        terminal.press("q")
        assert terminal.wait() == 0
        assert "tui-attn resume" in terminal.after_leaving()


def test_keys_move_and_open_screens(tmp_path: Path) -> None:
    with staged(tmp_path, "running") as folder, opened(folder) as terminal:
        terminal.until(drawn)
        terminal.press("j")
        terminal.until(lambda text: "▸▲ se-s0" in text)
        terminal.press("\x1b[B")
        terminal.until(lambda text: "▸■ self-attention-s0" in text)
        terminal.press("?")
        terminal.until("type a word to find a key")
        terminal.press("\x1b")
        terminal.until(lambda text: "type a word" not in text and drawn(text))
        terminal.press("s")
        terminal.until("Stop self-attention-s0?")
        terminal.press("n")
        terminal.until(lambda text: "Stop self-attention-s0?" not in text and drawn(text))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_the_terminal_shows_what_the_screen_holds(tmp_path: Path, size: tuple[int, int]) -> None:
    folder = recorded.scene(tmp_path, "finished")
    expected: dict[str, str] = {}

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await settled(pilot, app)
        expected["dashboard"] = screen_text(app)
        await pilot.press("?")
        await until(pilot, lambda: "type a word to find a key" in screen_text(app))
        expected["help"] = screen_text(app)

    drive(make_app(folder), script, size=size)
    with opened(folder, columns=size[0], rows=size[1]) as terminal:
        terminal.until(lambda text: text == expected["dashboard"].rstrip("\n"))
        terminal.press("?")
        terminal.until(lambda text: text == expected["help"].rstrip("\n"))
        terminal.press("\x1b")
        terminal.until(lambda text: text == expected["dashboard"].rstrip("\n"))


def test_resizing(tmp_path: Path) -> None:
    with staged(tmp_path, "running") as folder, opened(folder, columns=80, rows=24) as terminal:
        terminal.until(drawn)
        for columns, rows in ((200, 60), (120, 40), (80, 24)):
            terminal.resize(columns, rows)
            terminal.until(lambda text: drawn(text) and "? help" in text.splitlines()[-1])
            assert max(map(len, terminal.text().splitlines())) > columns * 0.8
        terminal.resize(60, 20)
        terminal.until("this terminal has 60 x 20 cells")
        terminal.resize(80, 24)
        terminal.until(drawn)


@pytest.mark.parametrize("sighup", ["default", "ignored"])
def test_it_ends_with_its_terminal(tmp_path: Path, sighup: str) -> None:
    with staged(tmp_path, "running") as folder, opened(folder, sighup=sighup) as terminal:
        terminal.until(drawn)
        terminal.hang_up()
        assert terminal.wait() in {129, -signal.SIGHUP}


def test_it_ends_with_its_terminal_though_it_has_nothing_to_write(tmp_path: Path) -> None:
    with opened(recorded.scene(tmp_path, "finished"), sighup="ignored") as terminal:
        terminal.until(drawn)
        terminal.settle()
        terminal.hang_up()
        assert terminal.wait() in {129, -signal.SIGHUP}


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0)])
def test_signals_leave_the_terminal_as_it_was_found(tmp_path: Path, signum: signal.Signals, code: int) -> None:
    with staged(tmp_path, "running") as folder, opened(folder) as terminal:
        terminal.until(drawn)
        terminal.signal(signum)
        assert terminal.wait() == code
        assert b"\x1b[?1049l" in terminal.raw


def test_a_dashboard_that_cant_leave_in_time_leaves_the_terminal_as_it_was_found(tmp_path: Path) -> None:
    with staged(tmp_path, "running") as folder:
        command = ["-c", NEVER_DONE + OPEN, str(folder.path), "default"]
        with opened(folder, command=command) as terminal:
            found = termios.tcgetattr(terminal.fd)
            terminal.until(drawn)
            assert termios.tcgetattr(terminal.fd) != found
            terminal.signal(signal.SIGTERM)
            assert terminal.wait() == 143
            for mode in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1003l", b"\x1b[?2004l"):
                assert mode in terminal.raw
            assert termios.tcgetattr(terminal.fd) == found


def test_suspended_and_back_again(tmp_path: Path) -> None:
    with staged(tmp_path, "running") as folder, opened(folder) as terminal:
        terminal.until(drawn)
        terminal.press("\x1a")
        terminal.until(lambda _: stopped(terminal.pid))
        assert terminal.raw.rstrip().endswith(b"h") or b"\x1b[?1049l" in terminal.raw
        terminal.screen.reset()
        terminal.signal(signal.SIGCONT)
        terminal.until(drawn)
        terminal.until("? help")
        terminal.press("q")
        assert terminal.wait() == 0


def stopped(pid: int) -> bool:
    """Whether the process is stopped by a signal."""
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


def test_killed_and_attached_again_it_shows_the_whole_history(tmp_path: Path) -> None:
    with staged(tmp_path, "running") as folder:
        with opened(folder) as first:
            first.until(drawn)
            first.signal(signal.SIGKILL)
            assert first.wait() == -signal.SIGKILL
        go_on(folder, 0.1234)
        with opened(folder) as second:
            text = second.until("0.1234")
            assert "base-s0" in text


def test_two_dashboards_watch_at_once(tmp_path: Path) -> None:
    with staged(tmp_path, "running") as folder, opened(folder) as first, opened(folder) as second:
        first.until(drawn)
        second.until(drawn)
        go_on(folder, 0.4321)
        first.until("0.4321")
        second.until("0.4321")


def test_it_notices_when_the_supervisor_dies(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")
    with opened(folder) as terminal:
        with alive(folder):
            terminal.until("▶ running")
        terminal.until("? lost")
        terminal.until("r resume")


def test_a_folder_that_vanishes_does_no_harm(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "lost")
    with opened(folder) as terminal:
        terminal.until(drawn)
        shutil.rmtree(folder.path)
        terminal.press("j")
        terminal.until("▸▲ se-s0")
        terminal.press("c")
        terminal.until(lambda text: "isnotanexperimentoftui-attn" in re.sub(r"\s+", "", text))
        terminal.press("q")
        assert terminal.wait() == 0


@pytest.mark.parametrize("scene", ["finished", "lost", "failed"])
def test_nothing_is_written_while_nothing_changes(tmp_path: Path, scene: str) -> None:
    with opened(recorded.scene(tmp_path, scene)) as terminal:
        terminal.until(drawn)
        terminal.settle(2.5)


def test_a_new_point_costs_a_fraction_of_the_screen(tmp_path: Path) -> None:
    with staged(tmp_path, "running") as folder, opened(folder) as terminal:
        terminal.until(lambda text: drawn(text) and "se-s0, epoch 2" in text and "cpu" in text)
        written = []
        for message in ("just so", "once more", "a third time"):
            terminal.settle(0.4)
            whole = len(terminal.raw)
            log = LogWriter(folder.run("se-s0").events)
            log.append("warning", message=message)
            log.close()
            terminal.until(message)
            written.append(len(terminal.raw) - whole)
        assert min(written) < 2000, "what else was drawn meanwhile is drawn once"


@pytest.mark.parametrize("options", [[], ["--no-mouse"]])
def test_the_mouse_is_left_to_the_terminal_when_asked(tmp_path: Path, options: list[str]) -> None:
    folder = recorded.scene(tmp_path, "finished")
    arguments = ["-m", "tui_attn", "attach", folder.id, "--runs-dir", str(tmp_path), *options]
    with opened(folder, command=arguments) as terminal:
        terminal.until(drawn)
        terminal.press("q")
        assert terminal.wait() == 0
        assert (b"\x1b[?1003h" in terminal.raw) == (not options)


def test_no_color_means_no_color(tmp_path: Path) -> None:
    with staged(tmp_path, "running") as folder, opened(folder, environment={"NO_COLOR": "1"}) as terminal:
        terminal.until(drawn)
        for keys in ("h", ESCAPE, "?", ESCAPE, "\r", ESCAPE, "T"):
            terminal.press(keys)
            terminal.settle(0.3)
        codes = {int(code) for found in SGR.findall(terminal.raw) for code in found.split(b";") if code}
        assert codes <= {0, 1, 2, 3, 4, 7}, codes


@pytest.mark.parametrize(
    ("environment", "allowed"),
    [
        ({"COLORTERM": "", "TERM": "xterm"}, re.compile(rb"(0|1|2|3|4|7|3[0-79]|4[0-79]|9[0-7]|10[0-7]|;)*")),
        ({"COLORTERM": ""}, re.compile(rb"(38;5;\d+|48;5;\d+|39|49|[0-9]|3[0-7]|4[0-7]|9[0-7]|10[0-7]|;)*")),
    ],
    ids=["16", "256"],
)
def test_only_colours_that_the_terminal_has(
    tmp_path: Path, environment: dict[str, str], allowed: re.Pattern[bytes]
) -> None:
    with staged(tmp_path, "running") as folder, opened(folder, environment=environment) as terminal:
        terminal.until(drawn)
        terminal.press("h")
        terminal.settle(0.3)
        found = set(SGR.findall(terminal.raw))
        assert {codes for codes in found if not allowed.fullmatch(codes)} == set()
        assert len(found) > 5


@pytest.mark.parametrize("environment", [{"LANG": "C"}, {"LC_ALL": "C", "LANG": "en_US.UTF-8"}, {"LC_ALL": "POSIX"}])
def test_a_locale_without_unicode_gets_ascii(tmp_path: Path, environment: dict[str, str]) -> None:
    with staged(tmp_path, "running") as folder, opened(folder, environment=environment) as terminal:
        terminal.until(lambda text: "> running" in text and "cpu" in text)
        terminal.press("?")
        terminal.until("type a word to find a key")
        assert terminal.raw.isascii()


def test_a_damaged_manifest_is_one_line(tmp_path: Path) -> None:
    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=1))
    folder.manifest.write_text("{")
    with opened(folder) as terminal:
        assert terminal.wait() == 1
        assert "RunsError" in terminal.raw.decode()
