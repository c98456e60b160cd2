"""Cost of checkpoints: `python -m benchmarks.checkpoint_overhead`.

Trains full epochs of each model in one process, alternating epochs with and without checkpoints (one a second), and
compares their medians: wall time, and the processor time of the process, which other programs affect less (least with
one thread, `--threads 1`, because waiting threads spin). It also adds up the cost of the checkpoints themselves: the
time for which training waits for them, and the processor time of the thread that writes them.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from tui_attn import data
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.writing import make_experiment, write_manifest
from tui_attn.launch import devices
from tui_attn.train import checkpoint
from tui_attn.train.session import Session
from tui_attn.train.worker_context import WorkerContext


class Clock:
    """Adds up how long something takes."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, call: Any, *, thread: bool = False) -> Any:
        """`call`, timed in wall time, or in processor time of its thread."""
        clock = time.thread_time if thread else time.perf_counter

        def timed(*arguments: Any, **options: Any) -> Any:
            begin = clock()
            try:
                return call(*arguments, **options)
            finally:
                self.seconds += clock() - begin

        return timed


def make(folder: Path, given: argparse.Namespace) -> ExperimentDir:
    """An experiment to train in this process."""
    config = ExperimentConfig(
        models=tuple(given.models.split(",")), dataset=given.dataset, epochs=1000, train_limit=given.train_limit
    )
    located = data.ensure(config.dataset, None)
    experiment = make_experiment(folder, config)
    where = {
        "root": str(located.root),
        "files": [str(file) for file in located.files],
        "source": located.source,
        "version": located.version,
    }
    manifest = Manifest(
        id=experiment.id,
        created=time.time(),
        config=config,
        threads=torch.get_num_threads(),
        devices=(given.device,),
        precision="auto",
        data=where,
        versions={},
        host="",
    )
    write_manifest(experiment, manifest)
    return experiment


def epoch(session: Session) -> tuple[float, float]:
    """Wall and processor seconds of an epoch, until its last checkpoint is on disk."""
    wall, processor = time.perf_counter(), time.process_time()
    session.train_epoch(lambda: False)
    session._writer.finish_checkpoint()
    return time.perf_counter() - wall, time.process_time() - processor


def measure(session: Session, rounds: int) -> dict[str, float]:
    """Medians of epochs with and without checkpoints, and the shares of the checkpoints themselves."""
    waited, wrote = Clock(), Clock()
    write, pack = checkpoint.write, torch.save
    keep = session._checkpoint
    session._checkpoint = waited.around(keep)  # type: ignore[method-assign]
    session._writer.finish_checkpoint = waited.around(session._writer.finish_checkpoint)  # type: ignore[method-assign]
    checkpoint.write, torch.save = wrote.around(write, thread=True), wrote.around(pack, thread=True)
    epoch(session)  # warm up
    waited.seconds = wrote.seconds = 0.0
    times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for number in range(2 * rounds):
        with_it = number % 4 in {0, 3}  # with, without, without, with: a drift favours neither
        session._checkpoint = waited.around(keep) if with_it else (lambda: None)  # type: ignore[method-assign]
        times[with_it].append(epoch(session))
    checkpoint.write, torch.save = write, pack
    total = sum(wall for wall, _ in times[True])
    wall, processor = (
        [statistics.median(each[kind] for each in times[with_it]) for with_it in (True, False)] for kind in (0, 1)
    )
    return {
        "wall": wall[0] / wall[1],
        "processor": processor[0] / processor[1],
        "epoch": wall[1],
        "waited": waited.seconds / total,
        "wrote": wrote.seconds / total,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="base,se,self-attention")
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=4, help="epochs with and without, each")
    parser.add_argument("--train-limit", type=int, default=None)
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args()
    torch.set_num_threads(given.threads or devices.threads())
    print("                epoch without      with / without        of the epoch")
    print("model              checkpoint     wall   processor   waited for   written")
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".overhead-") as name:
        experiment = make(Path(name), given)
        context = WorkerContext(experiment, experiment.manifest_data(), given.device)
        for model in experiment.manifest_data().config.models:
            context.open(f"{model}-s0")
            found = measure(context.session(f"{model}-s0"), given.rounds)
            context.close(f"{model}-s0")
            print(
                f"{model:<15} {found['epoch']:>11.2f} s {found['wall']:>8.3f} {found['processor']:>11.3f}"
                f" {found['waited']:>12.3%} {found['wrote']:>9.3%}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
