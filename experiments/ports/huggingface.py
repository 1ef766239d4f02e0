"""RWKV-4 of Hugging Face, `pip install transformers torch`.

    python3 experiments/ports/huggingface.py v4 [--form sequence|token]"""
import common

RENAMED = {"emb.": "embeddings.", ".att.": ".attention.", ".ffn.": ".feed_forward.", ".ln0.": ".pre_ln.",
           "time_mix_k": "time_mix_key", "time_mix_v": "time_mix_value", "time_mix_r": "time_mix_receptance"}


def theirs(name):
    for old, new in RENAMED.items():
        name = name.replace(old, new)
    return name if name.startswith("head.") else "rwkv." + name


def port(pack, o):
    import torch
    from transformers import RwkvConfig, RwkvForCausalLM
    c = pack.config
    model = RwkvForCausalLM(RwkvConfig(vocab_size=c["vocab"], hidden_size=c["dim"], num_hidden_layers=c["layers"],
                                       intermediate_size=pack.weights["blocks.0.ffn.key.weight"].shape[0]))
    model.load_state_dict({theirs(name): x for name, x in common.torch_weights(pack).items()})
    if o.mended:
        model.config.rescale_every = 0
    model.eval()
    with torch.no_grad():
        rows, state = [], None
        for piece in common.torch_pieces(pack, o):
            out = model(piece, state=state, use_cache=True)
            state = out.state
            rows.append(out.logits)
    return {"logits": torch.cat(rows, 1).numpy()}


common.main(port, __doc__, versions=["v4"], forms=["sequence", "token"], packages=["transformers", "torch"],
            sizes="--layers 7 --dim 128 --vocab 50 --batch 2",
            mends="no rescaling of the residual every 6 layers")
