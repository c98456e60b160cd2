"""The description of a run in its log: network, data, device and versions."""

from __future__ import annotations

import os
import socket
from typing import Any

import torch

from tui_attn.experiment.model_info import twin_of
from tui_attn.system import machine
from tui_attn.train import fast, networks
from tui_attn.train.accelerator import device_name, gpu_facts
from tui_attn.train.trainer import Trainer


def of_run(trainer: Trainer, called: str) -> dict[str, Any]:
    """The payload of its `started` event, apart from what the session adds; `called`: the device in the experiment."""
    config, data = trainer.config, trainer.data
    return {
        "model": trainer.model,
        "class": config.class_name(trainer.model),
        "seed": trainer.seed,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "cpu": machine.cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": called,
        **({"mix_devices": True} if config.mix_devices else {}),
        **({"kernels": trainer.kernels_used} if trainer.kernels_used else {}),
        "device_name": device_name(trainer.device),
        **gpu_facts(trainer.device),
        "precision": trainer.precision,
        "threads": torch.get_num_threads(),
        "epochs": config.epochs,
        **({} if config.steps is None else {"steps": config.steps}),
        **({} if config.validation is None else {"validation": config.validation}),
        "steps_per_epoch": trainer.steps_per_epoch,
        "batch_size": config.batch_size,
        "train_size": len(data.train_labels),
        "test_size": len(data.test_labels),
        "parameters": networks.count_parameters(trainer.network),
        **_macs(trainer),
        "class_names": list(data.class_names),
        "dataset": config.dataset,
        "torch": torch.__version__,
        **_start(trainer),
        **({} if twin_of(trainer.model) is None else {"labels": "random"}),
    }


def _macs(trainer: Trainer) -> dict[str, Any]:
    """Multiply-accumulates of one image's forward pass: of the module as written, and as this device runs it."""
    written = networks.macs(trainer.model, trainer.network, trainer.data)
    merged = fast.macs(trainer.network) if trainer.kernels_used == "onednn" else None
    return {"macs": written, "macs_as_run": written if merged is None else merged}


def _start(trainer: Trainer) -> dict[str, Any]:
    """The digest of the weights that a custom model begins with: its seeds may all begin alike."""
    if networks.keeps_layout(trainer.model):
        return {}
    return {"start_sha256": networks.weights_sha256(networks.plain_weights(trainer.network.state_dict()))}
