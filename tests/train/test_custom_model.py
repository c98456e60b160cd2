"""A custom model in training: the same bits whatever interrupts it, and code from nowhere else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.sessions import after, context, digest, fold, make, never, train
from tui_attn.experiment import trust
from tui_attn.experiment.custom_model import CustomModelError, sha256
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.writing import write_manifest
from tui_attn.launch import custom_models
from tui_attn.models import MODELS
from tui_attn.train import custom_model
from tui_attn.train.step import use_exact_float32

NET = """
import torch
from torch import nn
from tui_attn.models import SEBlock

class Net(nn.Module):
    '''Everything that a resumption could get wrong: running statistics, dropout, noise in evaluation too.'''

    def __init__(self, in_channels, image_size, num_classes):
        super().__init__()
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        torch.set_default_dtype(torch.float32)
        self.conv = nn.Conv2d(in_channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.se = SEBlock(8)
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(8 * (image_size // 4) ** 2, num_classes)
        self.eval()

    def forward(self, x):
        print("to nobody")
        x = self.se(torch.relu(self.norm(nn.functional.max_pool2d(self.conv(x), 4))))
        x = x.view(x.size(0), -1)
        return self.fc(self.drop(x)) + 0.001 * torch.rand(1)
"""
RUN = "net-net-s0"


pytestmark = pytest.mark.usefixtures("own_folders")


def with_net(folder: Path, source: str = NET, *, trusted: bool = True, models: tuple[str, ...] = ()) -> ExperimentDir:
    """An experiment with `source` as a custom model."""
    experiment = make(folder, models=(*models, "/somewhere/net.py:Net"), train_limit=300, test_limit=50)
    manifest = experiment.manifest_data()
    content = source.encode()
    model = replace(manifest.config.custom_models[0], sha256=sha256(content))
    custom_models.keep(experiment, [custom_models.Source(model, content)])
    write_manifest(experiment, replace(manifest, config=replace(manifest.config, custom_models=(model,))))
    if trusted:
        trust.trust(sha256(content))
    return experiment


def test_interrupted_after_every_step_and_resumed_gives_the_same_bits(tmp_path: Path) -> None:
    whole = train(context(with_net(tmp_path / "whole")), RUN)
    experiment = with_net(tmp_path / "cut")
    for _ in range(100):
        made = context(experiment)
        made.open(RUN)
        session = made.session(RUN)
        if session.done:
            break
        session.train_epoch(after(1))
        session.suspend()
    session.finish()
    assert digest(experiment, RUN) == whole
    assert [result.epoch for result in fold(experiment, RUN).epochs] == [1, 2]


def test_its_company_changes_none_of_its_bits_and_it_none_of_theirs(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    alone = {run: train(context(with_net(tmp_path / run, models=("base",))), run) for run in ("base-s0", RUN)}
    experiment = with_net(tmp_path / "both", models=("base",))
    made = context(experiment)
    for run in alone:
        made.open(run)
    for _ in range(2):
        for run in alone:
            made.session(run).train_epoch(never)
    for run in alone:
        made.session(run).finish()
    assert {run: digest(experiment, run) for run in alone} == alone
    assert torch.get_num_threads() == threads


def test_the_log_says_what_it_is(tmp_path: Path) -> None:
    experiment = with_net(tmp_path)
    train(context(experiment), RUN)
    about = fold(experiment, RUN).about
    assert (about["class"], about["model"]) == ("Net", "net-net")
    assert about["parameters"] == 8 * 9 + 8 + 16 + 2 * 8 * 16 + 8 * 49 * 10 + 10
    assert about["macs"] == 8 * 9 * 28 * 28 + 2 * 8 * 16 + 8 * 49 * 10


@pytest.mark.parametrize("name", MODELS)
def test_its_macs_are_counted_as_the_labs_are(name: str, tmp_path: Path) -> None:
    from tui_attn.train import networks

    data = context(make(tmp_path)).images
    network = MODELS[name](data.channels, data.image_size, len(data.class_names))
    assert networks.macs("one's own", network, data) == networks.macs(name, network, data)
    assert network.training


def test_what_can_not_be_counted_is_unknown(tmp_path: Path) -> None:
    source = NET.replace('print("to nobody")', 'assert len(x) > 1, "images come in company"')
    experiment = with_net(tmp_path, source)
    made = context(experiment, probes=False)
    made.open(RUN)
    assert fold(experiment, RUN).about["macs"] is None


def test_weights_under_two_names_are_saved(tmp_path: Path) -> None:
    tied = NET.replace("        self.eval()", "        self.again = self.fc\n        self.eval()")
    train(context(with_net(tmp_path, tied)), RUN)


def test_the_labs_blocks_in_it_are_probed(tmp_path: Path) -> None:
    import numpy as np

    mixed = NET.replace("import SEBlock", "import ChannelSelfAttention, SEBlock").replace(
        "        self.eval()",
        "        self.mix = ChannelSelfAttention((image_size // 4) ** 2, 8, num_heads=2)\n        self.eval()",
    )
    mixed = mixed.replace("        x = x.view(", "        x = self.mix(x.flatten(2))\n        x = x.view(")
    experiment = with_net(tmp_path, mixed)
    train(context(experiment), RUN)
    state = fold(experiment, RUN)
    assert [epoch for epoch, _ in state.probes] == [0, 1, 2]
    assert {layer: len(gates) for layer, gates in state.gates.items()} == {"se": 8}
    with np.load(experiment.run(RUN).probes / "epoch-00002.npz", allow_pickle=False) as arrays:
        assert arrays["se/by_class"].shape == arrays["se/within"].shape == (10, 8)
        assert 0 < arrays["se/by_class"].min() < arrays["se/by_class"].max() < 1
        assert arrays["attention/by_head"].shape == (2, 8, 8)
        np.testing.assert_allclose(arrays["attention/by_class"].sum(-1), 1, atol=1e-4)


def test_the_probe_of_a_model_of_ones_own_is_that_of_the_labs(tmp_path: Path) -> None:
    import numpy as np

    from tui_attn.train import probe

    made = context(make(tmp_path))
    data, probes = made.images, made.probes
    assert probes is not None
    for name in ("se", "self-attention"):
        torch.manual_seed(0)
        network = MODELS[name](data.channels, data.image_size, len(data.class_names))
        theirs, _ = probe.compute(network, probes)()
        own = type("Own", (torch.nn.Module,), {"forward": lambda self, x: self.net(x)})()
        own.net = network
        found, _ = probe.compute(own, probes)()
        assert {key.removeprefix("net.") for key in found} == set(theirs)
        for key, values in found.items():
            np.testing.assert_allclose(values, theirs[key.removeprefix("net.")], atol=1e-6)


def test_without_such_blocks_there_is_no_probe(tmp_path: Path) -> None:
    experiment = with_net(tmp_path, NET.replace("self.se(", "("))
    train(context(experiment), RUN)
    assert fold(experiment, RUN).probes == []


def test_code_that_was_altered_or_never_named_is_not_run(tmp_path: Path) -> None:
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w')\n{NET}"
    experiment = with_net(tmp_path / "strange", trap, trusted=False)
    with pytest.raises(CustomModelError, match="haven't named"):
        context(experiment).open(RUN)
    experiment = with_net(tmp_path / "altered")
    experiment.custom_model("net-net").write_text(trap)
    trust.trust(sha256(trap.encode()))
    with pytest.raises(CustomModelError, match="altered"):
        context(experiment).open(RUN)
    assert not (tmp_path / "sprung").exists()


def test_a_failure_names_the_line_of_the_copy(tmp_path: Path) -> None:
    import traceback

    experiment = with_net(tmp_path, NET.replace('print("to nobody")', "x = x.nothing"))
    made = context(experiment)
    with pytest.raises(AttributeError) as caught:
        made.open(RUN)
        made.session(RUN).train_epoch(never)
    frames = traceback.extract_tb(caught.value.__traceback__)
    (line,) = [frame.line for frame in frames if frame.filename == str(experiment.custom_model("net-net"))]
    assert line == "x = x.nothing"


def test_a_file_run_again_shares_nothing_with_its_last_time() -> None:
    source = b"from torch import nn\nclass Net(nn.Module):\n    seen = []\n"
    one, two = (custom_model.make_class(source, "net.py", "Net") for _ in range(2))
    one.seen.append(1)  # type: ignore[attr-defined]
    assert two.seen == []  # type: ignore[attr-defined]


def test_a_file_that_asks_for_tf32_everywhere_leaves_float32_exact() -> None:
    use_exact_float32()
    source = b"import torch\ntorch.backends.fp32_precision = 'tf32'\nclass Net(torch.nn.Module): ...\n"
    custom_model.make_class(source, "x.py", "Net")
    use_exact_float32()
    backends: Any = torch.backends  # torch's stubs lack fp32_precision
    assert backends.cudnn.conv.fp32_precision != "tf32"
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


CHANGES: dict[str, tuple[str, Callable[[], Any]]] = {
    "matrix products": ("torch.set_float32_matmul_precision('medium')", torch.get_float32_matmul_precision),
    "matrix products of GPUs": (
        "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
        lambda: torch.backends.cuda.matmul.allow_tf32,
    ),
    "the default device": ("torch.set_default_device('meta')", torch.get_default_device),
    "the default type": ("torch.set_default_dtype(torch.float64)", torch.get_default_dtype),
    "cuDNN": ("torch.backends.cudnn.enabled = False", torch._C._get_cudnn_enabled),
    "cuDNN's search": ("torch.backends.cudnn.benchmark = True", torch._C._get_cudnn_benchmark),
    "cuDNN's kernels": ("torch.backends.cudnn.deterministic ^= True", torch._C._get_cudnn_deterministic),
    "oneDNN": ("torch.backends.mkldnn.enabled = False", torch._C._get_mkldnn_enabled),
    "anomalies": ("torch.autograd.set_detect_anomaly(True)", torch.is_anomaly_enabled),
    "gradients": ("torch.set_grad_enabled(False)", torch.is_grad_enabled),
    "kernels": (
        "torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled())",
        torch.are_deterministic_algorithms_enabled,
    ),
    "threads": ("torch.set_num_threads(torch.get_num_threads() + 1)", torch.get_num_threads),
}


@pytest.mark.parametrize("when", ["in the file", "when built"])
@pytest.mark.parametrize("what", CHANGES)
def test_a_setting_that_it_changes_is_what_it_was(what: str, when: str) -> None:
    line, read = CHANGES[what]
    there = f"\n{line}\n" if when == "in the file" else "\n"
    here = line if when == "when built" else "pass"
    source = f"import torch{there}class Net(torch.nn.Module):\n    def __init__(self, *_):\n"
    source += f"        super().__init__()\n        {here}\n"
    before = read()
    custom_model.build(custom_model.make_class(source.encode(), "x.py", "Net"), 1, (8, 8), 10)
    assert read() == before
