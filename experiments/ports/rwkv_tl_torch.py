"""RWKV-7 of rwkv-tl without a GPU (its PyTorch form), `pip install rwkv-tl torch`.

    python3 experiments/ports/rwkv_tl_torch.py v7 [--form sequence|token] [--dtype f32|bf16|fp16]"""
import tempfile

import common


def port(pack, o):
    import torch
    from rwkv_tl.core.state import State
    from rwkv_tl.rwkv7_torch import RWKV7Torch
    dtype = common.torch_dtype(o)
    with tempfile.TemporaryDirectory() as folder:
        weights = common.torch_weights(pack)
        for name in ("v0", "v1", "v2"):  # it wants them in every layer, and does not use those of the first
            weights["blocks.0.att." + name] = weights["blocks.1.att." + name]
        torch.save(weights, folder + "/model.pth")
        model = RWKV7Torch(folder + "/model.pth", device="cpu", dtype=dtype)

    def state():
        return State(model.L, model.C, model.N, device="cpu", dtype=dtype)

    def run(tokens):
        tokens, now = torch.tensor(tokens), state()
        with torch.no_grad():
            if o.form == "token":
                rows = [model.decode(token, now)[0].float() for token in tokens]
            else:
                rows = [model.forward(tokens[:t + 1], now := state())[0].float() for t in range(len(tokens))]
        return {"logits": torch.stack(rows).numpy(),
                **{f"state.{i}.att_kv": layer["rnn"].numpy() for i, layer in enumerate(now.tmix)}}
    return common.each_sequence(pack, run)


common.main(port, __doc__, versions=["v7"], forms=["sequence", "token"], dtypes=["f32", "bf16", "fp16"],
            packages=["rwkv-tl", "torch"], sizes=common.SIZES)
