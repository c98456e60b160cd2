"""Coverage-guided fuzzing of all readers of files: no bytes may cause a crash or a hang.

    pip install atheris            # needs a Python that atheris has wheels for; no dependency of tui-attn
    python -m benchmarks.fuzz_readers -max_total_time=600 -timeout=10 -print_final_stats=1

The first byte chooses the reader, the rest is what it reads. Besides `-runs` and the like, which libFuzzer takes,
a folder may be named to keep the corpus in; without one it starts from the few seeds below. A crash is any exception
that the reader does not document.
"""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tui_attn"]):
    from tui_attn.cli import config_file
    from tui_attn.compare import archives, predictions
    from tui_attn.compare.remarks import find_remarks
    from tui_attn.compare.summary import summarise, summary_json
    from tui_attn.compare.text_tables import comparison_table
    from tui_attn.engines import workers
    from tui_attn.experiment import config, durations, events, options
    from tui_attn.experiment.event_log import LogReader, LogWriter, append_shared, last_event
    from tui_attn.experiment.folders import ExperimentDir
    from tui_attn.experiment.follower import Follower
    from tui_attn.experiment.manifest import Manifest, RunsError
    from tui_attn.experiment.writing import write_manifest
    from tui_attn.history import entries
    from tui_attn.system import files, liveness, text
    from tui_attn.system.signals import Signals
    from tui_attn.train import checkpoint
    from tui_attn.train.command_pipe import CommandPipe
    from tui_attn.ui.options import UI_OPTIONS, UiOptions

SHM = Path("/dev/shm")
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir=SHM if SHM.is_dir() else None))
FILE = FOLDER / "file"
EXPERIMENT = ExperimentDir(FOLDER / "runs" / "experiment")
CONFIG = config.ExperimentConfig(models=("base", "se"), dataset="synthetic", epochs=2)
OWN = config.ExperimentConfig(models=("base", "/home/ada/net.py:Net"), dataset="synthetic", augment=("flip",))


def checksummed(body: bytes) -> bytes:
    """`body` as a line with a valid checksum, so that the code behind the check is reached."""
    head = body.rstrip(b"\n}")
    return b'%s,"crc":"%08x"}\n' % (head, zlib.crc32(head))


def lines(data: bytes) -> bytes:
    """The lines of `data`: those that begin with an exclamation mark unchanged, the others with valid checksums."""
    return b"".join(
        line[1:] + b"\n" if line.startswith(b"!") else checksummed(line) for line in data.split(b"\n") if line
    )


# ---- the readers


def codec(data: bytes) -> None:
    for line in (data, checksummed(data)[:-1]):
        event = events.decode(line)
        if event is not None:
            again = events.decode(events.encode(event.type, event.data, seq=event.seq, t=event.t)[:-1])
            assert again is not None
            assert (again.type, again.seq) == (event.type, event.seq)


def log_reader(data: bytes) -> None:
    """A file that is read in parts while it grows, shrinks and is replaced."""
    reader = LogReader(FILE)
    limit = data[0] * 16 if data else None
    for part in data.split(b"\xff"):
        if part[:1] == b"\xfe":
            FILE.write_bytes(lines(part[1:]))
        else:
            with FILE.open("ab") as file:
                file.write(lines(part))
        for _ in range(50):
            reader.read(limit)
            if not reader.more:
                break
    last_event(FILE)
    whole = LogReader(FILE)
    found = whole.read()
    writer = LogWriter(FILE)
    writer.append("warning", message="after it")
    writer.close()
    after = LogReader(FILE).read()
    assert after[:-1] == found
    append_shared(FILE, "stop", {"id": "x", "run": None}, t=0.0)
    assert len(LogReader(FILE).read()) == len(after) + 1


def fold(data: bytes) -> None:
    """An experiment with arbitrary logs, and its display."""
    own, _, run = data.partition(b"\xff")
    both = [{"run": f"{model}-s0", "model": model, "seed": 0} for model in CONFIG.models]
    queued = b"".join(events.encode("run_queued", each, seq=0, t=0.0) for each in both)
    EXPERIMENT.events.write_bytes(queued + lines(own))
    EXPERIMENT.run("se-s0").events.write_bytes(lines(run))
    EXPERIMENT.run("base-s0").events.write_bytes(lines(own))
    follower = Follower(EXPERIMENT)
    for _ in range(1000):
        follower.poll(limit=4096)
        if not follower.behind:
            break
    follower.situation()
    follower.troubles()
    durations.experiment_eta(follower.state.runs.values())
    for each in follower.state.runs.values():
        assert all(before < after for before, after in zip(each.steps, each.steps[1:], strict=False))
        durations.eta_seconds(each)
        assert 0 <= each.progress <= 1
        assert each.step >= 0
    summary = summarise(follower)
    json.dumps(summary_json(summary), allow_nan=False)
    for line in comparison_table(summary, find_remarks(follower, summary), width=100):
        assert not text.has_control_characters(line)


def manifest(data: bytes) -> None:
    path = FOLDER / "other" / "experiment.json"
    path.write_bytes(data)
    try:
        found = Manifest.read(path)
    except RunsError as error:
        _one_line(error)
    else:
        json.dumps(found.to_json())


def from_json(data: bytes) -> None:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(values, dict):
        return
    try:
        found = config.ExperimentConfig.from_json(values)
    except options.ConfigError as error:
        _one_line(error)
    else:
        assert config.ExperimentConfig.from_json(found.to_json()) == found


def toml(data: bytes) -> None:
    FILE.write_bytes(data)
    found = config_file.read(FILE)
    for problem in found.problems:
        assert not text.has_control_characters(problem), problem
    UiOptions(**found.fields(UI_OPTIONS), keymap=found.keymap)
    try:
        config.ExperimentConfig(**found.experiment())
    except options.ConfigError as error:
        _one_line(error)


def index(data: bytes) -> None:
    (FOLDER / "LATEST.json").write_bytes(data)
    for item in checkpoint.latest(FOLDER):
        assert "/" not in item.file


def archive(data: bytes) -> None:
    """A checkpoint that is in no index, and arrays: all are zip archives."""
    try:
        checkpoint._check_archive(data, checksums=True)
    except checkpoint.CheckpointError as error:
        _one_line(error)
    FILE.write_bytes(data)
    try:
        archives.read_archive(FILE)
    except archives.ArchiveError as error:
        _one_line(error)
    try:
        predictions.load_predictions(FILE)
    except predictions.PredictionsError as error:
        _one_line(error)


def torch_checkpoint(data: bytes) -> None:
    (FOLDER / "checkpoints" / "step-00000001.pt").write_bytes(data)
    skipped: list[str] = []
    for _, found in checkpoint.newest_first(FOLDER / "checkpoints", skipped):
        assert isinstance(found, dict)


def small(data: bytes) -> None:
    """The little files: who supervises, signs of life, a worker's last words, commands down the pipe."""
    FILE.write_bytes(data)
    liveness.age(FILE)
    liveness.Identity.from_json((files.read_json(FILE) or {}).get("identity"))
    assert not text.has_control_characters(workers.last_lines(FILE).replace("\n", "").replace("\t", ""))
    with Signals([]) as signals, FILE.open("rb") as commands:
        pipe = CommandPipe(commands.fileno(), signals)
        while not pipe.abandoned:
            pipe.take()
    shown = text.safe_text(data.decode("utf-8", "surrogateescape"), one_line=True)
    assert not text.has_control_characters(shown)
    assert text.safe_text(shown) == shown


def history(data: bytes) -> None:
    """The list of experiments with arbitrary cache and logs, and its updates of the screen."""
    cache, _, logs = data.partition(b"\xff")
    kept = entries._cache_file(EXPERIMENT.path.parent)
    assert kept is not None
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(cache)
    own, _, run = logs.partition(b"\xff")
    both = [{"run": f"{model}-s0", "model": model, "seed": 0} for model in CONFIG.models]
    queued = b"".join(events.encode("run_queued", each, seq=0, t=0.0) for each in both)
    EXPERIMENT.events.write_bytes(queued + lines(own))
    EXPERIMENT.run("se-s0").events.write_bytes(lines(run))
    found = entries.open_history(EXPERIMENT.path.parent)
    for entry in found.look():
        assert entries.from_json(json.loads(json.dumps(entries.to_json(entry)))) == entry
    entries.keep(found)
    again = [entry.id for entry in entries.open_history(EXPERIMENT.path.parent).look()]
    assert set(again) == {EXPERIMENT.id}


def _one_line(error: Exception) -> None:
    assert str(error)
    assert not text.has_control_characters(str(error)), str(error)


READERS: list[Callable[[bytes], None]] = [
    codec,
    log_reader,
    fold,
    manifest,
    from_json,
    toml,
    index,
    archive,
    torch_checkpoint,
    small,
    history,
]


def one_input(data: bytes) -> None:
    """The entry point for libFuzzer."""
    if data:
        READERS[data[0] % len(READERS)](data[1:])


# ---- where it starts from


def seeds() -> dict[str, bytes]:
    """A few realistic inputs for each reader."""
    metrics: dict[str, object] = {"epoch": 1, "step": [1, 2], "loss": [2.5, "NaN"], "accuracy": [0.1, 0.2]}
    ended: dict[str, object] = {"state": "finished", "reason": None, "traceback": None, "epoch": 2, "step": 9}
    samples: list[tuple[str, dict[str, object]]] = [
        ("experiment_started", {"experiment": "x", "devices": ["cpu"], "jobs": 1, "resumed": False}),
        ("run_started", {"run": "se-s0", "device": "cpu", "worker": 7, "attempt": 1}),
        ("run_ended", {"run": "se-s0", "state": "failed", "reason": "why"}),
        ("metrics", metrics | {"train_seconds": 1.5}),
        ("resumed", {"from_step": 1, "epoch": 0, "skipped": ["step-00000002.pt (its digest is wrong)"]}),
        ("probe", {"epoch": 1, "file": "epoch-00001.npz", "gates": {"se1": [0.5]}}),
        ("ended", ended | {"weights_sha256": "00"}),
        ("control_ack", {"id": "a", "command": "stop", "run": None, "result": "done"}),
    ]
    logged = [events.encode(type_, data, seq=seq, t=1.0)[:-1] for seq, (type_, data) in enumerate(samples)]
    bodies = [line[: line.rindex(b',"crc"')] + b"}" for line in logged]
    described = Manifest(
        id="x",
        created=1.0,
        config=CONFIG,
        threads=2,
        devices=("cpu",),
        precision="fp32",
        data={"root": "/", "version": "1"},
        versions={},
        host="h",
    )
    packed = io.BytesIO()
    import numpy as np

    np.savez_compressed(packed, logits=np.zeros((3, 2), np.float32), labels=np.zeros(3, np.int64))
    saved = io.BytesIO()
    import torch

    torch.save({"format": 1, "losses": torch.zeros(2)}, saved)
    latest = {"checkpoints": [{"file": "step-00000001.pt", "step": 1, "epoch": 1, "size": 9, "sha256": "00"}]}
    identity = json.dumps({"identity": liveness.identity().to_json()}).encode()
    line = entries.to_json(entries.Entry(id="experiment", state="finished", created=1.0, models=("base", "se")))
    kept = {"version": 1, "entries": {"experiment": {"stamp": [1, 2], "entry": line}}}
    found = {
        "codec": bodies[3],
        "log_reader": b"\x10" + b"\n".join(bodies) + b"\xff!torn" + b"\xff\xfe" + bodies[0],
        "fold": b"\n".join(bodies[:3]) + b"\xff" + b"\n".join(bodies[3:]),
        "manifest": json.dumps(described.to_json()).encode(),
        "from_json": json.dumps(OWN.to_json()).encode(),
        "toml": b'models = ["base"]\nepochs = 3\nlr = 0.1\nname = "x"\ntheme = "light"\n[keys]\nhelp = "f5"\n',
        "index": json.dumps(latest).encode(),
        "archive": packed.getvalue(),
        "torch_checkpoint": saved.getvalue(),
        "small": identity,
        "history": json.dumps(kept).encode() + b"\xff" + b"\n".join(bodies[:3]) + b"\xff" + b"\n".join(bodies[3:]),
    }
    names = [reader.__name__ for reader in READERS]
    more = {f"event-{number}": b"\x00" + body for number, body in enumerate(bodies)}
    return {name: bytes([names.index(name)]) + data for name, data in found.items()} | more


def main() -> None:
    os.environ["XDG_CACHE_HOME"] = str(FOLDER / "cache")
    for folder in (EXPERIMENT.path, FOLDER / "other", FOLDER / "checkpoints"):
        folder.mkdir(parents=True)
    for model in CONFIG.models:
        EXPERIMENT.run(f"{model}-s0").make()
    write_manifest(
        EXPERIMENT,
        Manifest(
            id="experiment",
            created=1.0,
            config=CONFIG,
            threads=1,
            devices=("cpu",),
            precision="fp32",
            data={},
            versions={},
            host="h",
        ),
    )
    start = FOLDER / "seeds"
    start.mkdir()
    for name, data in seeds().items():
        (start / name).write_bytes(data)
    kept = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if not kept:
        (FOLDER / "corpus").mkdir()
        kept = [str(FOLDER / "corpus")]
    options = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    atheris.Setup([sys.argv[0], *options, *kept, str(start)], one_input)
    atheris.Fuzz()


def tidily(fuzz: Callable[[], None]) -> int:
    """Fuzz in a child process, because libFuzzer never returns, and remove its folder afterwards."""
    child = os.fork()
    if child == 0:
        fuzz()
        os._exit(0)
    with contextlib.suppress(KeyboardInterrupt):
        _, status = os.waitpid(child, 0)
        shutil.rmtree(FOLDER, ignore_errors=True)
        return os.waitstatus_to_exitcode(status)
    return 130


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(tidily(main))
