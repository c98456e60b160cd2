"""A model card and a configuration for the weights of one run, in the layout of the Hugging Face hub."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from tui_attn import data
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import ModelSummary, Summary
from tui_attn.compare.wording import interval_percent, percent, verdict_sentence
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.model_info import MODELS, attention_of
from tui_attn.experiment.reducer import RunState
from tui_attn.system.text import safe_text

TITLES = {"mnist": "MNIST", "fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
_HUB = {"mnist": "mnist", "fashion-mnist": "fashion_mnist", "cifar10": "cifar10", "cifar100": "cifar100"}
"""What the hub calls the data sets that it has."""
OWN_MODULE = "network"
"""Name of the exported file of a custom model, as a Python module."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|])")


@dataclass(frozen=True, slots=True)
class Card:
    """What is said of one finished run."""

    follower: Follower
    summary: Summary
    run: RunState

    @property
    def entry(self) -> ModelSummary:
        """The model's part of the comparison."""
        return self.summary.get(self.run.model)

    def config(self) -> dict[str, Any]:
        """What config.json holds: first what the network is made with, then how it came about."""
        config, manifest, last = self.follower.manifest.config, self.follower.manifest, self.run.epochs[-1]
        return {
            "architecture": self.entry.class_name,
            **self._network(),
            "model": self.run.model,
            "seed": self.run.seed,
            "experiment": manifest.id,
            "dataset": config.dataset,
            "dataset_version": manifest.data.get("version"),
            "class_names": self.run.about.get("class_names"),
            "training": {
                "epochs": self.run.about.get("epochs"),
                "batch_size": self.run.about.get("batch_size"),
                "optimizer": "Adam",
                "learning_rate": config.lr,
                "augment": list(config.augment),
                "train_images": self.run.about.get("train_size"),
                "precision": self.run.about.get("precision"),
                "device": self.run.about.get("device"),
                "versions": manifest.versions,
            },
            "results": {
                "test_images": self.run.about.get("test_size"),
                "test_accuracy": _finite(last.test_accuracy),
                "test_loss": _finite(last.test_loss),
            },
            "parameters": self.entry.parameters,
            "macs": self.entry.macs,
            "weights_sha256": self.run.weights_sha256,
        }

    def _network(self) -> dict[str, Any]:
        """The arguments of the network's class, and how its images are prepared; nothing where it isn't known."""
        try:
            info = data.dataset_info(self.follower.manifest.config.dataset)
        except data.DataError:
            return {}
        return {
            "in_channels": info.channels,
            "image_size": info.image_size,
            "num_classes": len(info.class_names),
            "normalisation": {"mean": list(info.mean), "std": list(info.std)},
        }

    def text(self) -> str:
        """README.md: metadata, what it is, its results and what they don't say, how to load it."""
        parts = [self._metadata(), self._head(), self._results(), self._loading(), self._training()]
        return "\n\n".join(parts) + "\n"

    def _metadata(self) -> str:
        """YAML, of which JSON is a part."""
        dataset = self.follower.manifest.config.dataset
        title = TITLES.get(dataset, dataset)
        value = _finite(self.run.epochs[-1].test_accuracy)
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"name": title, "type": _HUB.get(dataset, "custom"), "split": "test"},
            "metrics": [{"type": "accuracy", "name": "test accuracy", "value": value}],
        }
        lines: dict[str, Any] = {
            "library_name": "pytorch",
            "pipeline_tag": "image-classification",
            "tags": [
                "tui-attn",
                self.run.model,
                *(["channel-attention"] if attention_of(self.run.model) != "none" else []),
            ],
            "metrics": ["accuracy"],
        }
        if dataset in _HUB:
            lines["datasets"] = [_HUB[dataset]]
        lines["model-index"] = [{"name": f"{self.summary.experiment}/{self.run.id}", "results": [result]}]
        return "\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in lines.items()), "---"])

    def _head(self) -> str:
        config, about = self.follower.manifest.config, self.run.about
        name = f" ({plain(config.name)})" if config.name else ""
        macs = self.entry.macs
        effort = "" if macs is None else f"takes {macs:,} multiply-accumulates an image, and "
        dataset = plain(TITLES.get(config.dataset, config.dataset))
        return (
            f"# {self.entry.class_name} on {dataset}, seed {self.run.seed}\n\n"
            f"One network of the tui-attn experiment {plain(self.summary.experiment)}{name}, which compares "
            f"{', '.join(plain(entry.model) for entry in self.summary.models)}. It has "
            f"{self.entry.parameters:,} parameters, {effort}"
            f"was trained for {about['epochs']} epochs. The last epoch is the result; it was fixed beforehand, and "
            "nothing was chosen by the test set."
        )

    def _results(self) -> str:
        last, entry = self.run.epochs[-1], self.entry
        lines = [
            f"This network: test accuracy **{percent(last.test_accuracy)} %** on {self.run.about['test_size']:,} "
            f"images, test loss {last.test_loss:.4f}."
        ]
        if self.run.about["precision"] == "bf16":
            lines.append("It was measured with bfloat16 autocast: in float32 a few images may come out otherwise.")
        counted = len(entry.counted)
        if entry.ci95 is not None:
            lines.append(
                f"Its model over {counted} seeds: {percent(entry.accuracy)} % on average, "
                f"95 % interval of the mean {interval_percent(entry.ci95)} %."
            )
        elif counted == 1:
            lines.append("One seed was trained: how much another seed would change isn't known.")
        verdict = verdict_sentence(self.summary, self.run.model)
        lines += [f"{plain(verdict)}."] if verdict else []
        remarks = find_remarks(self.follower, self.summary, commands=False)
        lines.append("A single network is one draw: take the seeds' mean, not this network's figure, for the model's.")
        lines += [f"{plain(remark)}." for remark in remarks]
        return "\n".join(["## Results", "", *(f"- {line}" for line in lines)])

    def _loading(self) -> str:
        known, own = self._network(), self.run.model not in MODELS
        names = ("in_channels", "image_size", "num_classes")
        values = [f"{known[name]}" if own else f"{name}={known[name]}" for name in names if name in known]
        where = (
            f"The file `{OWN_MODULE}.py` beside this one is the network's code, as it was trained."
            if own
            else "The folder `models` beside this file holds the network as plain PyTorch (MIT licence, see there)."
        )
        lines = [
            "## Load it",
            "",
            where,
            "",
            "```python",
            "from safetensors.torch import load_file",
            f"from {OWN_MODULE if own else 'models'} import {self.entry.class_name}",
            "",
            f"network = {self.entry.class_name}({', '.join(values) or '...'})",
            'network.load_state_dict(load_file("model.safetensors"))',
            "network.eval()",
            "```",
        ]
        if known:
            mean, std = (", ".join(f"{value:g}" for value in known["normalisation"][key]) for key in ("mean", "std"))
            lines += [
                "",
                f"Images are float32 (batch, {known['in_channels']}, {known['image_size']}, {known['image_size']}): "
                f"pixels scaled to [0, 1], less {mean}, divided by {std}. The output is a logit for each class.",
            ]
        return "\n".join(lines)

    def _training(self) -> str:
        config, about, manifest = self.follower.manifest.config, self.run.about, self.follower.manifest
        rows = [
            ("data set", config.dataset),
            ("training images", f"{about['train_size']:,}"),
            ("batch size", about["batch_size"]),
            ("optimiser", f"Adam, learning rate {config.lr:g}"),
            ("augmentation", ", ".join(config.augment) or "none"),
            ("precision", about["precision"]),
            ("device", about.get("device_name") or about["device"]),
            ("torch", manifest.versions.get("torch")),
            ("SHA-256 of the weights", self.run.weights_sha256),
        ]
        table = [f"| {name} | {plain(value)} |" for name, value in rows]
        return "\n".join(["## Training", "", "| setting | value |", "| --- | --- |", *table])


def plain(text: object) -> str:
    """`text` safe to show and without anything that Markdown or HTML would take for its own."""
    return _MARKDOWN.sub(r"\\\1", safe_text(text, one_line=True))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
