"""Triton kernels of `fused_pooling`: maps lie in memory as (B, H, W, C), with H and W even.

A program computes `BLOCK` elements of the pooled maps. A winner is the corner 0 to 3 of its 2 x 2 window, row by row,
that holds the maximum, or `NONE` where ReLU lets no gradient through.
"""

import triton
import triton.language as tl

NONE = tl.constexpr(4)


@triton.jit
def _rounded(x, dtype: tl.constexpr):
    """Float32 `x` rounded to the nearest number of `dtype`, in integers: Triton's interpreter rounds otherwise."""
    if dtype == tl.bfloat16:
        bits = x.to(tl.uint32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        x = tl.where(x == x, bits.to(tl.float32, bitcast=True), x)  # noqa: PLR0124 - not NaN
    return x


@triton.jit
def _corner(at, channels, width, corner: tl.constexpr):
    """Where a corner of the window of the pooled element `at` lies in the maps."""
    row = at // (channels * width)  # of all images
    column = at // channels % width
    return ((2 * row + corner // 2) * 2 * width + 2 * column + corner % 2) * channels + at % channels


@triton.jit(do_not_specialize=["width"])
def pool_relu(maps, bias, pooled, winners, count, channels, width, BLOCK: tl.constexpr):
    """`pooled` and `winners` of `maps` + `bias`; `count`: elements of `pooled`, `width`: its columns."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    dtype = maps.dtype.element_ty
    added = tl.load(bias + at % channels, mask=inside, other=0.0).to(tl.float32)
    best = tl.full((BLOCK,), float("-inf"), tl.float32)
    winner = tl.full((BLOCK,), 0, tl.int32)
    for corner in tl.static_range(4):
        value = tl.load(maps + _corner(at, channels, width, corner), mask=inside, other=0.0).to(tl.float32)
        value = _rounded(value + added, dtype)
        wins = (value > best) | (value != value)  # noqa: PLR0124 - the last NaN wins, as in torch
        best = tl.where(wins, value, best)
        winner = tl.where(wins, corner, winner)
    blocked = best <= 0
    tl.store(pooled + at, tl.where(blocked, 0.0, best).to(dtype), mask=inside)
    tl.store(winners + at, tl.where(blocked, NONE, winner).to(tl.uint8), mask=inside)


@triton.jit(do_not_specialize=["height", "width", "s_b", "s_c", "s_h", "s_w"])
def pool_relu_backward(grad, winners, result, count, channels, height, width, s_b, s_c, s_h, s_w, BLOCK: tl.constexpr):
    """The gradient of the maps; `grad` is that of the pooled maps, whose four strides are `s_b` to `s_w`."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    row = at // (channels * width)
    place = row // height * s_b + at % channels * s_c + row % height * s_h + at // channels % width * s_w
    value = tl.load(grad + place, mask=inside, other=0.0)
    winner = tl.load(winners + at, mask=inside, other=NONE)
    for corner in tl.static_range(4):
        found = tl.where(winner == corner, value, tl.full((BLOCK,), 0, value.dtype))
        tl.store(result + _corner(at, channels, width, corner), found, mask=inside)
