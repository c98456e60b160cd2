"""The blocks against what timm's and their authors' own modules computed; `benchmarks/references.py` recorded it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tui_attn.models import ECABlock, SEBlock
from tui_attn.models.cbam import CBAMBlock
from tui_attn.models.coordinate import CoordinateBlock
from tui_attn.models.gct import GCTBlock
from tui_attn.models.simam import SimAMBlock
from tui_attn.models.srm import SRMBlock
from tui_attn.models.xca import XCABlock

BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "se": lambda: SEBlock(16),
    "eca": ECABlock,
    "cbam-timm": lambda: CBAMBlock(16),
    "cbam": lambda: CBAMBlock(16),
    "gct": lambda: GCTBlock(16),
    "simam": SimAMBlock,
    "coordinate": lambda: CoordinateBlock(16),
    "srm": lambda: SRMBlock(16),
    "xca": lambda: XCABlock(16, 8),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_computes_what_its_reference_computed(name: str) -> None:
    with np.load(Path(__file__).with_name("references.npz")) as arrays:
        assert set(json.loads(str(arrays["sources"]))) == {*BLOCKS, "torch"}
        start = f"{name}/w/"
        weights = {key.removeprefix(start): torch.from_numpy(arrays[key]) for key in arrays if key.startswith(start)}
        x, expected = (torch.from_numpy(arrays[f"{name}/{what}"]) for what in ("x", "out"))
    block = BLOCKS[name]().double().eval()
    block.load_state_dict(weights)
    with torch.inference_mode():
        found = block(x.flatten(2) if name == "xca" else x)
    assert found.dtype == torch.float64
    assert float((found - expected).abs().max()) <= 1e-6
    assert float((expected - (x.flatten(2) if name == "xca" else x)).abs().max()) > 0.1  # it changes the maps
