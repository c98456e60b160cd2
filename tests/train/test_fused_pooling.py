"""Bias, pooling and ReLU in one kernel: its numbers by Triton's interpreter, and when graphs use it."""

import math
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.pretended_cuda import machine, operators
from tests.pretended_cuda.device import Cuda, pretend
from tests.processes import run_python
from tests.train.sessions import make
from tests.train.test_graphed_steps import LAB, OPTIONS, events, finished, graphed, network, opened, plain, train
from tui_attn.models.trunk import conv_pool_relu
from tui_attn.train import fused_pooling
from tui_attn.train.graphed_steps import Proofs

DTYPES = [torch.float32, torch.bfloat16]
SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 3.38e38, -3.38e38]
TINY = [1e-40, -1e-40]  # in bf16, Triton's interpreter makes them 0


@pytest.fixture
def interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Triton's kernels be interpreted, on tensors of the CPU."""
    pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # read when the kernels are defined


@pytest.fixture
def cuda() -> Iterator[Cuda]:
    with pretend(gpus=machine(1)) as found:
        yield found


def maps(shape: tuple[int, ...], dtype: torch.dtype, kind: str) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if kind == "ties":  # few numbers, so that most windows have several maxima
        found = torch.randint(-2, 3, shape, generator=generator) / 4
    elif kind == "special":
        numbers = torch.tensor(SPECIAL if dtype is torch.bfloat16 else SPECIAL + TINY)
        found = numbers[torch.randint(0, len(numbers), shape, generator=generator)]
    else:
        found = torch.randn(shape, generator=generator)
    return found.to(dtype).to(memory_format=torch.channels_last)


def by_torch(values: Tensor, bias: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    values = values.clone().requires_grad_()
    pooled = F.relu(F.max_pool2d(values + bias[:, None, None], 2))
    pooled.backward(grad)  # type: ignore[no-untyped-call]
    assert values.grad is not None
    return pooled.detach(), values.grad


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", ["normal", "ties", "special"])
@pytest.mark.parametrize("shape", [(3, 5, 4, 6), (1, 32, 2, 2), (7, 16, 8, 8)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_kernels_compute_what_the_operators_compute(
    interpreter: None, dtype: torch.dtype, kind: str, shape: tuple[int, ...], layout: torch.memory_format
) -> None:
    values, channels = maps(shape, dtype, kind), shape[1]
    bias = maps((1, channels, 1, 1), dtype, "ties" if kind == "special" else kind).flatten()
    batch, _, height, width = shape
    grad = maps((batch, channels, height // 2, width // 2), dtype, "normal").contiguous(memory_format=layout)
    expected, expected_grad = by_torch(values, bias, grad)
    for implementation in (fused_pooling, operators):  # and the stand-in of the pretended device
        pooled, winners = implementation.pool_relu(values, bias)
        found = implementation.pool_relu_backward(grad, winners)
        torch.testing.assert_close(pooled, expected, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(found, expected_grad, rtol=0, atol=0, equal_nan=True)
        assert pooled.dtype == found.dtype == dtype
        assert pooled.is_contiguous(memory_format=torch.channels_last)
        assert found.is_contiguous(memory_format=torch.channels_last)
        # As ReLU is on CUDA; on a CPU it may leave -0.0.
        assert not (pooled.signbit() & (pooled == 0)).any()


def test_sums_are_rounded_to_the_nearest_even_number_before_they_are_compared(interpreter: None) -> None:
    """256 + 1 and 258 - 1 both become 256 in bf16: a tie, which the first pixel wins."""
    values = torch.tensor([256.0, 257.0, 256.0, 257.0]).view(1, 1, 2, 2).bfloat16()
    pooled, winners = fused_pooling.pool_relu(values, torch.tensor([1.0]).bfloat16())
    assert (pooled.item(), winners.item()) == (256.0, 0)


def test_the_kernels_compile_for_gpus(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    code = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
import triton
from tui_attn.train.pooling_kernels import pool_relu, pool_relu_backward
numbers = ("count", "channels", "height", "width", "s_b", "s_c", "s_h", "s_w")
for capability, dtype in ((80, "*bf16"), (90, "*fp32")):
    for kernel, pointers in ((pool_relu, [dtype] * 3 + ["*u8"]), (pool_relu_backward, [dtype, "*u8", dtype])):
        names = [name for name in kernel.arg_names if name != "BLOCK"]
        types = dict(zip(names, pointers + ["i32"] * len(numbers)))
        made = compile(ASTSource(kernel, types, {"BLOCK": 512}), target=GPUTarget("cuda", capability, 32))
        assert made.asm["cubin"] and ".ftz" not in made.asm["ptx"]
"""
    done = run_python(code, TRITON_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr


# ---- which graphs use it


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [*LAB, "half", "static"])
def test_graphs_pool_by_one_kernel_to_the_same_bits(cuda: Cuda, name: str, precision: str) -> None:
    expected, _ = plain(network(name), precision, 2, None)
    kernels = {}
    for fused in (False, True):
        steps, _ = graphed(network(name), precision)
        known: Proofs | None = None
        if not fused:
            known = {(type(steps._stepper.model), steps._stepper.dtype, steps._device, *steps._keys()): "not tried"}
        assert steps.capture(known) is None
        assert steps.unfused == (None if fused else "not tried")
        cuda.clear()
        assert train(steps, 2) == expected
        kernels[fused] = cuda.clear().kernels
    steps_of_two_epochs = 16
    # Of each of two layers: bias, pooling and ReLU, and both gradients; the last one's gradient is read as it lies.
    saved = (kernels[False] - kernels[True]) / steps_of_two_epochs
    assert saved >= 6


def test_other_seeds_take_over_what_the_first_has_found(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    proofs: Proofs = {}
    first, _ = graphed(network("base"))
    assert first.capture(proofs) is None and [*proofs.values()] == [None]
    monkeypatch.setattr(fused_pooling, "unavailable", lambda *_: pytest.fail("tried again"))
    second, _ = graphed(network("base"))
    assert second.capture(proofs) is None and second.unfused is None
    assert train(second, 1) == train(first, 1)


def wrong(conv: nn.Module, x: Tensor) -> Tensor:
    return conv_pool_relu(conv, x) * (1.5 if torch.is_grad_enabled() else 1.0)


def slow(conv: nn.Module, x: Tensor) -> Tensor:
    return conv_pool_relu(conv, x) * 1.0


def failing(conv: nn.Module, x: Tensor) -> Tensor:
    raise RuntimeError("CUDA error: no kernel image is available")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (wrong, "as graphs they don't give the same bits on this device"),
        (slow, "torch's own operators were as fast in a trial"),
        (failing, "capturing them failed: RuntimeError: CUDA error: no kernel image is available"),
    ],
)
def test_kernels_that_are_wrong_slow_or_fail_are_not_used(
    cuda: Cuda, monkeypatch: pytest.MonkeyPatch, block: object, reason: str, precision: str
) -> None:
    monkeypatch.setattr(fused_pooling, "conv_block", block)
    steps, _ = graphed(network("se"), precision)
    assert steps.capture() is None
    assert steps.unfused == reason
    assert train(steps, 2) == plain(network("se"), precision, 2, None)[0]


def test_custom_models_pool_as_they_are_written(cuda: Cuda) -> None:
    class Derived(type(network("base"))):  # type: ignore[misc]
        pass

    steps, _ = graphed(Derived(1, 8))
    assert steps.capture() is None
    assert steps.unfused == "only the lab's networks pool by one kernel"


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (ImportError("no module"), "Triton isn't installed"),
        (RuntimeError("Failed to find C compiler.\nmore"), "Triton can't compile here: Failed to find C compiler."),
    ],
)
def test_without_triton_or_a_compiler_torch_pools(
    cuda: Cuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, reason: str
) -> None:
    def compile_kernels(dtype: torch.dtype) -> None:
        raise raised

    fused_pooling.start_compiling.cache_clear()
    monkeypatch.setattr(fused_pooling, "compile_kernels", compile_kernels)
    try:
        experiment = make(tmp_path, **OPTIONS | {"epochs": 1, "train_limit": 20})
        context = opened(experiment)
        context.open("base-s0")
        finished(context, "base-s0")
    finally:
        fused_pooling.start_compiling.cache_clear()
    [event] = events(experiment, "base-s0", "pooling")
    assert (event["kernels"], event["reason"]) == ("torch", reason)
    assert not events(experiment, "base-s0", "warning")


def test_a_slow_compiler_is_not_waited_for(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    fused_pooling.start_compiling.cache_clear()
    monkeypatch.setattr(fused_pooling, "SECONDS", 0.05)
    monkeypatch.setattr(fused_pooling, "compile_kernels", lambda dtype: done.wait())
    try:
        steps, _ = graphed(network("base"))
        assert steps.capture() is None
        assert steps.unfused == "Triton wasn't done within 0.05 s"
    finally:
        done.set()
        fused_pooling.start_compiling.cache_clear()


# ---- compiled code on disk


def test_compiled_code_is_read_from_the_users_folder_alone(tmp_path: Path) -> None:
    pytest.importorskip("triton")
    code = "from tui_attn.train import fused_pooling as f; print(f.keep_compiled_code()); import triton; "
    code += "print(triton.knobs.cache.dir)"
    done = run_python(code, XDG_CACHE_HOME=str(tmp_path), TRITON_CACHE_DIR="here")
    assert done.stdout.splitlines() == ["None", str(tmp_path / "tui-attn/triton")], done.stderr
    assert (tmp_path / "tui-attn/triton").stat().st_mode & 0o077 == 0


def test_compiled_code_is_not_read_where_others_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "tui-attn/triton"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    told = f"others could write to {folder}, where compiled kernels are kept"
    assert fused_pooling.keep_compiled_code() == told
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert fused_pooling.keep_compiled_code() == told
