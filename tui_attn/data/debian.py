"""Fetches a data set from the Debian archive by apt, without root and without changing the system's apt.

apt verifies signatures as usual. Its lists, cache and state are in a temporary folder; sources, keys, proxies and
credentials are the machine's own.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, cast

from tui_attn.data.base import DataFile, DebianPackage, Progress
from tui_attn.data.files import DamagedError
from tui_attn.data.unpack import members, unpack_gz
from tui_attn.system.children import clean_environment

_CONFIGURATION = """
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
Acquire::IndexTargets::deb-src::Sources::DefaultEnabled "false";
"""
# The hooks act on the system's apt, and the indexes are not needed here.

_BEAT = 0.2
"""Seconds between two calls of the progress callback while apt is silent."""
_UPDATE_LIMIT = 300.0
_DOWNLOAD_LIMIT = 3600.0
_STATUS = re.compile(rb"dlstatus:[^:]*:([0-9.]+):")


class DebianError(Exception):
    """The package could not be fetched from the Debian archive; the message says why."""


def scratch_name(package: DebianPackage) -> str:
    """The prefix of the names of scratch folders for `package`."""
    return f".apt-{package.name}-"


def available() -> bool:
    """Whether this machine has apt's tools."""
    return all(shutil.which(tool) for tool in ("apt-get", "dpkg-deb"))


def fetch_package(
    package: DebianPackage,
    files: Iterable[DataFile],
    target: Path,
    scratch: Path,
    progress: Progress,
) -> None:
    """Fetch `package` and unpack and verify `files` from it into `target`.

    `scratch` is an existing folder for about 60 MB of temporary files. Raises `DebianError`, `OSError`.
    """
    if not available():
        raise DebianError("this machine has no apt")
    with tempfile.TemporaryDirectory(prefix=scratch_name(package), dir=scratch) as name:
        work = Path(name)
        deb = _download(package, work, progress)
        try:
            _unpack(deb, package, files, target, progress)
        except DamagedError as error:
            raise DebianError(f"its {package.name} {error}") from None


def _download(package: DebianPackage, work: Path, progress: Progress) -> Path:
    options = _options(work)

    beat = partial(progress, "asking the Debian archive", 0, None)
    beat()
    _run(["apt-get", *options, "-o", "Acquire::Retries=0", "update"], work, _UPDATE_LIMIT, beat=beat)

    def tick(percent: float) -> None:
        progress(f"fetching Debian's {package.name}", int(package.size * percent / 100), package.size)

    tick(0.0)
    command = ["apt-get", *options, "-o", "Acquire::Retries=3", "download", package.name]
    output = _run(command, work, _DOWNLOAD_LIMIT, tick=tick)
    found = sorted(work.glob(f"{package.name}_*.deb"))
    if not found:
        raise DebianError(_complaint(output))
    return found[0]


def _options(work: Path) -> list[str]:
    """Options that keep apt inside `work`; the folders are made."""
    for folder in ("lists/partial", "state", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "state" / "status").touch()
    (work / "apt.conf").write_text(_CONFIGURATION)
    settings = {
        "Dir::State": work / "state",
        "Dir::State::Lists": work / "lists",
        "Dir::State::status": work / "state" / "status",
        "Dir::Cache": work / "cache",
        # As root, apt would drop to a user that cannot see the folders of this one.
        **({"APT::Sandbox::User": "root"} if os.geteuid() == 0 else {}),
        "Acquire::http::Timeout": 5,
        "Acquire::https::Timeout": 5,
    }
    options = ["-q", "-c", str(work / "apt.conf")]
    for key, value in settings.items():
        options += ["-o", f"{key}={value}"]
    return options


def _run(
    command: Sequence[str],
    work: Path,
    limit: float,
    *,
    tick: Callable[[float], None] = lambda _: None,
    beat: Callable[[], None] = lambda: None,
) -> str:
    """Run an apt command in `work` and return its output. Its exit status is ignored: the fetched files are checked.

    `tick` gets the percentage of the download, `beat` is called while apt is silent. apt and its children are killed
    after `limit` seconds or when the caller is interrupted.
    """
    log = work / "apt.log"
    reading, writing = os.pipe()
    with log.open("wb") as output, os.fdopen(reading, "rb", buffering=0) as status:
        try:
            process = subprocess.Popen(
                [*_mortal(), command[0], "-o", f"APT::Status-Fd={writing}", *command[1:]],
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[writing],
                env=clean_environment({"LC_ALL": "C", "RES_OPTIONS": "timeout:5 attempts:1"}),
                start_new_session=True,
            )
        except OSError as error:
            raise DebianError(f"apt cannot be started: {error.strerror}") from None
        finally:
            os.close(writing)
        timer = threading.Timer(limit, _end, [process])
        timer.start()
        try:
            while True:
                if not select.select([status], [], [], _BEAT)[0]:
                    beat()
                    continue
                if not (block := status.read(4096)):
                    break
                found = _STATUS.findall(block)
                if found:
                    tick(min(100.0, float(found[-1])))
            process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                _end(process)
                process.wait()
    return log.read_text(errors="replace")


def _mortal() -> list[str]:
    """A prefix that makes the kernel kill the command when the thread that started it exits."""
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _unpack(deb: Path, package: DebianPackage, files: Iterable[DataFile], target: Path, progress: Progress) -> None:
    wanted = {f"{package.folder.lstrip('/')}/{file.name}.gz": file for file in files}
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(deb.absolute())],
        cwd="/",
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            for name, content, _ in members(cast("IO[bytes]", process.stdout), wanted, limit=8 * package.size):
                unpack_gz(content, target / wanted[name].name, wanted[name], progress)
        finally:
            process.kill()  # the rest of the package is not needed


def _complaint(output: str) -> str:
    """The error in apt's output."""
    lines = [line.strip() for line in output.splitlines()]
    if any("Could not resolve" in line or "Temporary failure resolving" in line for line in lines):
        return "it cannot be found (offline?)"
    for mark in ("E: ", "W: "):
        for line in lines:
            if line.startswith(mark):
                return line.removeprefix(mark)[:120]
    return "apt brought nothing"
