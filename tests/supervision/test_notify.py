"""When a notice is due, and what the `[notify]` table may say."""

import itertools
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.notice_server import notice_server
from tests.recorded import record, supervised
from tests.waiting import eventually
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.notices import Notice, NoticeWatch, RunReport
from tui_attn.experiment.options import ConfigError
from tui_attn.experiment.ownership import STALLED_AFTER
from tui_attn.supervision.notifier import LEAST_BETWEEN, Notifier
from tui_attn.supervision.notify_settings import SecretError, Source, parse


def run(id_: str, state: str, reason: str | None = None, *, diverged: bool = False) -> RunReport:
    return RunReport(id_, state, reason, diverged)


def test_only_what_changed_since_the_last_look_is_told_and_history_never() -> None:
    watch = NoticeWatch()
    assert watch.look("running", [run("base-s0", "failed", "old"), run("se-s0", "running")]) == []
    assert watch.look("running", [run("base-s0", "failed", "old"), run("se-s0", "running")]) == []
    stalled = watch.look("running", [run("base-s0", "failed", "old"), run("se-s0", "stalled")])
    assert stalled == [Notice("stalled", "se-s0: no progress, although the worker is alive")]
    ended = watch.look("failed", [run("base-s0", "failed", "old"), run("se-s0", "failed", "no\x1b[31m room")])
    assert ended == [
        Notice("failed", "se-s0 failed: no␛[31m room"),
        Notice("failed", "training failed: 0 of 2 runs finished, 2 failed"),
    ]
    assert watch.look("failed", [run("base-s0", "failed", "old"), run("se-s0", "failed", "no room")]) == []


def test_runs_that_fail_together_share_a_notice() -> None:
    watch = NoticeWatch()
    watch.look("running", [run(f"se-s{seed}", "running") for seed in range(30)])
    failed = [run(f"se-s{seed}", "failed", "the loss became NaN", diverged=seed < 2) for seed in range(30)]
    assert watch.look("running", failed) == [
        Notice("nan", "se-s0 and 1 more failed: the loss became NaN"),
        Notice("failed", "se-s2 and 27 more failed: the loss became NaN"),
    ]


def test_a_stall_is_sent_once_and_again_only_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "tk_9f3cdb81"
    monkeypatch.setenv("NTFY_TOKEN", secret)
    folder = record(tmp_path, states=dict.fromkeys(("base-s0", "se-s0", "self-attention-s0"), "running"))
    now = 1000.0

    def beat(seconds_ago: float) -> None:
        for id_ in ("base-s0", "se-s0", "self-attention-s0"):
            heartbeat = folder.run(id_).heartbeat
            heartbeat.touch()
            then = heartbeat.stat().st_mtime - seconds_ago
            os.utime(heartbeat, (then, then))

    with notice_server() as server, supervised(folder):
        warnings: list[str] = []
        monkeypatch.setenv("HOOK", f"{server.address}/hook/{secret}")
        settings = parse(
            {"webhook": {"env": "HOOK"}, "ntfy": f"{server.address}/lab", "ntfy-token": {"env": "NTFY_TOKEN"}}
        )
        notifier = Notifier(settings, folder, warnings.append, clock=lambda: now)
        follower = read_state(folder)

        def look(seconds_ago: float, later: float) -> None:
            nonlocal now
            beat(seconds_ago)
            now += later
            notifier.look(follower)

        look(0, 0)
        look(2 * STALLED_AFTER, 2)
        eventually(lambda: len(server.requests) == 2)
        look(0, 2)
        look(2 * STALLED_AFTER, 2)  # within `LEAST_BETWEEN`: waits
        look(2 * STALLED_AFTER, LEAST_BETWEEN)
        eventually(lambda: len(server.requests) == 4)
        eventually(lambda: notifier.idle)
    assert [each.body["event"] for each in server.to(f"/hook/{secret}")] == ["stalled", "stalled"]
    assert [each.headers["Authorization"] for each in server.to("/")] == [f"Bearer {secret}"] * 2
    assert all("no progress" in each.body["message"] for each in server.to("/"))
    files = [path.read_bytes() for path in folder.path.rglob("*") if path.is_file()]
    assert not any(secret.encode() in content or b"127.0.0.1" in content for content in files)
    assert warnings == []


def test_a_failure_is_sent_to_a_server_once(tmp_path: Path) -> None:
    folder = record(tmp_path, states=dict.fromkeys(("base-s0", "se-s0", "self-attention-s0"), "running"))
    with notice_server() as server, supervised(folder):
        warnings: list[str] = []
        seconds = itertools.count(0.0, 2.0)
        notifier = Notifier(
            parse({"ntfy": f"{server.address}/lab"}), folder, warnings.append, clock=lambda: next(seconds)
        )
        notifier.look(read_state(folder))
        log = LogWriter(folder.events)
        log.append("run_ended", run="se-s0", state="failed", reason="RuntimeError: out of memory")
        log.close()
        for _ in range(2):
            notifier.look(read_state(folder))
        eventually(lambda: len(server.requests) == 1)
        eventually(lambda: notifier.idle)
    assert "se-s0 failed: RuntimeError: out of memory" in server.requests[0].body["message"]
    assert len(server.requests) == 1
    assert warnings == []


@pytest.mark.parametrize(
    ("table", "option", "words"),
    [
        ("https://ntfy.sh/lab", "notify", "must be a table"),
        ({"nfty": "https://ntfy.sh/lab"}, "notify.nfty", "did you mean 'ntfy'?"),
        ({"ntfy": "ntfy.sh/lab"}, "notify.ntfy", "https://"),
        ({"ntfy": "https://ntfy.sh/"}, "notify.ntfy", "topic"),
        ({"ntfy": "https://ntfy.sh/a b"}, "notify.ntfy", "https://"),
        ({"webhook": "https://host:99999/x"}, "notify.webhook", "https://"),
        ({"webhook": "https://host/x\r\nX-Evil: 1"}, "notify.webhook", "https://"),
        ({"webhook": {"env": "A B"}}, "notify.webhook", "env"),
        ({"webhook": 3}, "notify.webhook", "address"),
        ({"ntfy": "https://ntfy.sh/lab", "ntfy-token": "tk_1"}, "notify.ntfy-token", "secret"),
        ({"ntfy-token": {"env": "TOKEN"}}, "notify.ntfy-token", "needs ntfy"),
        ({"command": "mail 'unclosed"}, "notify.command", "list of words"),
        ({"command": []}, "notify.command", "list of words"),
        ({"command": ["mail", 3]}, "notify.command", "list of words"),
        ({"on": ["end"]}, "notify.on", "finished, failed, nan, stalled"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(table: Any, option: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(table)
    assert caught.value.option == option
    assert words in caught.value.reason


def test_a_secret_that_is_not_there_is_named_by_its_place_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("tk_1\nsecond line\n")
    assert Source("file", str(token)).read() == "tk_1"
    token.write_bytes(b"tk_\xc3\xa4\n")
    with pytest.raises(SecretError, match="HTTP header"):
        Source("file", str(token)).read()
    os.mkfifo(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(SecretError, match="can't read"):
        Source("file", str(tmp_path / "pipe")).read()
    monkeypatch.delenv("NTFY_TOKEN", raising=False)
    with pytest.raises(SecretError, match="NTFY_TOKEN is not set"):
        Source("env", "NTFY_TOKEN").read()
