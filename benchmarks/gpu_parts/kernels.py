"""Where the card's time goes in a pass, and what its attention kernels reach."""

from functools import partial

import torch
from scoring_parts import Figures
from scoring_parts.ours import scorer
from scoring_parts.workload import build_on_gpu, draw_traces
from torch.nn.functional import scaled_dot_product_attention
from torch.profiler import ProfilerActivity, profile

from gpu_parts.card import median_s, wall_s
from gpu_parts.races import STUDENT, TEACHER, TINY
from rdpt_ray.scoring.attention import packed_attention

HEADS, KV_HEADS, WIDTH = 32, 8, 128

KINDS = {
    "attention": ("flash", "fmha", "attention"),
    "products": ("gemm", "nvjet", "cutlass", "xmma", "matmul"),
    "softmax": ("softmax", "reduce"),
    "copies": ("copy", "memcpy", "memset", "cat"),
}
"""What a kernel is by its name; the first that fits. All others are element-wise."""


def kernels(quick: bool) -> Figures:
    """Share of the card's busy time by kind of kernel, and how much of the wall time it is busy."""
    figures: Figures = {}
    for shape in (TINY,) if quick else (TEACHER, STUDENT):
        traces = draw_traces(16, shape.vocabulary)
        score = scorer(build_on_gpu(shape))
        score(traces)
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            wall, _ = wall_s(partial(score, traces))
        spent: dict[str, float] = {}
        names: dict[str, float] = {}
        for event in seen.key_averages():
            kind = next(
                (
                    kind
                    for kind, marks in KINDS.items()
                    if any(m in event.key.lower() for m in marks)
                ),
                "elementwise",
            )
            seconds = event.self_device_time_total / 1e6
            spent[kind] = spent.get(kind, 0.0) + seconds
            names[event.key] = names.get(event.key, 0.0) + seconds
        busy = sum(spent.values())
        figures[f"busy_{shape.name}"] = busy / wall
        figures |= {f"share_{kind}_{shape.name}": one / busy for kind, one in spent.items()}
        for name in sorted(names, key=names.__getitem__, reverse=True)[:14]:
            print(f"    {names[name] / busy:6.1%}  {name[:110]}")
        del score
        torch.cuda.empty_cache()
    return figures


@torch.inference_mode()
def attention() -> Figures:
    """TFLOP/s of causal attention, 32 heads of 128 over 8, by the kernels torch has."""
    figures: Figures = {}
    print("    tokens   ours  cuDNN    SDPA's choice   cuDNN differs by")
    for length in (512, 1024, 2048, 4096, 8192, 16_384, 30_000):
        query, key, value = (
            torch.randn(1, heads, length, WIDTH, device="cuda", dtype=torch.bfloat16)
            for heads in (HEADS, KV_HEADS, KV_HEADS)
        )
        flops = 4 * HEADS * WIDTH * length * (length + 1) / 2
        states = (query, key, value)
        rates = {
            name: flops / median_s(partial(call, *states), calls=5, rounds=3) / 1e12
            for name, call in CONTESTANTS.items()
        }
        off = float((_cudnn(*states).float() - _ours(*states).float()).abs().max())
        print(
            f"    {length:6} {rates['ours']:6.0f} {rates['cudnn']:6.0f} {rates['sdpa']:10.0f} {off:16.3g}",
            flush=True,
        )
        figures |= {f"attention_tflops_{name}_{length}": rate for name, rate in rates.items()}
    return figures


def _ours(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return packed_attention(torch.nn.Identity(), query, key, value, None)[0].transpose(1, 2)


def _sdpa(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)


def _cudnn(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """By torch's cuDNN operator with its log-sum-exp, keys repeated for all heads."""
    repeats = query.shape[1] // key.shape[1]
    key, value = (one.repeat_interleave(repeats, dim=1) for one in (key, value))
    operator = torch.ops.aten._scaled_dot_product_cudnn_attention
    return operator(query, key, value, None, True, 0.0, True)[0]


CONTESTANTS = {"ours": _ours, "cudnn": _cudnn, "sdpa": _sdpa}
