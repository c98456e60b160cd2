"""Notices that the supervisor sends: by a command, ntfy and a webhook, without a secret in any file."""

import json
import shutil
from pathlib import Path

from tests.notice_server import notice_server
from tests.program.conftest import SMALL, Program

SECRET = "tk_9f3cdb81"


def settings(folder: Path, *lines: str) -> str:
    path = folder / "settings.toml"
    path.write_text("\n".join(["[notify]", *lines, ""]))
    return str(path)


def files_with(text: str, folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_the_end_is_told_in_three_ways_and_no_secret_is_kept(program: Program, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    with notice_server() as server:
        config = settings(
            tmp_path,
            f"command = ['sh', '-c', 'cat > {heard}; echo \"$TUI_ATTN_EVENT $TUI_ATTN_EXPERIMENT\" >> {heard}']",
            f'ntfy = "{server.address}/lab"',
            'ntfy-token = { env = "NTFY_TOKEN" }',
            'webhook = { env = "HOOK" }',
        )
        done = program(
            "--no-ui", "--config", config, *SMALL, "--epochs", "1", "--models", "base,se", "--name", "first try",
            env={"NTFY_TOKEN": SECRET, "HOOK": f"{server.address}/hook/{SECRET}"},
        )  # fmt: skip
        assert done.code == 0, done.err
        (ntfy,), (hook,) = server.to("/"), server.to(f"/hook/{SECRET}")
    id_ = program.newest().id
    assert ntfy.headers["Authorization"] == f"Bearer {SECRET}"
    assert (ntfy.body["topic"], ntfy.body["title"]) == ("lab", "tui-attn: first try")
    assert ntfy.body["message"].startswith("training finished: 2 of 2 runs finished. ")
    assert "se" in ntfy.body["message"].partition("finished. ")[2], "the sentence with the verdict"
    assert "Authorization" not in hook.headers
    assert (hook.body["event"], hook.body["experiment"]) == ("finished", id_)
    assert hook.body["text"] == f"tui-attn: first try: {ntfy.body['message']}"
    assert heard.read_text().splitlines() == [f"first try: {ntfy.body['message']}", f"finished {id_}"]
    assert files_with(SECRET, tmp_path / "runs") == []
    assert files_with("127.0.0.1", tmp_path / "runs") == []


def test_nan_and_a_failed_end_are_told_with_their_reason_and_without_a_secret(program: Program, tmp_path: Path) -> None:
    with notice_server() as server:
        config = settings(
            tmp_path,
            f'ntfy = "{server.address}/lab"',
            'ntfy-token = { env = "NTFY_TOKEN" }',
            'webhook = { env = "HOOK" }',
        )
        model = tmp_path / "unstable.py"
        model.write_text(UNSTABLE)
        done = program(
            "--no-ui", "--config", config, *SMALL, "--epochs", "1", "--models", f"{model}:Net",
            env={"NTFY_TOKEN": SECRET, "HOOK": f"{server.address}/hook/{SECRET}"},
        )  # fmt: skip
        assert done.code == 1, done.err
        told = [(each.body["event"], each.body["text"]) for each in server.to(f"/hook/{SECRET}")]
        tokens = [each.headers.get("Authorization") for each in server.to("/")]
    assert sorted(event for event, _ in told) == ["failed", "nan"]
    assert any("NaN" in text for event, text in told if event == "nan")
    assert tokens == [f"Bearer {SECRET}"] * 2
    assert SECRET not in done.out + done.err
    assert files_with(SECRET, tmp_path / "runs") == []
    assert files_with("127.0.0.1", tmp_path / "runs") == []


def test_a_notice_that_fails_changes_nothing_and_its_reason_holds_no_address(program: Program, tmp_path: Path) -> None:
    with notice_server(status=403) as server:
        config = settings(
            tmp_path,
            "command = '/nowhere/at-all --loud'",
            f'webhook = "{server.address}/{SECRET}"',
            'ntfy = { file = "missing" }',
        )
        done = program("--no-ui", "--config", config, *SMALL, "--epochs", "1", "--models", "base")
    assert done.code == 0, done.err
    log = program.newest().supervisor_log.read_text()
    assert "the notice 'finished' was not sent" in log
    assert "command: it can't be run: No such file or directory" in log
    assert "webhook: the server answered 403" in log
    assert "ntfy: can't read missing" in log
    assert SECRET not in log
    assert files_with(SECRET, tmp_path / "runs") == []


def test_a_test_notice_shows_what_is_wrong(program: Program, tmp_path: Path) -> None:
    with notice_server() as server:
        config = settings(tmp_path, f'webhook = "{server.address}/hook"', 'ntfy = { env = "NOT_SET" }')
        done = program("--config", config, "config", "--test-notify")
        assert [each.body["event"] for each in server.requests] == ["finished"]
    assert (done.code, done.out) == (1, "")
    assert "ntfy: the environment variable NOT_SET is not set" in done.err
    assert "sent by webhook" in done.err
    shown = program("--config", config, "config")
    assert "notify.webhook" in shown.out
    assert server.address not in shown.out
    nothing = program("config", "--test-notify")
    assert nothing.code == 2
    assert "[notify]" in nothing.err


def test_an_experiment_cannot_say_where_notices_go(program: Program, tmp_path: Path, finished: Program) -> None:
    with notice_server() as server:
        manifest = finished.newest().manifest
        data = json.loads(manifest.read_text())
        del data["crc"]
        data["notify"] = {"webhook": f"{server.address}/hook"}
        copy = tmp_path / "runs" / finished.newest().id
        copy.parent.mkdir()
        shutil.copytree(finished.newest().path, copy)
        (copy / "experiment.json").write_text(json.dumps(data))
        done = program("extend", "--seeds", "2", "--no-ui")
        assert done.code == 0, done.err
        assert server.requests == []


UNSTABLE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, in_channels=1, image_size=28, num_classes=10):
        super().__init__()
        self.layer = nn.Linear(in_channels * image_size * image_size, num_classes)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.calls += 1
        return self.layer(x.flatten(1)) + torch.where(self.calls > 4, float("nan"), 0.0)
"""
