"""The recurrences of rwkv-ops, `pip install rwkv-ops keras torch`: each layer gets the operands of the pack.

    python3 experiments/ports/keras_ops.py v7"""
import os

import common


def port(pack, o):
    import numpy
    os.environ.update(KERNEL_TYPE="native", KERAS_BACKEND="torch")
    import rwkv_ops
    B, T = pack.tokens.shape
    N = pack.config["head_size"]
    result = {}
    for i in range(pack.config["layers"]):
        def operand(name):
            return pack[f"trace.blocks.{i}.att.{name}"].reshape(B, T, -1, N).astype(numpy.float32)
        r, k, v = operand("r"), operand("k"), operand("v")
        w = numpy.log(-operand("w"))
        if o.version == "v7":
            kappa, a = operand("kappa"), operand("a")
            y, state = rwkv_ops.generalized_delta_rule(*map(torch_of, (r, w, k, v, -kappa, kappa * a)))
        else:
            u = pack.weights[f"blocks.{i}.att.time_faaaa"]
            flat = [torch_of(x.reshape(B, T, -1)) for x in (r, k, v, w)]
            kernel = rwkv_ops.get_rwkv6_kernel(HEAD_SIZE=N, KERNEL_TYPE="native")
            y, state = kernel(*flat, torch_of(u), output_final_state=True)
        result[f"blocks.{i}.att.wkv"] = y.cpu().numpy().reshape(B, T, -1)
        result[f"state.{i}.att_kv"] = state.cpu().numpy()
    return result


def torch_of(x):
    import torch
    return torch.from_numpy(x.copy())


common.main(port, __doc__, versions=["v6", "v7"], packages=["rwkv-ops", "keras", "torch"], sizes=common.SIZES)
