"""A Debian archive through apt, a real one on this machine where there is apt, and what happens where it fails."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.data.small_sets import make_idx_set, names_in, sha256, with_debian, write
from tests.waiting import eventually
from tui_attn.data import DataError, FetchOptions
from tui_attn.data.base import DatasetInfo
from tui_attn.data.resolve import ensure_info

CHECKOUT = Path(__file__).parents[2]


APT = """
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Parts "/dev/null";
Dir::Etc::Main "/dev/null";
"""
CONTROL = """\
Package: dataset-made
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: made
"""


@dataclass
class Archive:
    """A Debian archive on this machine with a package of a made set, and the configuration that lets apt use it."""

    info: DatasetInfo
    config: Path


def make_archive(folder: Path) -> Archive:
    os.umask(0o022)  # apt reads it as another user; taken back after the test
    tree = folder / "tree"
    made = make_idx_set()
    made.write_packed(tree / "usr/share/datasets/made")
    write(tree / "DEBIAN", {"control": CONTROL.encode()})
    deb = folder / "dataset-made_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", tree, deb], check=True, capture_output=True)
    content = deb.read_bytes()
    about = f"{CONTROL}Filename: ./{deb.name}\nSize: {len(content)}\nSHA256: {sha256(content)}\n"
    listed = {"Packages": about, "sources.list": f"deb [trusted=yes] file://{folder} ./\n", "apt": APT}
    write(folder, {name: text.replace("{folder}", str(folder)).encode() for name, text in listed.items()})
    return Archive(with_debian(made, Path("/usr/share/datasets/made")), folder / "apt")


with_apt = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("apt-get", "dpkg-deb")), reason="this machine has no apt"
)


@with_apt
def test_a_package_comes_from_an_archive_through_apt(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = make_archive(tmp_path / "archive")
    monkeypatch.setenv("APT_CONFIG", str(archive.config))
    steps: list[tuple[str, int, int | None]] = []
    before = _system_state()
    where = ensure_info(archive.info, options=FetchOptions(progress=lambda *step: steps.append(step)))
    assert where.source == "Debian archive"
    assert where.version == archive.info.version
    assert names_in(cache) == [".made.lock", "MadeMNIST"]  # apt's folders are gone
    assert names_in(where.files[0].parent) == sorted(file.name for file in archive.info.files)
    assert stat.S_IMODE(where.files[0].stat().st_mode) == 0o600
    assert _system_state() == before
    phases = list(dict.fromkeys(phase for phase, _, _ in steps))
    assert phases[:2] == ["asking the Debian archive", "fetching Debian's dataset-made"]
    assert any(phase.startswith("unpacking train-images") for phase in phases)
    assert all(total is None or 0 <= done <= total for _, done, total in steps)


def _system_state() -> dict[str, tuple[float, ...]]:
    """When the system's own apt lists and caches were last changed."""
    folders = [Path("/var/lib/apt/lists"), Path("/var/cache/apt"), Path("/var/cache/apt/archives")]
    return {str(folder): (folder.stat().st_mtime,) for folder in folders if folder.exists()}


@pytest.fixture
def ordinary_home() -> Iterator[Path]:
    """A home folder for an ordinary user, outside pytest's own, which only root may enter."""
    home = Path(tempfile.mkdtemp(prefix="tui-attn-test-"))
    shutil.chown(home, 65534, 65534)
    yield home
    shutil.rmtree(home)


@with_apt
@pytest.mark.skipif(os.geteuid() != 0, reason="the other test already runs as an ordinary user")
def test_it_works_for_an_ordinary_user_too(ordinary_home: Path) -> None:
    archive = make_archive(ordinary_home / "archive")
    (ordinary_home / "info").write_bytes(pickle.dumps(archive.info))
    script = (
        "import os, pickle, sys\n"
        "from tui_attn.data.resolve import ensure_info\n"
        "assert os.geteuid() == 65534\n"
        "print(ensure_info(pickle.load(open(sys.argv[1], 'rb'))).source)\n"
    )
    environment = {"HOME": str(ordinary_home), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}

    def run(python: str, script: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-c", script, ordinary_home / "info"],
            check=False,
            cwd=CHECKOUT,
            env=environment | extra,
            user=65534,
            group=65534,
            extra_groups=[],
            capture_output=True,
            text=True,
        )

    def works(python: str) -> bool:
        try:
            return run(python, "import tui_attn.data").returncode == 0
        except OSError:
            return False

    # The package needs the standard library only, so that the system's own interpreter does as well.
    python = next((python for python in (sys.executable, "/usr/bin/python3") if works(python)), None)
    if python is None:
        pytest.skip("an ordinary user cannot read this checkout or any interpreter")
    result = run(python, script, APT_CONFIG=str(archive.config))
    assert result.stdout == "Debian archive\n", result.stderr


def fake_apt(folder: Path, apt_get: str, dpkg_deb: str = "exit 0") -> str:
    """A PATH with these scripts as apt-get and dpkg-deb before everything else."""
    folder.mkdir()
    for name, body in (("apt-get", apt_get), ("dpkg-deb", dpkg_deb)):
        (folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_without_apt_the_error_says_so(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="Debian archive: this machine has no apt"):
        ensure_info(with_debian(make_idx_set(), tmp_path / "none"))


@pytest.mark.parametrize(
    ("apt_get", "why"),
    [
        ("echo 'E: Unable to locate package dataset-made'; exit 100", "Unable to locate package dataset-made"),
        ("echo \"  Could not resolve 'archive.example'\"; exit 0", r"it cannot be found \(offline\?\)"),
        ("exit 0", "apt brought nothing"),
        ("echo > dataset-made_1_all.deb; exit 0", "its dataset-made is broken|its dataset-made lacks"),
    ],
)
def test_what_apt_complains_of_is_said(
    apt_get: str, why: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", fake_apt(tmp_path / "bin", apt_get))
    with pytest.raises(DataError, match=f"Debian archive: {why}") as caught:
        ensure_info(with_debian(make_idx_set(), tmp_path / "none"))
    assert len(str(caught.value).splitlines()) == 2
    assert not list(cache.glob(".apt-*"))


def test_apt_is_kept_inside_the_cache(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists, state and caches, and no hook of the system's: what apt is told, word for word."""
    made = make_idx_set()
    folder = made.write_packed(tmp_path / "tree" / "usr" / "made")
    log = tmp_path / "log"
    monkeypatch.setenv(
        "PATH",
        fake_apt(
            tmp_path / "bin",
            f'echo "$@" >> {log}; for a; do case $a in *apt.conf) cat $a >> {log};; esac; done; '
            'case "$*" in *download*) echo dlstatus:1:50.0:x >&${2#*=}; touch dataset-made_1_all.deb;; esac',
            f"tar -C {tmp_path}/tree -c ./usr/made",
        ),
    )
    steps: list[tuple[str, int, int | None]] = []
    info = with_debian(made, Path("/usr/made"))
    where = ensure_info(info, options=FetchOptions(progress=lambda *step: steps.append(step)))
    assert where.source == "Debian archive"
    assert folder.exists()
    told = log.read_text()
    work = re.search(rf"Dir::State={re.escape(str(cache))}/(\.apt-dataset-made-[^/]+)/state", told)
    assert work is not None
    for setting in ("Dir::State::Lists=", "Dir::State::status=", "Dir::Cache="):
        assert f"{setting}{cache}/{work.group(1)}/" in told
    assert "#clear APT::Update::Post-Invoke-Success;" in told
    assert ("APT::Sandbox::User=root" in told) == (os.geteuid() == 0)
    assert told.count("update\n") == 1
    assert "download dataset-made" in told
    assert ("fetching Debian's dataset-made", 5_000, 10_000) in steps
    assert names_in(cache) == [".made.lock", "MadeMNIST"]


def test_leftovers_of_a_killed_apt_are_cleared_away(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / ".apt-dataset-made-old" / "lists").mkdir(parents=True)
    (cache / ".apt-dataset-made-link").symlink_to(tmp_path)
    (tmp_path / "kept").touch()
    monkeypatch.setenv("PATH", fake_apt(tmp_path / "bin", "exit 0"))
    with pytest.raises(DataError):
        ensure_info(with_debian(make_idx_set(), tmp_path / "none"))
    assert not list(cache.glob(".apt-*"))
    assert (tmp_path / "kept").exists()


def test_an_interrupted_start_ends_apt(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"
    monkeypatch.setenv(
        "PATH",
        fake_apt(
            tmp_path / "bin",
            f'case "$*" in *download*) echo $$ > {pid}; echo dlstatus:1:1.0:x >&${{2#*=}}; exec sleep 60;; esac',
        ),
    )

    def interrupt(phase: str, done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_info(with_debian(make_idx_set(), tmp_path / "none"), options=FetchOptions(progress=interrupt))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert not list(cache.glob(".apt-*"))


KILLED = """
import sys
from pathlib import Path
from tui_attn.data.base import DebianPackage, silent
from tui_attn.data.debian import fetch_package
fetch_package(DebianPackage("some", "/usr/share/some", 1000), (), Path(sys.argv[1]), Path(sys.argv[1]), silent)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="this machine has no setpriv")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_apt_ends_with_a_start_that_is_killed(tmp_path: Path, signum: signal.Signals) -> None:
    said = f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid"
    path = fake_apt(tmp_path / "bin", f"{said}; exec sleep 600")
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    start = subprocess.Popen(command, cwd=CHECKOUT, env=os.environ | {"PATH": path})
    eventually(lambda: (tmp_path / "pid").exists() or start.poll() is not None, "apt")
    apt = psutil.Process(int((tmp_path / "pid").read_text()))
    start.send_signal(signum)
    start.wait()
    eventually(lambda: not apt.is_running() or apt.status() == psutil.STATUS_ZOMBIE, "the end of apt")
