#!/usr/bin/env python3
"""RWKV-7's recurrence alone in PyTorch on a device, forward and backward, measured.

    python3 torch_wkv7.py --form divided|fla|chunk --dtype f32|bf16 --batch 8 --heads 64 --seq 4096

divided: a kernel in the manner of the official ones (wkv7_divided.cu), compiled here; fla: the chunked kernels of
flash-linear-attention; chunk: products of matrices of PyTorch. Each is first compared with the loop over time. The last line: ms=...
"""
import argparse
import os
import signal
import statistics
import sys
import time

from torch_rwkv import give_up, serve

FORMS = ("divided", "fla", "chunk")


def options():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in dict(batch=8, heads=64, seq=4096, steps=5, wait=0).items():
        o.add_argument("--" + name, type=int, default=default)
    o.add_argument("--form", default="chunk", choices=FORMS)
    o.add_argument("--dtype", default="f32", choices=("f32", "bf16"))
    o.add_argument("--device", default="cuda")
    o.add_argument("--serve", action="store_true", help="a number on the input: that many times; answers their seconds")
    return o.parse_args()


def divided(torch):
    from torch.utils.cpp_extension import load
    here = os.path.dirname(os.path.abspath(__file__))
    kernels = load("wkv7_divided", [here + "/wkv7_divided.cu"], extra_cuda_cflags=["-O3"])

    class Divided(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *x):
            y, sa, kept = kernels.forward(list(x))
            ctx.save_for_backward(*x, sa, kept)
            return y

        @staticmethod
        def backward(ctx, gy):
            *x, sa, kept = ctx.saved_tensors
            return tuple(kernels.backward(list(x), gy.contiguous(), sa, kept))

    def run(r, w, k, v, a, b, H):
        B, T, C = r.shape
        heads = [x.view(B, T, H, C // H) for x in (r, w.exp(), k, v, a, b)]
        return Divided.apply(*heads).view(B, T, C)

    return run


def inputs(torch, o, batch, seq):
    F, C = torch.nn.functional, o.heads * 64
    g = torch.Generator().manual_seed(0)
    normal = lambda: torch.randn(1, seq, C, generator=g)
    r, k, v, w = normal(), normal(), normal(), -0.6 * torch.sigmoid(normal())
    removed = F.normalize(normal().view(1, seq, o.heads, 64), dim=-1).view(1, seq, C)
    x = [r, w, k, v, -removed, removed * torch.sigmoid(normal())]
    dtype = torch.float32 if o.dtype == "f32" else torch.bfloat16
    return [t.to(o.device, dtype).expand(batch, seq, C).contiguous().requires_grad_(True) for t in x]


def check(torch, o, run):
    """Against the loop over time: the largest difference of y and of each gradient, relative to the largest number."""
    from torch_model import wkv7_loop
    x = inputs(torch, o, 2, 64)
    found = [run(*x, o.heads), None]
    found[1] = torch.autograd.grad(found[0].float().sum(), x)
    exact = [t.detach().double().requires_grad_(True) for t in x]
    y = wkv7_loop(*exact, o.heads)
    want = [y, *torch.autograd.grad(y.sum(), exact)]
    error = max(((f.double() - e).abs().max() / e.abs().max()).item() for f, e in zip([found[0], *found[1]], want))
    if not error < (1e-3 if o.dtype == "f32" else 1e-1):
        give_up(f"torch_wkv7: {o.form} computes something else: it is off by {error:.1e}")
    return error


def main():
    o = options()
    try:
        import torch
    except ImportError:
        sys.exit("torch_wkv7: this Python has no torch")
    if o.device != "cpu" and not torch.cuda.is_available():
        sys.exit("torch_wkv7: this torch finds no device")
    if o.wait:
        signal.signal(signal.SIGALRM, lambda *_: give_up(f"torch_wkv7: not ready after {o.wait} s"))
        signal.alarm(o.wait)
    import torch_model
    try:
        run = dict(divided=lambda: divided(torch), fla=lambda: torch_model.fla_wkv7, chunk=lambda: torch_model.wkv7_chunk)[o.form]()
        error = check(torch, o, run)
    except ImportError as e:
        sys.exit(f"torch_wkv7: {e}")
    x = inputs(torch, o, o.batch, o.seq)

    def step():
        start = time.perf_counter()
        y = run(*x, o.heads)
        grads = torch.autograd.grad(y.sum(), x)
        grads[2].view(-1)[0].item()
        return time.perf_counter() - start

    step(), step()
    signal.alarm(0)
    about = f"torch={torch.__version__} error={error:.1e} # {o.form}, {o.dtype}"
    if o.serve:
        serve(about, step)
        return
    print(about)
    print("ms=%.3f" % (1e3 * statistics.median(step() for _ in range(o.steps))))


if __name__ == "__main__":
    main()
