"""Whether a device trains the lab's networks by graphs, and how fast: `python -m tui_attn.train.device_check DEVICE`.

Prints a line of JSON for each model and precision: `model`, `precision`, `graphed`, `reason`, `images_per_second` and,
of graphs, `unfused`: why they don't pool by one kernel, or null.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import torch

from tui_attn.models import MODELS
from tui_attn.train.accelerator import synchronise
from tui_attn.train.graphed_steps import GraphedSteps
from tui_attn.train.step import PrecisionError, Stepper, choose_precision
from tui_attn.train.tensors import Images
from tui_attn.train.worker_context import be_reproducible, explain

LAB = ("base", "se", "self-attention")
BATCH, INTERVAL = 128, 9
SECONDS = 0.5
"""The time for which each is measured."""


def check(device: torch.device, model: str, precision: str, data: Images) -> dict[str, Any]:
    """Try the graphs of `model` as a worker does, and time some epochs. Raises whatever torch raises."""
    choose_precision(precision, device)
    torch.manual_seed(0)
    stepper = Stepper(MODELS[model](), device, precision, lr=0.001, mean=data.mean, std=data.std)
    steps = GraphedSteps(stepper, data, BATCH, INTERVAL, ())
    reason = steps.capture()
    _epoch(steps, data)  # a warm-up
    synchronise(device)
    trained, begin, seconds = 0, time.perf_counter(), 0.0
    while not trained or seconds < SECONDS:
        _epoch(steps, data)
        synchronise(device)
        trained, seconds = trained + len(data.train_labels), time.perf_counter() - begin
    found = {"graphed": reason is None, "reason": reason, "images_per_second": round(trained / seconds)}
    return found | ({"unfused": steps.unfused} if steps.graphed else {})


def _epoch(steps: GraphedSteps, data: Images) -> None:
    size = len(data.train_labels)
    steps.begin_epoch(torch.arange(size), None, 0)
    position = 0
    while position * BATCH < size:
        count, batch = steps.next_steps(position)
        steps.train(count, batch)
        position += count
    steps.take_results()


def main(device_name: str) -> int:
    """Check all of them."""
    device = torch.device(device_name)
    be_reproducible()
    generator = torch.Generator().manual_seed(0)
    size = BATCH * INTERVAL
    images = torch.randint(0, 256, (size, 1, 28, 28), generator=generator).to(torch.uint8).to(device)
    labels = torch.randint(0, 10, (size,), generator=generator).to(device)
    data = Images(images, labels, images, labels, tuple("0123456789"), (0.286,), (0.353,))
    for precision in ("fp32", "bf16"):
        for model in LAB:
            try:
                found = check(device, model, precision, data)
            except PrecisionError:
                found = {"impossible": True}
            except Exception as error:  # whatever the device or its libraries raise
                found = {"error": explain(error)}
            print(json.dumps({"model": model, "precision": precision, **found}), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1])
    os._exit(code)  # a compiler of kernels may still be at work in its thread
