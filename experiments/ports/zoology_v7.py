"""The RWKV-7 mixer of zoology in a model whose other parts are written here.

    python3 experiments/ports/zoology_v7.py v7 --path ZOOLOGY

ZOOLOGY is a checkout. Needs torch and flash-linear-attention, whose kernels it calls."""
import importlib.util
import os

import common


def mixer_class(path):
    spec = importlib.util.spec_from_file_location("zoology_rwkv7", os.path.join(path, "zoology", "mixers", "rwkv7.py"))
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    for name in ("chunk_rwkv7", "fused_recurrent_rwkv7"):
        kernel = getattr(theirs, name)  # an argument that fla no longer has; its value was the default
        setattr(theirs, name, lambda head_first=False, kernel=kernel, **named: kernel(**named))
    return theirs.RWKV7Attention


def weights_of(block, torch):
    """Official names -> those of the mixer."""
    mixes = torch.cat([block[f"x_{stream}"].reshape(1, -1) for stream in "rwkvag"])
    theirs = {"x_x": mixes, "r_k": block["r_k"], "k_k": block["k_k"].reshape(-1), "k_a": block["k_a"].reshape(-1),
              "g_norm.weight": block["ln_x.weight"], "g_norm.bias": block["ln_x.bias"]}
    for ours, name in (("receptance", "r"), ("key", "k"), ("value", "v"), ("output", "o")):
        theirs[name + "_proj.weight"] = block[ours + ".weight"]
    for name in [x for x in "wavg" if x + "1" in block]:
        theirs[name + "_lora.lora.0.weight"] = block[name + "1"].T
        theirs[name + "_lora.lora.2.weight"] = block[name + "2"].T
        if name != "g":
            theirs[name + "_lora.lora.2.bias"] = block[name + "0"].reshape(-1)
    return theirs


def port(pack, o):
    import triton_cpu
    import torch
    F = torch.nn.functional
    w, c = {name: x.to(triton_cpu.DEVICE) for name, x in common.torch_weights(pack).items()}, pack.config
    RWKV7Attention, result = mixer_class(o.path), {}

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"])

    def time_mix(i, x, v_first):
        begin = f"blocks.{i}.att."
        block = {name[len(begin):]: x for name, x in w.items() if name.startswith(begin)}
        for name in ("v0", "v1", "v2") if i == 0 else ():
            block.pop(name, None)
        mixer = RWKV7Attention(d_model=c["dim"], head_dim=c["head_size"], layer_idx=i, **common.low_ranks(pack))
        mixer.to(x.device).eval()
        mixer.load_state_dict(weights_of(block, torch))
        return mixer(x, v_first=v_first if o.mended and i else None), mixer

    x = norm(w["emb.weight"][common.torch_pieces(pack, o, triton_cpu.DEVICE)[0]], "blocks.0.ln0")
    v_first = None
    for i in range(c["layers"]):
        block = f"blocks.{i}."
        y = norm(x, block + "ln1")
        out, mixer = time_mix(i, y, v_first)
        if i == 0:
            v_first = mixer.v_proj(y.addcmul(F.pad(y, (0, 0, 1, -1)) - y, mixer.x_x[3]))
        x = x + out
        y = norm(x, block + "ln2")
        xk = y.addcmul(F.pad(y, (0, 0, 1, -1)) - y, w[block + "ffn.x_k"])
        k = torch.relu(xk @ w[block + "ffn.key.weight"].T)
        x = x + k**2 @ w[block + "ffn.value.weight"].T
        result[block + "att.out"], result[block + "out.x"] = out, x
    result["logits"] = norm(x, "ln_out") @ w["head.weight"].T
    return {name: x.detach().cpu().numpy() for name, x in result.items()}


common.main(port, __doc__, versions=["v7"], path="a checkout of zoology", sizes=common.SIZES,
            packages=["torch", "flash-linear-attention", "fla-core", "triton"],
            mends="v of layer 0 handed to every layer")
