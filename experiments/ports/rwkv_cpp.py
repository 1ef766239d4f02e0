"""rwkv.cpp, built as a shared library: the pack goes through its converter, then token by token or as a sequence.

    python3 experiments/ports/rwkv_cpp.py v7 --path RWKV.CPP [--form sequence|token|sorted]

RWKV.CPP is a checkout with build/librwkv.so (cmake -B build && cmake --build build). Needs torch, for the converter.
--form sorted: the keys of the .pth stand in alphabetical order, as many programs write them."""
import ctypes
import os
import subprocess
import sys
import tempfile

import common


def load(folder, path):
    lib = ctypes.CDLL(os.path.join(folder, "build", "librwkv.so"))
    lib.rwkv_init_from_file.restype = ctypes.c_void_p
    lib.rwkv_init_from_file.argtypes = [ctypes.c_char_p, ctypes.c_uint32, ctypes.c_uint32]
    floats = ctypes.POINTER(ctypes.c_float)
    lib.rwkv_eval.restype = lib.rwkv_eval_sequence.restype = ctypes.c_bool
    lib.rwkv_eval.argtypes = [ctypes.c_void_p, ctypes.c_uint32, floats, floats, floats]
    lib.rwkv_eval_sequence.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32), ctypes.c_size_t, *[floats] * 3]
    for name in ("rwkv_get_state_len", "rwkv_get_logits_len"):
        getattr(lib, name).restype, getattr(lib, name).argtypes = ctypes.c_size_t, [ctypes.c_void_p]
    return lib, lib.rwkv_init_from_file(path.encode(), 1, 0) or sys.exit("rwkv.cpp could not load the model")


def port(pack, o):
    import numpy
    import torch
    weights = common.torch_weights(pack)
    order = sorted(weights) if o.form == "sorted" else [name for name in weights if name not in UNUSED]
    with tempfile.TemporaryDirectory() as folder:
        torch.save({name: weights[name] for name in order if name not in UNUSED}, folder + "/model.pth")
        converter = os.path.join(o.path, "python", "convert_pytorch_to_ggml.py")
        subprocess.run([sys.executable, converter, folder + "/model.pth", folder + "/model.bin", "FP32"], check=True,
                       stdout=subprocess.DEVNULL)
        lib, context = load(o.path, folder + "/model.bin")
    state = (ctypes.c_float * lib.rwkv_get_state_len(context))()
    logits = (ctypes.c_float * lib.rwkv_get_logits_len(context))()

    def run(tokens):
        rows = []
        for t, token in enumerate(tokens):
            if o.form == "sequence":  # it gives the last logits alone: every beginning of the sequence is one
                ids = (ctypes.c_uint32 * (t + 1))(*tokens[:t + 1])
                done = lib.rwkv_eval_sequence(context, ids, t + 1, None, state, logits)
            else:
                done = lib.rwkv_eval(context, token, state if t else None, state, logits)
            if not done:
                sys.exit(f"rwkv.cpp failed at token {t}")
            rows.append(numpy.array(logits, numpy.float32))
        return {"logits": numpy.stack(rows)}
    return common.each_sequence(pack, run)


UNUSED = ("blocks.0.att.v0", "blocks.0.att.v1", "blocks.0.att.v2")  # it refuses them

common.main(port, __doc__, versions=["v4", "v5.0", "v5.1", "v5.2", "v6", "v7"], forms=["token", "sequence", "sorted"],
            path="a checkout of rwkv.cpp with build/librwkv.so", packages=["torch"], sizes=common.SIZES)
