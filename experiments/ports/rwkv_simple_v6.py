"""RWKV-6 of rwkv-simple, `pip install rwkv-simple torch einops`: its recurrence in PyTorch, in chunks or by token.

    python3 experiments/ports/rwkv_simple_v6.py v6 [--form sequence|token]"""
import common


def port(pack, o):
    import torch
    import rwkv_simple.rwkv as theirs
    torch._dynamo.config.disable = True  # as it is written, not compiled
    c, w = pack.config, pack.weights
    theirs.TimeMix._TM_EXTRA_DIM = w["blocks.0.att.time_maa_w2"].shape[1]
    theirs.TimeMix._TD_EXTRA_DIM = w["blocks.0.att.time_decay_w1"].shape[1]
    if o.mended:
        clamp = torch.Tensor.clamp
        torch.Tensor.clamp = lambda x, *a, **named: x if a == (0.005,) else clamp(x, *a, **named)
    model = theirs.RWKV(c["dim"], c["head_size"], w["blocks.0.ffn.key.weight"].shape[0] / c["dim"], n_layer=c["layers"],
                        vocab_size=c["vocab"], tmix_kwargs={"wkv_backend": theirs.WKVBackend.PYTORCH_OPTIMIZED})
    model.load_state_dict(common.torch_weights(pack))
    with torch.no_grad():
        state, rows = None, []
        for piece in common.torch_pieces(pack, o):
            logits, state = model(piece, state)
            rows.append(logits)
    return {"logits": torch.cat(rows, 1).numpy(),
            **{f"state.{i}.att_kv": s[0][1].numpy() for i, s in enumerate(state)}}


common.main(port, __doc__, versions=["v6"], forms=["sequence", "token"], packages=["rwkv-simple", "torch", "einops"],
            sizes=common.SIZES, mends="without the clamp of decays at 0.005")
