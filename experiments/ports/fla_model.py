"""RWKV-6 and RWKV-7 of flash-linear-attention, `pip install flash-linear-attention torch safetensors`.

    python3 experiments/ports/fla_model.py v7 [--form sequence|token]

Its kernels are written in Triton: without a GPU its interpreter runs them, slowly."""
import tempfile

import common


def sizes_of(pack):
    w, c = pack.weights, pack.config
    sizes = dict(vocab_size=c["vocab"], hidden_size=c["dim"], num_hidden_layers=c["layers"], fuse_cross_entropy=False,
                 fuse_norm=False, intermediate_size=w["blocks.0.ffn.key.weight"].shape[0])
    if c["version"] == "v7":
        return dict(sizes, head_dim=c["head_size"], **common.low_ranks(pack))
    return dict(sizes, num_heads=c["dim"] // c["head_size"], expand_k=1.0,
                proj_low_rank_dim=w["blocks.0.att.time_maa_w2"].shape[1],
                gate_low_rank_dim=w["blocks.0.att.time_decay_w1"].shape[1])


def port(pack, o):
    import triton_cpu
    import torch
    from safetensors.torch import load_file
    import fla.models as models
    kind = "RWKV" + o.version[1:]
    model = getattr(models, kind + "ForCausalLM")(getattr(models, kind + "Config")(**sizes_of(pack)))
    with tempfile.TemporaryDirectory() as folder:
        model.load_state_dict(load_file(pack.save_weights(folder + "/model.safetensors", names="fla")))
    if o.mended:
        for block in model.model.layers:
            block.attn.g_norm.eps = 64e-5
    model.to(triton_cpu.DEVICE).eval()
    outputs = {}
    for i, block in enumerate(model.model.layers):
        for part, module in (("att", block.attn), ("ffn", block.ffn)):
            rows = outputs.setdefault(f"blocks.{i}.{part}.out", [])
            module.register_forward_hook(lambda m, x, y, rows=rows: rows.append(y[0]))
    with torch.no_grad():
        cache, rows = None, []
        for piece in common.torch_pieces(pack, o, model.device):
            out = model(piece, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            rows.append(out.logits)
    return {name: torch.cat(x, 1).float().cpu().numpy() for name, x in [*outputs.items(), ("logits", rows)]}


common.main(port, __doc__, versions=["v6", "v7"], forms=["sequence", "token"], sizes=common.SIZES,
            packages=["flash-linear-attention", "fla-core", "triton", "torch", "safetensors"],
            mends="the eps of RWKV-6's group norm, 64e-5")
