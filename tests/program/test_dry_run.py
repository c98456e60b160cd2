"""`--dry-run` shows what would be trained and leaves nothing behind."""

import shutil

from tests.program.conftest import SMALL, Program


def test_a_dry_run_shows_the_runs_and_starts_nothing(program: Program) -> None:
    done = program("--dry-run", *SMALL, "--models", "base,se", "--seeds", "3", "--epochs", "4")
    assert done.code == 0, done.err
    rows = {line.split()[0]: line for line in done.out.splitlines() if not line.startswith(" ")}
    assert list(rows) == ["runs", "data", "training", "device", "verdicts", "memory", "time"]
    assert "6: base-s0 se-s0 base-s1 se-s1 base-s2 se-s2" in rows["runs"]
    assert "1,200 training and 300 test images: generated" in rows["data"]
    assert "4 epochs" in rows["training"]
    assert "cpu" in rows["device"]
    assert "at 3 and 6 seeds, margin 0.5 points" in rows["verdicts"]
    assert "about" in rows["memory"]
    assert "no estimate yet" in rows["time"]
    assert "nothing was started" in done.err
    assert not program.runs.exists()


def test_a_dry_run_in_json_is_one_object_with_nothing_on_stderr(program: Program, finished: Program) -> None:
    shutil.copytree(finished.runs, program.runs)
    done = program("--dry-run", "--json", *SMALL, "--epochs", "2")
    assert (done.code, done.err) == (0, "")
    found = done.json()
    assert found["runs"] == ["base-s0", "se-s0", "self-attention-s0"]
    assert (found["train_images"], found["test_images"], found["workers"]) == (1200, 300, 1)
    low, high = found["seconds"]
    assert 0 < low <= high
    assert found["memory_bytes"] > 0
    assert len(list(program.runs.iterdir())) == 1


def test_what_could_not_be_started_is_refused_by_a_dry_run_too(program: Program) -> None:
    (program.folder / "file").touch()
    place = ("--dataset", "synthetic", "--runs-dir", "file")
    for wrong in (("--dataset", "folder:nowhere"), ("--device", "cuda:99"), ("--models", "./missing.py:Net"), place):
        done = program("--dry-run", *wrong)
        assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1), done.err


def test_extend_and_resume_show_what_is_lacking(program: Program, finished: Program) -> None:
    shutil.copytree(finished.runs, program.runs)
    manifest = program.newest().manifest.read_bytes()
    done = program("extend", "--seeds", "3", "--dry-run")
    assert done.code == 0, done.err
    assert "6: base-s1 se-s1 self-attention-s1 base-s2 se-s2 self-attention-s2" in done.out
    assert "at most" in done.out
    done = program("resume", "--dry-run")
    assert (done.code, done.out) == (0, "")
    assert "nothing to train" in done.err
    assert program.newest().manifest.read_bytes() == manifest


def test_hosts_without_gpus_are_told_before_anything_starts(program: Program) -> None:
    ssh = program.folder / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text("#!/bin/sh\nexit 1\n")  # the hosts are reached, and have no GPU
    ssh.chmod(0o755)
    program.environment["PATH"] = f"{ssh.parent}:{program.environment['PATH']}"
    where = ("--on", "ssh:one,two", "--dataset", "synthetic", "--train-limit", "100", "--dry-run")
    for command in ((), ("sweep", "lr=0.1,0.2")):
        done = program(*command, *where)
        assert done.code == 0, done.err
        assert "workers on ssh train on CPUs: no host has a GPU" in done.err
    assert program("--json", *where).err == ""
