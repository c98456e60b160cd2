"""The process that owns an experiment and outlives every terminal.

`python -m tui_attn.supervision.process FOLDER [--identity=ID] [--notify] [--on=ENGINE]`. A folder whose
`Folder.identity` differs from ID is refused. With `--notify` it reads a `[notify]` table as JSON from stdin. `--on`
says where workers run.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from tui_attn.engines.launchers import launcher_for
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.options import ConfigError
from tui_attn.supervision.experiment_log import OwnershipLostError
from tui_attn.supervision.exporter import Exporter
from tui_attn.supervision.notifier import Notifier
from tui_attn.supervision.notify_settings import NotifySettings, parse
from tui_attn.supervision.supervisor import Supervisor
from tui_attn.system import files, liveness
from tui_attn.system.children import Folder
from tui_attn.system.console import open_standard_streams
from tui_attn.system.signals import Signals


def main(arguments: list[str]) -> int:
    """Supervise the experiment in the folder that `arguments` names, to its end.

    The folder is held open, so that it may be renamed or moved meanwhile.
    """
    os.umask(0o077)
    open_standard_streams()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals = Signals([signal.SIGTERM, signal.SIGINT])
    signals.start()
    path = Path(arguments[0])
    options = dict(word.partition("=")[::2] for word in arguments[1:])
    notify = parse(json.load(sys.stdin)) if "--notify" in options else None
    try:
        folder = Folder(path)
        if options.get("--identity", folder.identity) != folder.identity:
            return _give_up("the folder was replaced by another one during the start: its training has not begun")
        if folder.owner != os.getuid():
            return _give_up(f"the folder belongs to another user (uid {folder.owner})")
        with contextlib.suppress(OSError):  # some file systems have no modes
            folder.keep_private()
        opened = ExperimentDir(folder.path, name=path.absolute().name)
        launcher = launcher_for(EngineSpec.parse(options.get("--on", "local")), opened)
        return _supervise(Supervisor(opened, signals=signals, launcher=launcher), notify)
    except BlockingIOError:
        return _give_up("another supervisor owns this experiment")
    except OSError as error:
        full = error.errno in files.FULL
        return _give_up("the disk is full: make room, then try again" if full else str(error))
    except (RunsError, ConfigError) as error:
        return _give_up(str(error))


def _give_up(reason: str) -> int:
    """Print to supervisor.log, which the launcher reads too."""
    print(reason, file=sys.stderr)  # noqa: T201
    return 1


def _supervise(supervisor: Supervisor, notify: NotifySettings | None) -> int:
    supervisor.begin()
    _say_ready(supervisor.folder)
    supervisor.fence()
    notifier = None if notify is None else Notifier(notify, supervisor.folder, supervisor.log.warn)
    exporter = Exporter(supervisor.folder, supervisor.log.warn) if supervisor.config.tensorboard else None
    try:
        if notifier is not None:
            notifier.look(supervisor.follower)
        supervisor.tick()
        while not supervisor.done:
            supervisor.signals.wait(supervisor.interval)
            supervisor.tick()
            if exporter is not None:
                exporter.look()
            if notifier is not None:
                notifier.look(supervisor.follower)
        supervisor.end()
        if notifier is not None:
            notifier.warn = lambda message: print(message, file=sys.stderr)  # noqa: T201 - the event log is closed
            supervisor.follower.poll()
            notifier.finish(supervisor.state)
        if exporter is not None:
            exporter.finish()
    except OwnershipLostError as error:
        supervisor.let_go()
        return _give_up(str(error))
    return 0


def _say_ready(folder: ExperimentDir) -> None:
    identity = liveness.identity()
    data = {"pid": identity.pid, "identity": identity.to_json(), "ready": True, "t": time.time()}
    files.write_atomically(folder.supervisor, json.dumps(data).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
