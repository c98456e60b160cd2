"""The weights of finished runs as a folder each, in the layout of the Hugging Face hub.

model.safetensors, config.json, README.md (a model card) and the network's code.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tui_attn
from tui_attn import data
from tui_attn.compare.archives import ArchiveError, read_weights
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import ModelSummary, Summary, summarise
from tui_attn.compare.wording import interval_percent, verdict_sentence
from tui_attn.experiment.custom_model import CustomModelError, read_source, sha256
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.model_info import attention_of, info_of
from tui_attn.experiment.reducer import RunState
from tui_attn.export.outfolder import ExportError, OutFolder
from tui_attn.system.text import percent, safe_text

if TYPE_CHECKING:
    from jinja2 import Template

_HUB = {"mnist": "mnist", "fashion-mnist": "fashion_mnist", "cifar10": "cifar10", "cifar100": "cifar100"}
"""Data set -> its name on the hub."""
OWN_MODULE = "network"
"""Name of the exported file of a custom model, as a Python module."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|])")


def write_weights(follower: Follower, out: OutFolder, only: str | None = None) -> list[str]:
    """Write a folder for each finished run, or for the one called `only`; returns why runs were left out.

    The weights are a copy of the training's file, whose digest is checked. Raises `ExportError` where no run can be
    exported.
    """
    summary = summarise(follower)
    problems: list[str] = []
    written = 0
    for run in _asked(follower, only):
        if not run.about:
            problems.append(f"{run.id}: its log doesn't say what it is")
            continue
        try:
            weights = read_weights(follower.folder.run(run.id), run.weights_sha256)
            code = _network_code() if info_of(run.model) else _own_code(follower, run.model)
        except (ArchiveError, CustomModelError) as error:
            problems.append(f"{run.id}: {'' if isinstance(error, CustomModelError) else 'weights.safetensors '}{error}")
            continue
        card = Card(follower, summary, run)
        files = {
            "model.safetensors": weights,
            "config.json": json.dumps(card.config(), indent=2).encode() + b"\n",
            "README.md": card.text().encode(),
            **code,
        }
        for name, content in files.items():
            with out.file(f"{run.id}/{name}") as file:
                file.write(content)
        written += 1
    if not written:
        raise ExportError(problems[0] if problems else f"{follower.folder.id} has no finished run to export")
    return problems


def _asked(follower: Follower, only: str | None) -> list[RunState]:
    runs = [run for run in follower.state.runs.values() if only in {None, run.id}]
    finished = [run for run in runs if run.state == "finished" and run.epochs]
    if only is not None and runs and not finished:
        raise ExportError(f"{only} is {runs[0].state}, not finished: its weights are not final")
    return finished


def _network_code() -> dict[str, bytes]:
    """The files of `tui_attn.models` and their licence by name, read without importing them."""
    folder = Path(tui_attn.__file__).parent / "models"
    found = {f"models/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}
    for path in importlib.metadata.files("tui-attn") or ():
        if path.name == "LICENSE":
            found["models/LICENSE"] = path.read_binary()
    return found


def _own_code(follower: Follower, model: str) -> dict[str, bytes]:
    """The file of a custom model. Raises `CustomModelError` where it was altered."""
    source = read_source(follower.folder.custom_model(model), follow_links=False)
    if sha256(source) != follower.manifest.config.custom_model(model).sha256:
        raise CustomModelError("the code of its network was altered since it was trained")
    return {f"{OWN_MODULE}.py": source}


# ---- the model card


@dataclass(frozen=True, slots=True)
class Card:
    """The model card of one finished run."""

    follower: Follower
    summary: Summary
    run: RunState

    @property
    def entry(self) -> ModelSummary:
        """The model's part of the comparison."""
        return self.summary.get(self.run.model)

    def config(self) -> dict[str, Any]:
        """The content of config.json: the arguments of the network, then how it was trained."""
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
        """The arguments of the network's class, and the normalisation of images; empty where unknown."""
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
        """README.md: metadata, description, results and their limits, how to load the weights."""
        network, custom = self._network(), info_of(self.run.model) is None
        known = [name for name in ("in_channels", "image_size", "num_classes") if name in network]
        arguments = ", ".join(f"{network[name]}" if custom else f"{name}={network[name]}" for name in known)
        manifest = self.follower.manifest
        return _template().render(
            metadata=self._metadata(),
            entry=self.entry,
            dataset=_title(manifest.config.dataset),
            run=self.run,
            summary=self.summary,
            manifest=manifest,
            verdict=verdict_sentence(self.summary, self.run.model),
            remarks=find_remarks(self.follower, self.summary, commands=False),
            custom=custom,
            module=OWN_MODULE if custom else "models",
            network=network,
            arguments=arguments or "...",
        )

    def _metadata(self) -> dict[str, Any]:
        """The metadata of the hub, as JSON values, which are valid YAML."""
        dataset = self.follower.manifest.config.dataset
        value = _finite(self.run.epochs[-1].test_accuracy)
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"name": _title(dataset), "type": _HUB.get(dataset, "custom"), "split": "test"},
            "metrics": [{"type": "accuracy", "name": "test accuracy", "value": value}],
        }
        attends = attention_of(self.run.model) != "none"
        found: dict[str, Any] = {
            "library_name": "pytorch",
            "pipeline_tag": "image-classification",
            "tags": ["tui-attn", self.run.model, *(["channel-attention"] if attends else [])],
            "metrics": ["accuracy"],
        }
        if dataset in _HUB:
            found["datasets"] = [_HUB[dataset]]
        return found | {"model-index": [{"name": f"{self.summary.experiment}/{self.run.id}", "results": [result]}]}


def _title(dataset: str) -> str:
    return data.DATASETS[dataset].title if dataset in data.DATASETS else dataset


def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(  # noqa: S701  Markdown: every value that is not marked as raw is escaped by `plain`
        loader=PackageLoader("tui_attn.export"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, Markup) else plain(value),
    )
    environment.filters |= {
        "raw": Markup,
        "as_json": lambda value: Markup(json.dumps(value)),  # noqa: S704
        "percent": percent,
        "interval_percent": interval_percent,
        "numbers": lambda values: ", ".join(f"{value:g}" for value in values),
    }
    return environment.get_template("card.md.j2")


def plain(text: object) -> str:
    """`text` safe to show, with everything escaped that Markdown or HTML would interpret."""
    return _MARKDOWN.sub(r"\\\1", safe_text(text, one_line=True))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
