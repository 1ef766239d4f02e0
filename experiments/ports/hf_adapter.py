"""RWKV-7 of hf-adapter, `pip install rwkv7-hf torch transformers`, loaded by its own converter's rules.

    python3 experiments/ports/hf_adapter.py v7 [--form sequence|token] [--dtype f32|bf16|fp16]"""
import common


def port(pack, o):
    import torch
    from rwkv7_hf import converter
    c = pack.config
    config = converter.RWKV7Config(
        vocab_size=c["vocab"], hidden_size=c["dim"], num_hidden_layers=c["layers"], head_dim=c["head_size"],
        intermediate_size=pack.weights["blocks.0.ffn.key.weight"].shape[0], **common.low_ranks(pack))
    dtype = common.torch_dtype(o)
    model = converter.build_template_model(config, dtype).eval()
    template, state = model.state_dict(), {}
    for name, x in common.torch_weights(pack).items():
        to, transposed = converter.translate_name(name, c["layers"])
        if to:
            state[to] = converter.prepare_translated_weight(x, src_name=name, dst_name=to, transposed=transposed,
                                                            expected=template[to], dtype=dtype)
    model.load_state_dict(state)
    with torch.no_grad():
        cache, rows = None, []
        for piece in common.torch_pieces(pack, o):
            out = model(piece, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            rows.append(out.logits.float())
    result = {"logits": torch.cat(rows, 1).numpy()}
    for i in range(c["layers"]):
        result[f"state.{i}.att_kv"] = cache[i]["recurrent_state"].float().numpy()
    return result


common.main(port, __doc__, versions=["v7"], forms=["sequence", "token"], dtypes=["f32", "bf16", "fp16"],
            packages=["rwkv7-hf", "transformers", "torch"], sizes=common.SIZES)
