"""RWKV-7 in numpy for test_ports.lua: right, or wrong in the eps of its group norm (--form wrong) until --mended."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "experiments", "ports"))
import common  # noqa: E402
import numpy  # noqa: E402


def norm(x, w, name, groups=1, eps=1e-5):
    y = x.reshape(*x.shape[:-1], groups, -1)
    y = (y - y.mean(-1, keepdims=True)) / numpy.sqrt(y.var(-1, keepdims=True) + eps)
    return y.reshape(x.shape) * w[name + ".weight"] + w[name + ".bias"]


def sigmoid(x):
    return 1 / (1 + numpy.exp(-x))


def mix(x, mu):
    return x + (numpy.concatenate([0 * x[:1], x[:-1]]) - x) * mu.reshape(-1)


def time_mix(p, x, v_first, N, eps):
    r, w, k, v, a, g = (mix(x, p["x_" + stream]) for stream in "rwkvag")
    r, k, v, xv = r @ p["receptance.weight"].T, k @ p["key.weight"].T, v @ p["value.weight"].T, v
    w = numpy.exp(-numpy.exp(-0.5) * sigmoid(p["w0"].reshape(-1) + numpy.tanh(w @ p["w1"]) @ p["w2"]))
    a = sigmoid(p["a0"].reshape(-1) + a @ p["a1"] @ p["a2"])
    g = sigmoid(g @ p["g1"]) @ p["g2"]
    if v_first is not None:
        v = v + (v_first - v) * sigmoid(p["v0"].reshape(-1) + xv @ p["v1"] @ p["v2"])
    heads = (len(x), -1, N)
    kappa = (k * p["k_k"].reshape(-1)).reshape(heads)
    kappa = kappa / numpy.maximum(numpy.sqrt((kappa**2).sum(-1, keepdims=True)), 1e-12)
    k = k * (1 + (a - 1) * p["k_a"].reshape(-1))
    R, W, K, V, A = (z.reshape(heads) for z in (r, w, k, v, a))
    S, y = numpy.zeros((R.shape[1], N, N)), []
    for t in range(len(x)):
        removed = numpy.einsum("hvk,hk->hv", S, kappa[t])
        S = S * W[t, :, None] - removed[:, :, None] * (kappa * A)[t, :, None] + V[t, :, :, None] * K[t, :, None]
        y.append(numpy.einsum("hvk,hk->hv", S, R[t]).reshape(-1))
    y = norm(numpy.stack(y), p, "ln_x", R.shape[1], eps)
    y = y + ((R * K * p["r_k"].reshape(-1, N)).sum(-1, keepdims=True) * V).reshape(y.shape)
    return (y * g) @ p["output.weight"].T, v, S


def port(pack, o):
    w, c = {name: x.astype("f8") for name, x in pack.weights.items()}, pack.config
    eps = 1e-5 if o.form == "wrong" and not o.mended else 64e-5

    def run(tokens):
        x, first, result = norm(w["emb.weight"][tokens], w, "blocks.0.ln0"), None, {}
        for i in range(c["layers"]):
            block = f"blocks.{i}."
            p = {name[len(block) + 4:]: z for name, z in w.items() if name.startswith(block + "att.")}
            out, v, result[f"state.{i}.att_kv"] = time_mix(p, norm(x, w, block + "ln1"), first, c["head_size"], eps)
            first, x = v if first is None else first, x + out
            k = mix(norm(x, w, block + "ln2"), w[block + "ffn.x_k"]) @ w[block + "ffn.key.weight"].T
            x = x + numpy.maximum(k, 0)**2 @ w[block + "ffn.value.weight"].T
        return {"logits": norm(x, w, "ln_out") @ w["head.weight"].T, **result}
    return common.each_sequence(pack, run)


common.main(port, __doc__, versions=["v7", "v4"], forms=["right", "wrong"], packages=["numpy"],
            sizes="--layers 2 --batch 2 --len 8", mends="the eps of the group norm")
