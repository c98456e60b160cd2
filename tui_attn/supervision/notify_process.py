"""Send one notice: `python -m tui_attn.supervision.notify_process FOLDER ID`, the notice and settings as JSON on stdin.

It is a process of its own, so that no server, command or import can block the supervisor. Its exit code is 0 when every
channel worked; otherwise stderr says which did not, without addresses or tokens.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.study import StudyDir, is_study
from tui_attn.supervision.notify_settings import NotifySettings, SecretError, address_problem, parse
from tui_attn.system.console import open_standard_streams
from tui_attn.system.text import safe_text

HTTP_SECONDS = 10.0
"""Timeout of each step of an HTTP exchange, seconds."""
COMMAND_SECONDS = 20.0
PROCESS_SECONDS = 30
"""Seconds after which the process is ended by a signal."""


class SendError(Exception):
    """A notice was not delivered; the message holds no address and no token."""


def main(arguments: list[str]) -> int:
    """Send the notice that stdin describes."""
    open_standard_streams()
    signal.alarm(PROCESS_SECONDS)
    asked = json.load(sys.stdin)
    folder = ExperimentDir(Path(arguments[0]), name=arguments[1])
    name, sentence = _name(folder), verdict_sentence(folder) if asked["with_verdict"] else ""
    text = f"{asked['text']}. {sentence}" if sentence else asked["text"]
    problems = send(parse(asked["settings"]), asked["kind"], folder.id, name, text)
    sys.stderr.write("; ".join(problems))
    return 1 if problems else 0


def send(settings: NotifySettings, kind: str, experiment: str, name: str, text: str) -> list[str]:
    """Send a notice by every channel in `settings`; return the problems, safe to log."""
    problems = []
    for channel in settings.channels:
        try:
            if channel == "command":
                _run(settings.command, kind, experiment, f"{name}: {text}\n")
            else:
                _post(settings, channel, kind, experiment, name, text)
        except (SendError, SecretError) as error:
            problems.append(f"{channel}: {safe_text(error, one_line=True)}")
        except Exception as error:  # other channels must still be tried
            problems.append(f"{channel}: {type(error).__name__}")
    return problems


def verdict_sentence(folder: ExperimentDir) -> str:
    """The sentence with the verdict; empty where the experiment has no results."""
    from tui_attn.compare.headline import headline
    from tui_attn.compare.summary import summarise
    from tui_attn.experiment.follower import read_state

    with contextlib.suppress(Exception):  # a notice without it is better than none
        return headline(summarise(read_state(folder)))
    return ""


def _name(folder: ExperimentDir) -> str:
    """Of an experiment or a study."""
    with contextlib.suppress(RunsError):
        config = StudyDir(folder.path).plan().config if is_study(folder.path) else folder.manifest_data().config
        return safe_text(config.name or folder.id, one_line=True)
    return folder.id


# ---- channels


def _run(words: tuple[str, ...], kind: str, experiment: str, message: str) -> None:
    """Run the user's command without a shell, the message on its stdin."""
    environment = os.environ | {"TUI_ATTN_EVENT": kind, "TUI_ATTN_EXPERIMENT": experiment}
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise SendError(f"it can't be run: {error.strerror}") from None
    try:
        process.communicate(message.encode(), timeout=COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise SendError(f"it did not end within {COMMAND_SECONDS:.0f} s") from None
    if process.returncode:
        raise SendError(f"it ended with exit code {process.returncode}")


def _post(settings: NotifySettings, channel: str, kind: str, experiment: str, name: str, text: str) -> None:
    """Send a notice as JSON: names and texts stand in the body, never in a header."""
    import httpx  # costs start-up time, and a command doesn't need it

    address, token = settings.sources[channel].read(), settings.sources.get(f"{channel}-token")
    if problem := address_problem(channel, address):
        raise SendError(f"its address {problem}")
    body: dict[str, object] = {"event": kind, "experiment": experiment, "name": name}
    if channel == "ntfy":
        address, _, topic = address.rpartition("/")
        urgent = kind in {"failed", "nan", "stalled"}
        body = {"topic": topic, "title": f"tui-attn: {name}", "message": text, "priority": 4 if urgent else 3}
    else:
        body["text"] = f"tui-attn: {name}: {text}"
    headers = {} if token is None else {"Authorization": f"Bearer {token.read()}"}
    try:
        answer = httpx.post(address, json=body, headers=headers, timeout=HTTP_SECONDS, follow_redirects=False)
    except httpx.TimeoutException:
        raise SendError("the server did not answer in time") from None
    except httpx.ConnectError:
        raise SendError("the server can't be reached") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError) as error:  # the latter of unusable proxies
        raise SendError(f"the exchange failed ({type(error).__name__})") from None
    if not answer.is_success:
        raise SendError(f"the server answered {answer.status_code}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
