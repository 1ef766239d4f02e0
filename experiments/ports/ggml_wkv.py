"""The recurrences of ggml on the CPU, which llama.cpp runs: each layer gets the operands of the pack.

    python3 experiments/ports/ggml_wkv.py v7 --path LIBRARIES [--pack PACK]

LIBRARIES is the folder with libggml-base.so and libggml-cpu.so, of ggml or llama.cpp. A pack of another head size shows
whether the vector loops have a tail: aviary golden make v7 --dim 96 --heads 2 --no-sensitivity --no-gradients PACK"""
import ctypes
import os

import common


class Params(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class Ggml:
    """As much of its C interface as one op needs."""

    def __init__(self, folder):
        self.base = ctypes.CDLL(os.path.join(folder, "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
        self.cpu = ctypes.CDLL(os.path.join(folder, "libggml-cpu.so"))
        pointer = ctypes.c_void_p
        for library, name, result, arguments in (
                (self.base, "ggml_init", pointer, [Params]), (self.base, "ggml_free", None, [pointer]),
                (self.base, "ggml_new_tensor_3d", pointer, [pointer, ctypes.c_int, *[ctypes.c_int64] * 3]),
                (self.base, "ggml_get_data_f32", pointer, [pointer]), (self.base, "ggml_new_graph", pointer, [pointer]),
                (self.base, "ggml_rwkv_wkv6", pointer, [pointer] * 7),
                (self.base, "ggml_rwkv_wkv7", pointer, [pointer] * 8),
                (self.base, "ggml_build_forward_expand", None, [pointer] * 2),
                (self.cpu, "ggml_graph_compute_with_ctx", ctypes.c_int, [pointer, pointer, ctypes.c_int])):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments

    def run(self, op, operands, count):
        """operands: arrays of float32; -> the count numbers of the result."""
        import numpy
        size = sum(x.nbytes for x in operands) + 4 * count + (1 << 20)
        context = self.base.ggml_init(Params(size, None, False))
        pointers = []
        for x in operands:
            sizes = [*reversed(x.shape), 1, 1][:3]
            pointers.append(self.base.ggml_new_tensor_3d(context, 0, *sizes))
            ctypes.memmove(self.base.ggml_get_data_f32(pointers[-1]), numpy.ascontiguousarray(x).ctypes.data, x.nbytes)
        result = getattr(self.base, op)(context, *pointers)
        graph = self.base.ggml_new_graph(context)
        self.base.ggml_build_forward_expand(graph, result)
        self.cpu.ggml_graph_compute_with_ctx(context, graph, 1)
        data = ctypes.cast(self.base.ggml_get_data_f32(result), ctypes.POINTER(ctypes.c_float * count))
        found = numpy.array(data.contents, numpy.float32)
        self.base.ggml_free(context)
        return found


def port(pack, o):
    import numpy
    ggml = Ggml(o.path)
    B, T = pack.tokens.shape
    N = pack.config["head_size"]
    result = {}
    for i in range(pack.config["layers"]):
        def operand(name):
            return pack[f"trace.blocks.{i}.att.{name}"].reshape(B * T, -1, N).astype(numpy.float32)
        r, w, k, v = operand("r"), numpy.exp(operand("w")), operand("k"), operand("v")
        C = v[0].size
        state = numpy.zeros((B, C * N), numpy.float32)
        if o.version == "v7":
            kappa, a = operand("kappa"), operand("a")
            operands = r, w, k, v, -kappa, kappa * a, state
        else:
            operands = k, v, r, pack.weights[f"blocks.{i}.att.time_faaaa"].reshape(-1, N), w, state
        found = ggml.run("ggml_rwkv_wkv" + o.version[1:], operands, B * T * C + B * C * N)
        result[f"blocks.{i}.att.wkv"] = found[:B * T * C].reshape(B, T, C)
        result[f"state.{i}.att_kv"] = found[B * T * C:].reshape(B, C // N, N, N)
    return result


common.main(port, __doc__, versions=["v6", "v7"], path="the folder with libggml-base.so and libggml-cpu.so",
            sizes=common.SIZES)
