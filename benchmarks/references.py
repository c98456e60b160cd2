"""Records the outputs of timm's and the authors' own modules, for `tests/models/test_references.py`.

    pip install timm
    python benchmarks/references.py CLONES

CLONES: a folder with clones of GCT (z-x-yang), CoordAttention (houqb), attention-module (Jongchan), SimAM (ZjjConan)
and style-based-recalibration-module (hyunjaelee410). Each module and ours get the same weights and batch norm
statistics, far from their initial values, in float64 and eval mode. The maps, our weights and the module's output are
recorded: data, none of their code.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tui_attn.models import ECABlock, SEBlock
from tui_attn.models.cbam import CBAMBlock
from tui_attn.models.coordinate import CoordinateBlock
from tui_attn.models.gct import GCTBlock
from tui_attn.models.simam import SimAMBlock
from tui_attn.models.srm import SRMBlock
from tui_attn.models.xca import XCABlock

CHANNELS, HEIGHT, WIDTH = 16, 5, 4
OUT = Path(__file__).parents[1] / "tests" / "models" / "references.npz"
State = Mapping[str, Tensor]


def module(clones: Path, file: str, name: str) -> Any:
    """A class from a clone's file."""
    spec = importlib.util.spec_from_file_location(name, clones / file)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return getattr(found, name)


def shaken(block: nn.Module, random: np.random.RandomState) -> nn.Module:
    """`block` with drawn weights; variances stay positive."""
    block.double().eval()
    for name, tensor in block.state_dict().items():
        if tensor.is_floating_point():
            drawn = torch.from_numpy(random.uniform(-1, 1, tuple(tensor.shape)))
            tensor.copy_(1.5 + drawn if "var" in name else drawn)
    return block


def references(clones: Path) -> dict[str, tuple[nn.Module, nn.Module, Callable[[State], dict[str, Tensor]], str]]:
    """By name: our block, theirs, what their weights are called in terms of ours, and where theirs is from."""
    timm, layers, cbam_module, xcit = map(
        importlib.import_module, ("timm", "timm.layers", "timm.layers.cbam", "timm.models.xcit")
    )
    names = ("conv1", "bn1", "conv_h", "conv_w")
    gct = module(clones, "GCT/PyTorch/GCT.py", "GCT")(CHANNELS)
    coordinate = module(clones, "CoordAttention/coordatt.py", "CoordAtt")(CHANNELS, CHANNELS)
    cbam = module(clones, "attention-module/MODELS/cbam.py", "CBAM")(CHANNELS)
    simam = module(clones, "SimAM/networks/attentions/simam_module.py", "simam_module")()
    srm = module(clones, "style-based-recalibration-module/models/recalibration_modules.py", "SRMLayer")(CHANNELS)
    version = f"timm {timm.__version__}"
    return {
        "se": (
            SEBlock(CHANNELS),
            layers.SEModule(CHANNELS, rd_channels=16, bias=False),
            lambda w: {f"fc{n}.weight": w[f"fc.{2 * n - 2}.weight"][..., None, None] for n in (1, 2)},
            f"{version}: SEModule",
        ),
        "eca": (ECABlock(), layers.EcaModule(CHANNELS, kernel_size=3), dict, f"{version}: EcaModule"),
        "cbam-timm": (
            CBAMBlock(CHANNELS),
            cbam_module.CbamModule(CHANNELS, mlp_bias=True),
            lambda w: (
                {f"channel.fc{n}.weight": w[f"mlp.{2 * n - 2}.weight"][..., None, None] for n in (1, 2)}
                | {f"channel.fc{n}.bias": w[f"mlp.{2 * n - 2}.bias"] for n in (1, 2)}
                | {"spatial.conv.conv.weight": w["spatial.weight"].flip(1)}  # timm has the mean first
                | {f"spatial.conv.bn.{name[3:]}": value for name, value in w.items() if name.startswith("bn.")}
            ),
            f"{version}: CbamModule",
        ),
        "cbam": (
            CBAMBlock(CHANNELS),
            cbam,
            lambda w: (
                {f"ChannelGate.mlp.{n + 1}.{kind}": w[f"mlp.{n}.{kind}"] for n in (0, 2) for kind in ("weight", "bias")}
                | {"SpatialGate.spatial.conv.weight": w["spatial.weight"]}
                | {f"SpatialGate.spatial.{name}": value for name, value in w.items() if name.startswith("bn.")}
            ),
            "Jongchan/attention-module, MODELS/cbam.py: CBAM",
        ),
        "gct": (
            GCTBlock(CHANNELS),
            gct,
            lambda w: {name: value[None, :, None, None] for name, value in w.items()},
            "z-x-yang/GCT, PyTorch/GCT.py: GCT",
        ),
        "simam": (SimAMBlock(), simam, dict, "ZjjConan/SimAM, simam_module.py: simam_module"),
        "coordinate": (
            CoordinateBlock(CHANNELS),
            coordinate,
            lambda w: {name: value for name, value in w.items() if name.startswith(names)},
            "houqb/CoordAttention, coordatt.py: CoordAtt",
        ),
        "srm": (
            SRMBlock(CHANNELS),
            srm,
            dict,
            "hyunjaelee410/style-based-recalibration-module, models/recalibration_modules.py: SRMLayer",
        ),
        "xca": (XCABlock(CHANNELS, 8), xcit.XCA(CHANNELS, 8), dict, f"{version}: models.xcit.XCA, plus the residual"),
    }


@torch.inference_mode()
def main(clones: Path) -> None:
    """Write the arrays, and print the largest differences."""
    random = np.random.RandomState(20261129)
    arrays: dict[str, Any] = {}
    sources = {}
    for name, (ours, theirs, renamed, source) in references(clones).items():
        shaken(ours, random)
        x = torch.from_numpy(np.maximum(random.standard_normal((2, CHANNELS, HEIGHT, WIDTH)), -0.5))
        theirs.double().eval().load_state_dict(renamed(ours.state_dict()))
        if name == "xca":
            maps = x.flatten(2)  # (B, C, N); theirs takes tokens (B, N, C)
            expected, found = maps + theirs(maps.transpose(1, 2)).transpose(1, 2), ours(maps)
        else:
            expected, found = theirs(x), ours(x)
        print(f"{name:<12} {float((expected - found).abs().max()):.1e}  {source}")
        arrays |= {f"{name}/x": x.numpy(), f"{name}/out": expected.numpy()}
        arrays |= {f"{name}/w/{key}": value.numpy() for key, value in ours.state_dict().items()}
        sources[name] = source
    arrays["sources"] = np.array(json.dumps(sources | {"torch": torch.__version__}))
    np.savez_compressed(OUT, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
