"""RWKV-4, 5.2, 6 and 7 in plain PyTorch: what one writes to train them on a processor without kernels of one's own.

p is a dict of parameters under the official names. Every recurrence exists as a loop over time, vectorised over batch and
heads, and (but for RWKV-4) in chunks, as matrix products. torch_rwkv.py measures it and compares it with Aviary.
B batch, T time, C channels, H heads, N head size, n chunks of c tokens.
"""
import math

import torch
import torch.nn.functional as F


def before(x):
    """The row before each row, zeros before the first. [B,T,C]"""
    return F.pad(x, (0, 0, 1, -1))


def over_time(x, H):
    """[B,T,C] -> T tensors [B,H,N], each contiguous."""
    B, T, C = x.shape
    return x.view(B, T, H, C // H).transpose(0, 1).contiguous().unbind(0)


# ---- recurrences, as loops over time ----


def wkv4_loop(w, u, k, v):
    """w u [C], w the log-decay; k v [B,T,C]. Sums scaled by e^p, p the largest exponent so far."""
    a, b, p = torch.zeros_like(k[:, 0]), torch.zeros_like(k[:, 0]), torch.full_like(k[:, 0], -1e38)
    out = []
    for kt, vt in zip(k.transpose(0, 1).contiguous().unbind(0), v.transpose(0, 1).contiguous().unbind(0)):
        q = torch.maximum(p, u + kt)
        old, new = torch.exp(p - q), torch.exp(u + kt - q)
        out.append((old * a + new * vt) / (old * b + new))
        q = torch.maximum(p + w, kt)
        old, new = torch.exp(p + w - q), torch.exp(kt - q)
        a, b, p = old * a + new * vt, old * b + new, q
    return torch.stack(out, 1)


def wkv6_loop(r, k, v, w, u, H, matmul=False):
    """w [B,T,C] or [C] the log-decay; S [B,H,key,value]; y = r (S + u k v'), S = e^w S + k v'."""
    B, T, C = k.shape
    S, out = r.new_zeros(B, H, C // H, C // H), []
    decay = over_time(w.exp(), H) if w.dim() == 3 else [w.exp().view(1, H, C // H)] * T
    for rt, kt, vt, wt in zip(over_time(r, H), over_time(k, H), over_time(v, H), decay):
        out.append((rt.unsqueeze(-2) @ S).squeeze(-2) if matmul else (rt.unsqueeze(-1) * S).sum(-2))
        S = torch.addcmul(wt.unsqueeze(-1) * S, kt.unsqueeze(-1), vt.unsqueeze(-2))
    now = (r * k * u.reshape(-1)).view(B, T, H, -1).sum(-1, keepdim=True) * v.view(B, T, H, -1)
    return torch.stack(out, 1).view(B, T, C) + now.view(B, T, C)


def wkv7_loop(r, w, k, v, a, b, H, matmul=False):
    """w the log-decay; S [B,H,value,key] = S (e^w + a b') + v k', then y = S r."""
    B, T, C = k.shape
    S, out = r.new_zeros(B, H, C // H, C // H), []
    for rt, wt, kt, vt, at, bt in zip(*[over_time(x, H) for x in (r, w.exp(), k, v, a, b)]):
        sa = S @ at.unsqueeze(-1) if matmul else (S * at.unsqueeze(-2)).sum(-1, keepdim=True)
        S = torch.addcmul(S * wt.unsqueeze(-2), sa, bt.unsqueeze(-2))
        S = torch.addcmul(S, vt.unsqueeze(-1), kt.unsqueeze(-2))
        out.append((S @ rt.unsqueeze(-1)).squeeze(-1) if matmul else (S * rt.unsqueeze(-2)).sum(-1))
    return torch.stack(out, 1).view(B, T, C)


# ---- the same in chunks: products of matrices inside a chunk, a loop over chunks for the state ----


def to_chunks(x, H, c):
    """[B,T,C] -> [n,BH,c,N]"""
    B, T, C = x.shape
    return x.view(B, T // c, c, H, C // H).permute(1, 0, 3, 2, 4).reshape(T // c, B * H, c, C // H)


def from_chunks(y, B, H):
    n, _, c, N = y.shape
    return y.view(n, B, H, c, N).permute(1, 0, 3, 2, 4).reshape(B, n * c, H * N)


def bmm(a, b):
    return torch.bmm(a.flatten(0, 1), b.flatten(0, 1)).view(*a.shape[:-1], b.shape[-1])


def wkv6_chunk(r, k, v, w, u, H, c=16):
    B, T, C = k.shape
    if w.dim() == 1:
        w = w.expand(B, T, C)
    u = u.view(1, H, 1, C // H).expand(B, H, 1, C // H).reshape(1, B * H, 1, C // H)
    r, k, v, w = [to_chunks(x, H, c) for x in (r, k, v, w.clamp(min=-80.0 / c))]  # e^-80 is as good as 0, and finite
    upto = w.cumsum(-2)
    past, total = upto - w, upto[:, :, -1:]
    middle = total / 2  # exponents around it stay small
    A = bmm(r * (past - middle).exp(), (k * (middle - upto).exp()).transpose(-1, -2)).tril(-1)
    A = A + torch.diag_embed((r * k * u).sum(-1))
    added = bmm((k * (total - upto).exp()).transpose(-1, -2), v)  # to the state by a chunk: [n,BH,N,N]
    kept = total.exp().transpose(-1, -2)
    S, states = torch.zeros_like(added[0]), []
    for keep, add in zip(kept.unbind(0), added.unbind(0)):
        states.append(S)
        S = torch.addcmul(add, keep, S)
    return from_chunks(bmm(A, v) + bmm(r * past.exp(), torch.stack(states)), B, H)


def inverse(A):
    """(I - A)^-1 of strictly lower triangular A: (I + A)(I + A^2)(I + A^4)..."""
    X, P, m = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device) + A, A, 2
    while m < A.shape[-1]:
        P = bmm(P, P)
        X = X + bmm(X, P)
        m *= 2
    return X


def wkv7_chunk(r, w, k, v, a, b, H, c=16):
    B = k.shape[0]
    r, w, k, v, a, b = [to_chunks(x, H, c) for x in (r, w, k, v, a, b)]
    upto = w.cumsum(-2)
    past, total = upto - w, upto[:, :, -1:]
    middle = total / 2
    from_state = torch.cat([a * past.exp(), r * upto.exp()], -2)
    ar = torch.cat([a * (past - middle).exp(), r * (upto - middle).exp()], -2)
    to_middle = (middle - upto).exp()
    bk = torch.cat([b * to_middle, k * to_middle], -2)
    M = bmm(ar, bk.transpose(-1, -2))  # [n,BH,2c,2c]: rows a r, columns b k
    ab, ak = M[:, :, :c, :c].tril(-1), M[:, :, :c, c:].tril(-1)
    rb, rk = M[:, :, c:, :c].tril(), M[:, :, c:, c:].tril()
    PQ = bmm(inverse(ab), torch.cat([from_state[:, :, :c], bmm(ak, v)], -1))
    P, Q = PQ.chunk(2, -1)  # S a = P S' + Q, with S the state at the beginning of the chunk
    to_end = (total - upto).exp()
    bk = torch.cat([b * to_end, k * to_end], -2)
    S, states, sa_v = r.new_zeros(r.shape[1], v.shape[-1], r.shape[-1]), [], []
    for Pn, Qn, vn, keep, bkn in zip(P.unbind(0), Q.unbind(0), v.unbind(0), total.exp().unbind(0), bk.unbind(0)):
        states.append(S)
        sv = torch.cat([torch.baddbmm(Qn, Pn, S.transpose(1, 2)), vn], 1)
        sa_v.append(sv)
        S = torch.baddbmm(S * keep, sv.transpose(1, 2), bkn)
    y = bmm(from_state[:, :, c:], torch.stack(states).transpose(-1, -2)) + bmm(torch.cat([rb, rk], -1), torch.stack(sa_v))
    return from_chunks(y, B, H)


# ---- the same by kernels of flash-linear-attention, on a device ----


def fla_wkv6(r, k, v, w, u, H):
    from fla.ops.rwkv6 import chunk_rwkv6
    B, T, C = k.shape
    r, k, v, w = [x.view(B, T, H, C // H) for x in (r, k, v, w.expand(B, T, C))]
    return chunk_rwkv6(r, k, v, w, u.view(H, C // H), scale=1.0)[0].reshape(B, T, C)


def fla_wkv7(r, w, k, v, a, b, H):
    from fla.ops.rwkv7 import chunk_rwkv7
    B, T, C = k.shape
    r, w, k, v, a, b = [x.view(B, T, H, C // H) for x in (r, w, k, v, a, b)]
    return chunk_rwkv7(r, w, k, v, a, b, scale=1.0)[0].reshape(B, T, C)


# ---- the model ----


class Model:
    """form: "loop", "chunk" or "fla"; chunk: its length; matmul: whether the loop reads its state by small matrix products."""

    def __init__(self, version, p, head_size, form="loop", chunk=16, matmul=False):
        self.version, self.p, self.N = version, p, head_size
        self.form, self.chunk, self.matmul = form, chunk, matmul
        self.layers = 1 + max(int(name.split(".")[1]) for name in p if name.startswith("blocks."))

    def linear(self, x, name):
        return F.linear(x, self.p[name + ".weight"])

    def layer_norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.p[name + ".weight"], self.p[name + ".bias"])

    def group_norm(self, y, name):
        p, C = self.p, y.shape[-1]
        return F.group_norm(y.view(-1, C), C // self.N, p[name + ".weight"], p[name + ".bias"], 64e-5).view_as(y)

    def wkv6(self, r, k, v, w, u):
        H = r.shape[-1] // self.N
        if self.form == "fla":
            return fla_wkv6(r, k, v, w, u, H)
        if self.form == "chunk":
            return wkv6_chunk(r, k, v, w, u, H, self.chunk)
        return wkv6_loop(r, k, v, w, u, H, self.matmul)

    def mixed(self, x, name, streams):
        last = before(x)
        return [x * self.p[name + s] + last * (1 - self.p[name + s]) for s in streams]

    def attention_v4(self, x, q):
        p = self.p
        xk, xv, xr = self.mixed(x, q + "time_mix_", "kvr")
        k, v, r = self.linear(xk, q + "key"), self.linear(xv, q + "value"), self.linear(xr, q + "receptance")
        y = wkv4_loop(-torch.exp(p[q + "time_decay"]), p[q + "time_first"], k, v)
        return self.linear(torch.sigmoid(r) * y, q + "output")

    def attention_v52(self, x, q):
        p = self.p
        xk, xv, xr, xg = self.mixed(x, q + "time_mix_", "kvrg")
        k, v, r = self.linear(xk, q + "key"), self.linear(xv, q + "value"), self.linear(xr, q + "receptance")
        y = self.wkv6(r, k, v, -torch.exp(p[q + "time_decay"].reshape(-1)), p[q + "time_faaaa"])
        return self.linear(self.group_norm(y, q + "ln_x") * F.silu(self.linear(xg, q + "gate")), q + "output")

    def attention_v6(self, x, q):
        p = self.p
        B, T, C = x.shape
        dx = before(x) - x
        low = torch.tanh((x + dx * p[q + "time_maa_x"]) @ p[q + "time_maa_w1"]).view(B * T, 5, -1).transpose(0, 1)
        mixes = torch.bmm(low, p[q + "time_maa_w2"]).view(5, B, T, C)
        xw, xk, xv, xr, xg = [x + dx * (p[q + "time_maa_" + s] + mixes[i]) for i, s in enumerate("wkvrg")]
        w = -torch.exp(p[q + "time_decay"] + torch.tanh(xw @ p[q + "time_decay_w1"]) @ p[q + "time_decay_w2"])
        k, v, r = self.linear(xk, q + "key"), self.linear(xv, q + "value"), self.linear(xr, q + "receptance")
        y = self.wkv6(r, k, v, w, p[q + "time_faaaa"])
        return self.linear(self.group_norm(y, q + "ln_x") * F.silu(self.linear(xg, q + "gate")), q + "output")

    def attention_v7(self, x, q):
        p = self.p
        B, T, C = x.shape
        H = C // self.N
        dx = before(x) - x
        xr, xw, xk, xv, xa, xg = [x + dx * p[q + "x_" + s] for s in "rwkvag"]
        r, k, v = self.linear(xr, q + "receptance"), self.linear(xk, q + "key"), self.linear(xv, q + "value")
        w = -math.exp(-0.5) * torch.sigmoid(p[q + "w0"] + torch.tanh(xw @ p[q + "w1"]) @ p[q + "w2"])
        if q.startswith("blocks.0."):
            self.first_v = v
        else:
            v = v + (self.first_v - v) * torch.sigmoid(p[q + "v0"] + (xv @ p[q + "v1"]) @ p[q + "v2"])
        a = torch.sigmoid(p[q + "a0"] + (xa @ p[q + "a1"]) @ p[q + "a2"])
        g = torch.sigmoid(xg @ p[q + "g1"]) @ p[q + "g2"]
        removed = F.normalize((k * p[q + "k_k"]).view(B, T, H, self.N), dim=-1).view(B, T, C)
        k = k * (1 + (a - 1) * p[q + "k_a"])
        if self.form == "fla":
            y = fla_wkv7(r, w, k, v, -removed, removed * a, H)
        elif self.form == "chunk":
            y = wkv7_chunk(r, w, k, v, -removed, removed * a, H, self.chunk)
        else:
            y = wkv7_loop(r, w, k, v, -removed, removed * a, H, self.matmul)
        bonus = ((r * k).view(B, T, H, self.N) * p[q + "r_k"]).sum(-1, keepdim=True) * v.view(B, T, H, self.N)
        return self.linear((self.group_norm(y, q + "ln_x") + bonus.view(B, T, C)) * g, q + "output")

    def channel_mix(self, x, q):
        p = self.p
        if self.version == "v7":
            xk = x + (before(x) - x) * p[q + "x_k"]
            return self.linear(self.linear(xk, q + "key").relu().square(), q + "value")
        if self.version == "v6":
            dx = before(x) - x
            xk, xr = x + dx * p[q + "time_maa_k"], x + dx * p[q + "time_maa_r"]
        else:
            xk, xr = self.mixed(x, q + "time_mix_", "kr")
        value = self.linear(self.linear(xk, q + "key").relu().square(), q + "value")
        return torch.sigmoid(self.linear(xr, q + "receptance")) * value

    def __call__(self, tokens, rows=None):
        """tokens [B,T] -> logits [B,T,V]; with rows, indices into B*T, only theirs."""
        attention = {"v4": self.attention_v4, "v5.2": self.attention_v52, "v6": self.attention_v6,
                     "v7": self.attention_v7}[self.version]
        x = self.layer_norm(F.embedding(tokens, self.p["emb.weight"]), "blocks.0.ln0")
        for i in range(self.layers):
            block = f"blocks.{i}."
            x = x + attention(self.layer_norm(x, block + "ln1"), block + "att.")
            x = x + self.channel_mix(self.layer_norm(x, block + "ln2"), block + "ffn.")
        if rows is not None:
            x = x.reshape(-1, x.shape[-1])[rows]
        return self.linear(self.layer_norm(x, "ln_out"), "head")


# ---- parameters: the official names and shapes; plain values, which the speed does not depend on ----


def shapes(version, V, C, L, N):
    H, wide = C // N, 4 * C if version in ("v4", "v7") else int(3.5 * C) // 32 * 32
    rank = lambda x: max(32, 32 * round(x / 32))
    s = {"emb": (V, C), "head": (V, C), "blocks.0.ln0": (C,), "ln_out": (C,)}
    for i in range(L):
        att, ffn = f"blocks.{i}.att.", f"blocks.{i}.ffn."
        s.update({f"blocks.{i}.ln1": (C,), f"blocks.{i}.ln2": (C,), ffn + "key": (wide, C), ffn + "value": (C, wide)})
        s.update({att + n: (C, C) for n in ("receptance", "key", "value", "output")})
        if version != "v7":
            s[ffn + "receptance"] = (C, C)
        if version != "v4":
            s[att + "ln_x"] = (C,)
        if version in ("v5.2", "v6"):
            s[att + "gate"] = (C, C)
    full = {}
    for name, shape in s.items():
        full[name + ".weight"] = shape
        if ".ln" in name or name == "ln_out":
            full[name + ".bias"] = shape
    for i in range(L):
        att, ffn, one = f"blocks.{i}.att.", f"blocks.{i}.ffn.", (1, 1, C)
        if version in ("v4", "v5.2"):
            full.update({att + "time_mix_" + m: one for m in ("kvr" if version == "v4" else "kvrg")})
            full.update({ffn + "time_mix_" + m: one for m in "kr"})
        if version == "v4":
            full.update({att + "time_decay": (C,), att + "time_first": (C,)})
        if version == "v5.2":
            full.update({att + "time_decay": (H, N), att + "time_faaaa": (H, N)})
        if version == "v6":
            full.update({att + "time_maa_" + m: one for m in "xwkvrg"})
            full.update({ffn + "time_maa_" + m: one for m in "kr"})
            full.update({att + "time_maa_w1": (C, 160), att + "time_maa_w2": (5, 32, C), att + "time_decay": one,
                         att + "time_decay_w1": (C, 64), att + "time_decay_w2": (64, C), att + "time_faaaa": (H, N)})
        if version == "v7":
            ranks = {"w": rank(1.8 * C**0.5), "a": rank(1.8 * C**0.5), "v": rank(1.3 * C**0.5), "g": rank(0.6 * C**0.8)}
            full.update({att + "x_" + m: one for m in "rwkvag"})
            full.update({att + m: one for m in ("w0", "a0", "k_k", "k_a") + (("v0",) if i else ())})
            full.update({att + "r_k": (H, N), ffn + "x_k": one})
            for m, D in ranks.items():
                if i or m != "v":
                    full.update({att + m + "1": (C, D), att + m + "2": (D, C)})
    return full


def parameters(version, V, C, L, N):
    torch.manual_seed(0)
    p = {}
    for name, shape in shapes(version, V, C, L, N).items():
        last = name.split(".")[-1]
        if ".ln" in name or name.startswith("ln_"):
            t = torch.ones(shape) if last == "weight" else torch.zeros(shape)
        elif last.startswith(("x_", "time_m")) and shape == (1, 1, C):
            t = torch.full(shape, 0.5)
        elif last in ("time_decay", "w0"):
            t = torch.full(shape, 0.0 if version == "v4" else -3.0)
        elif last in ("k_k", "k_a"):
            t = torch.ones(shape)
        else:
            t = torch.randn(shape) * 0.02
        p[name] = t.requires_grad_(True)
    return p
