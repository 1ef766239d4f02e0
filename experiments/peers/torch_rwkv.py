#!/usr/bin/env python3
"""A training step of RWKV in PyTorch, measured, on the processor or on a device.

    python3 torch_rwkv.py --version v7 --dim 64 --seq 64 --batch 64 --form loop|chunk [--tuned]
    python3 torch_rwkv.py --device cuda --version v7 --form chunk|fla [--compile]
    python3 torch_rwkv.py --check FILE                      compares it with Aviary (experiments/peers/check.lua)

The last line: tokens_per_s=... . A step is the loss at the labelled positions, backward, AdamW, as in `aviary bench
train`. What the code itself leaves open (small matrix products or sums in the loop, the length of a chunk) is chosen by
trying. --tuned also sets what a user would have to know: see `tuned_environment`.
--compile is torch.compile with CUDA graphs where there is a device; fla, the chunked kernels of flash-linear-attention.
"""
import argparse
import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import time


def options():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("--version", default="v7", choices=("v4", "v5.2", "v6", "v7"))
    for name, default in dict(dim=64, layers=2, vocab=8192, pairs=8, seq=64, batch=64, steps=5, threads=2).items():
        o.add_argument("--" + name, type=int, default=default)
    o.add_argument("--form", default="loop", choices=("loop", "chunk", "fla"))
    o.add_argument("--device", default="cpu")
    o.add_argument("--compile", action="store_true")
    o.add_argument("--wait", type=int, default=0, help="give up if it is not ready after so many seconds")
    o.add_argument("--tuned", action="store_true")
    o.add_argument("--blas-threads", type=int, help="with --tuned: not chosen by trying")
    o.add_argument("--serve", action="store_true", help="a number on the input: that many steps; answers their seconds")
    o.add_argument("--check", nargs="+", metavar="FILE")
    return o.parse_args()


# ---- the environment in which PyTorch is at its best ----


def tuned_environment(blas_threads):
    """OpenBLAS chooses its kernels by the processor, not by a preset, and leaves threads to PyTorch (if that is faster);
    the heap keeps what it has (without this most of a small step is page faults) in huge pages."""
    e = dict(os.environ)
    e.pop("OPENBLAS_CORETYPE", None)
    e.update(OPENBLAS_NUM_THREADS=str(blas_threads), MALLOC_TRIM_THRESHOLD_=str(1 << 40), MALLOC_TOP_PAD_=str(256 << 20),
             MALLOC_MMAP_MAX_="0", GLIBC_TUNABLES="glibc.malloc.hugetlb=1", AVIARY_TUNED=str(blas_threads))
    return e


def become_tuned(o):
    """Starts again in that environment, once."""
    if os.environ.get("AVIARY_TUNED"):
        return
    command = [sys.executable] + sys.argv
    best, candidates = o.blas_threads, sorted({1, o.threads})
    if len(candidates) == 1:
        best = 1
    if best is None:
        rates = {}
        for n in candidates:
            probe = [a for a in command if a != "--serve"] + ["--steps", "2", "--blas-threads", str(n)]
            out = subprocess.run(probe, env=tuned_environment(n), stdout=subprocess.PIPE, text=True, check=True).stdout
            rates[n] = float(out.split("tokens_per_s=")[1].split()[0])
        best = max(rates, key=rates.get)
    os.execve(sys.executable, command, tuned_environment(best))


# ---- a step ----


def make_step(o, torch, **choice):
    from torch_model import Model, parameters
    F = torch.nn.functional
    N = min(64, o.dim)
    p = {name: t.detach().to(o.device).requires_grad_(True)
         for name, t in parameters(o.version, o.vocab, o.dim, o.layers, N).items()}
    model = Model(o.version, p, N, o.form, **choice)
    g = torch.Generator().manual_seed(0)
    tokens = torch.randint(o.vocab, (o.batch, o.seq), generator=g)
    tokens[:, o.seq // 2:] = 0
    places = o.seq // 2 + torch.arange(o.pairs) * (o.seq // 2 // o.pairs)  # pairs labels in the second half
    rows = (torch.arange(o.batch)[:, None] * o.seq + places).reshape(-1)
    tokens.view(-1)[rows] = torch.randint(o.vocab, rows.shape, generator=g)
    targets = torch.randint(o.vocab, rows.shape, generator=g)
    tokens, rows, targets = tokens.to(o.device), rows.to(o.device), targets.to(o.device)
    decayed = [t for name, t in p.items() if name.endswith(".weight") and t.dim() >= 2]
    rest = [t for name, t in p.items() if not (name.endswith(".weight") and t.dim() >= 2)]
    groups = [dict(params=decayed, weight_decay=0.1), dict(params=rest, weight_decay=0.0)]
    setting = dict(lr=1e-3, betas=(0.9, 0.99), eps=1e-8)
    try:
        opt = torch.optim.AdamW(groups, **setting, **(dict(fused=True) if o.tuned or o.device != "cpu" else {}))
    except (TypeError, RuntimeError):  # not in older versions, or not on the processor
        opt = torch.optim.AdamW(groups, **setting)

    def loss_of(tokens, rows, targets):
        return F.cross_entropy(model(tokens, rows), targets)

    if o.compile:
        loss_of = torch.compile(loss_of, **({} if o.device == "cpu" else dict(mode="reduce-overhead")))

    def step():
        start = time.perf_counter()
        if o.compile:
            torch.compiler.cudagraph_mark_step_begin()
        loss = loss_of(tokens, rows, targets)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        if o.device != "cpu":
            loss.item()  # a device goes on by itself until somebody reads
        return time.perf_counter() - start

    return step, sum(t.numel() for t in p.values())


def fastest_step(o, torch):
    """The fastest of what the code leaves open, warm."""
    if o.version == "v4" or o.form == "fla":
        choices = [{}]
    elif o.compile:  # each would be compiled
        choices = [dict(chunk=16) if o.form == "chunk" else {}]
    elif o.form == "loop":
        choices = [dict(matmul=False), dict(matmul=True)]
    else:
        choices = [dict(chunk=c) for c in (16, 32) if o.seq % c == 0]
    best = None
    for choice in choices:
        step, count = make_step(o, torch, **choice)
        for _ in range(3 if o.compile else 1):
            step()
        seconds = min(step() for _ in range(2)) if len(choices) > 1 else 0
        if best is None or seconds < best[0]:
            best = seconds, step, count, choice
    return best[1:]


# ---- comparing with Aviary ----


def load(path, torch):
    """A safetensors file: tensors by name, and the text of its header."""
    import numpy as np
    types = {"F32": np.float32, "F64": np.float64, "I64": np.int64}
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    meta = header.pop("__metadata__", {})
    body = data[8 + size:]
    tensors = {}
    for name, e in header.items():
        first, last = e["data_offsets"]
        tensors[name] = torch.from_numpy(np.frombuffer(body[first:last], types[e["dtype"]]).reshape(e["shape"]).copy())
    return tensors, meta


def check(o, torch):
    """FILE holds weight.NAME, tokens, targets, logits, loss and grad.NAME, in float64: everything must agree to 1e-9."""
    from torch_model import Model
    F = torch.nn.functional
    good = True
    for path in o.check:
        want, meta = load(path, torch)
        p = {n[7:]: t.double().requires_grad_(True) for n, t in want.items() if n.startswith("weight.")}
        version, N = meta["version"], int(meta["head_size"])
        for form in ("loop", "chunk") if version != "v4" else ("loop",):
            for choice in (dict(matmul=False), dict(matmul=True)) if form == "loop" else (dict(chunk=8), dict(chunk=16)):
                logits = Model(version, p, N, form, **choice)(want["tokens"])
                targets = want["targets"].reshape(-1)
                loss = F.cross_entropy(logits.reshape(len(targets), -1), targets, ignore_index=-100)
                grads = torch.autograd.grad(loss, list(p.values()), allow_unused=True)
                worst_logit = (logits - want["logits"]).abs().max().item() / want["logits"].abs().max().item()
                worst_grad, at = 0.0, ""
                for name, g in zip(p, grads):
                    w = want["grad." + name]
                    g = torch.zeros_like(w) if g is None else g
                    d = (g - w).abs().max().item() / max(1e-30, w.abs().max().item())
                    if not d <= worst_grad:
                        worst_grad, at = d, name
                error = max(worst_logit, abs(loss.item() - want["loss"].item()), worst_grad)
                good = good and error <= 1e-9  # false for NaN
                how = " ".join(f"{a}={b}" for a, b in choice.items())
                print(f"torch {torch.__version__} {version} {form} {how}: logits {worst_logit:.1e}, loss {abs(loss.item() - want['loss'].item()):.1e},"
                      f" gradients {worst_grad:.1e} ({at}){'' if error <= 1e-9 else '  DIFFERENT'}")
    return 0 if good else 1


def give_up(why):
    print(why, file=sys.stderr, flush=True)
    os._exit(1)


def serve(about, step):
    """Takes as many steps as each line of the input says, and answers with their seconds."""
    print("ready", about, flush=True)
    for line in sys.stdin:
        print(*["%.9f" % step() for _ in range(int(line))], flush=True)


def main():
    o = options()
    if o.tuned and not o.check:
        become_tuned(o)
    if o.form != "loop" and o.version == "v4":
        sys.exit("torch_rwkv: v4 has no chunked form")
    if o.wait:
        signal.signal(signal.SIGALRM, lambda *_: give_up(f"torch_rwkv: not ready after {o.wait} s"))
        signal.alarm(o.wait)
    try:
        import torch
    except ImportError:
        sys.exit("torch_rwkv: this Python has no torch")
    if o.device != "cpu" and not torch.cuda.is_available():
        sys.exit("torch_rwkv: this torch finds no device")
    if o.form == "fla":
        try:
            import fla  # noqa: F401
        except ImportError:
            sys.exit("torch_rwkv: this Python has no fla")
    torch.set_num_threads(o.threads)
    if o.check:
        sys.exit(check(o, torch))
    if o.tuned:
        torch.set_flush_denormal(True)
    step, count, choice = fastest_step(o, torch)
    signal.alarm(0)
    form = {"chunk": f"chunks of {choice.get('chunk')}", "loop": "loop, matmul" if choice.get("matmul") else "loop",
            "fla": "kernels of fla"}[o.form]
    form += ", compiled" if o.compile else ""
    form += f"; BLAS threads {os.environ['AVIARY_TUNED']}" if o.tuned else ""
    about = f"torch={torch.__version__} parameters={count} # {form}"
    if o.serve:
        serve(about, step)
        return
    print(about)
    print("tokens_per_s=%.0f" % (o.batch * o.seq / statistics.median(step() for _ in range(o.steps))))


if __name__ == "__main__":
    main()
