"""Makes runtime.safetensors: what the official inference code makes of the weights in this folder, in three arithmetics.
    pip install rwkv==0.8.32 torch==2.15.0 safetensors numpy && python tests/golden/runtime.py
Logits of the package's own forward, on the CPU, token by token: "v7.bf16" [T,V] and so on."""
import os
import subprocess
import sys

import numpy
import torch
from safetensors.numpy import load_file, save_file

folder = os.path.dirname(os.path.abspath(__file__))
versions = {"v4": "v4", "v5_0": "v5.0", "v5_1": "v5.1", "v5_2": "v5.2", "v6_0": "v6", "v7": "v7"}


def logits(name, arithmetic):
    os.environ["RWKV_V7_ON"] = "1" if name == "v7" else "0"  # the package looks at it when it is imported
    os.environ["RWKV_JIT_ON"] = "0"
    from rwkv.model import RWKV
    weights = {k: torch.from_numpy(v.astype(numpy.float32)) for k, v in load_file(f"{folder}/{name}.weights.safetensors").items()}
    tokens = load_file(f"{folder}/{name}.golden.safetensors")["tokens"].reshape(-1).tolist()
    path = os.path.join(sys.argv[3], name)
    torch.save(weights, path + ".pth")
    torch.set_num_threads(1)
    model, state, rows = RWKV(model=path, strategy="cpu " + arithmetic), None, []
    for token in tokens:
        out, state = model.forward([token], state)
        rows.append(out.float().numpy().copy())
    numpy.save(path + ".npy", numpy.stack(rows))


if len(sys.argv) > 1:
    logits(sys.argv[1], sys.argv[2])
else:
    import tempfile
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, version in versions.items():
            for arithmetic, short in (("fp32", "f32"), ("bf16", "bf16"), ("fp16", "fp16")):
                subprocess.run([sys.executable, __file__, name, arithmetic, scratch], check=True, stdout=subprocess.DEVNULL)
                found[f"{version}.{short}"] = numpy.load(f"{scratch}/{name}.npy")
    save_file(found, f"{folder}/runtime.safetensors", {"made_by": "rwkv 0.8.32, torch " + torch.__version__})
