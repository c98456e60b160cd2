"""All interventions on one trained network against one training epoch of it, in one process, in turns.

    python benchmarks/intervention_costs.py [--models se] [--dataset mnist] [--repeats 3] [--device cpu] [--threads N]

Both on the whole data set: an epoch is what the worker calls `train_seconds`, without evaluation and probes. Printed
are the medians of the wall times and of the processor times of all threads, and the ratios of the medians; on a machine
that others use as well, look at the latter.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tui_attn import data
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.reducer import RunState
from tui_attn.experiment.writing import make_experiment, write_manifest
from tui_attn.launch import devices
from tui_attn.train.interventions import intervene
from tui_attn.train.worker_context import WorkerContext

Times = list[tuple[float, float]]
"""Wall and processor seconds."""


def timed(what: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    what()
    return time.perf_counter() - wall, time.process_time() - cpu


def experiment(folder: Path, arguments: argparse.Namespace) -> ExperimentDir:
    config = ExperimentConfig(
        models=tuple(arguments.models.split(",")), dataset=arguments.dataset, epochs=100, device=arguments.device
    )
    located = data.ensure(config.dataset)
    where: dict[str, Any] = {"root": str(located.root), "files": [str(file) for file in located.files]}
    where |= {"source": located.source, "version": located.version}
    made = make_experiment(folder, config)
    manifest = Manifest(
        id=made.id,
        created=time.time(),
        config=config,
        threads=arguments.threads,
        devices=(arguments.device,),
        precision=config.precision,
        data=where,
        versions={},
        host="here",
    )
    write_manifest(made, manifest)
    return made


def epoch(session: Any) -> None:
    """The training steps of one epoch."""
    while not session._trainer.at_end_of_epoch:
        session.train_to_point(lambda: False)
    session._trainer.end_epoch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--models", default="se,self-attention")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=devices.threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        made = experiment(Path(name), arguments)
        manifest = made.manifest_data()
        context = WorkerContext(made, manifest, arguments.device)
        images = context.images
        for model in manifest.config.models:
            context.open(f"{model}-s0")
            session = context.session(f"{model}-s0")
            run = RunState(f"{model}-s0", model, 0, about={"precision": session._trainer.precision})
            print(f"{model} on {arguments.device}, {session._trainer.precision}, {arguments.threads} threads")
            epochs, interventions = Times(), Times()
            for _ in range(arguments.repeats):
                epochs.append(timed(lambda: epoch(session)))  # noqa: B023
                network: Any = session._trainer.network
                interventions.append(timed(lambda: intervene(network, run, images, lambda: None)))  # noqa: B023
            for index, kind in enumerate(("wall", "processor")):
                whole = statistics.median(times[index] for times in epochs)
                part = statistics.median(times[index] for times in interventions)
                print(f"  {kind:<10} epoch {whole:6.2f} s   interventions {part:6.2f} s   ratio {part / whole:.2f}")
            context.close(f"{model}-s0")


if __name__ == "__main__":
    main()
