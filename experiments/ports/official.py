"""The official inference package, `pip install rwkv torch`, on the CPU.

    python3 experiments/ports/official.py v7 [--form token|sequence] [--dtype f32|bf16|fp16]"""
import os
import tempfile

import common

STRATEGY = {"f32": "cpu fp32", "bf16": "cpu bf16", "fp16": "cpu fp16"}


def port(pack, o):
    os.environ["RWKV_V7_ON"] = "1" if o.version == "v7" else "0"  # read when the package is imported
    os.environ["RWKV_JIT_ON"] = "0"
    import numpy
    import torch
    from rwkv.model import RWKV
    with tempfile.TemporaryDirectory() as folder:
        torch.save(common.torch_weights(pack), folder + "/model.pth")
        model = RWKV(model=folder + "/model", strategy=STRATEGY[o.dtype])

    def run(tokens):
        if o.form == "sequence":
            return {"logits": model.forward(tokens, None, full_output=True)[0].float().numpy()}
        rows, state = [], None
        for token in tokens:
            out, state = model.forward([token], state)
            rows.append(out.float().numpy().copy())
        return {"logits": numpy.stack(rows)}
    return common.each_sequence(pack, run)


common.main(port, __doc__, versions=["v4", "v5.0", "v5.1", "v5.2", "v6", "v7"], forms=["sequence", "token"],
            dtypes=["f32", "bf16", "fp16"], packages=["rwkv", "torch"], sizes=common.SIZES)
