"""rwkv.cpp as a peer in decoding: token after token through its public C interface. It is not part of this program: the
path of its library is given by --library or RWKV_CPP.

  RWKV_CPP=PATH/librwkv.so python3 experiments/peers/rwkv_cpp.py --version v7 --size 0.1b --dtype f16 --threads 1 -n 64

prints tokens_per_s=... (median). The weights are random, as those of `aviary bench decode`; with --model they are those of
a file that aviary wrote (model:pack("f32" or "f16"):save(path)), and with --logits 1,2,3 the first of the logits after these
tokens are printed, to see that both compute the same. With --serve it stays: it prints "ready ...", then, for every line
with a number n that it reads, the seconds of n single tokens. Nothing beyond the standard library is needed.
"""

import argparse
import array
import ctypes
import json
import math
import os
import random
import struct
import sys
import tempfile
import time

MAGIC, FORMAT = 0x67676D66, 101
TYPES = {"F32": 0, "F16": 1}
UNUSED = ("blocks.0.att.v0", "blocks.0.att.v1", "blocks.0.att.v2")  # refused, where a file has them
LOW_RANK = ("w1", "w2", "a1", "a2", "v1", "v2", "g1", "g2")


class Tensors:
    """A safetensors file."""

    def __init__(self, path):
        self.file = open(path, "rb")
        size = struct.unpack("<Q", self.file.read(8))[0]
        self.header = json.loads(self.file.read(size))
        self.header.pop("__metadata__", None)
        self.start = 8 + size

    def read(self, name):
        """Type, shape, bytes."""
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        self.file.seek(self.start + begin)
        if entry["dtype"] not in TYPES:
            sys.exit(f"{name} is {entry['dtype']}: rwkv.cpp takes F32 and F16")
        return entry["dtype"], entry["shape"], self.file.read(end - begin)


SIZES = {"0.1b": (12, 768, 65536), "0.4b": (24, 1024, 65536), "1.5b": (24, 2048, 65536), "tiny": (2, 64, 256)}


def shapes(version, layers, dim, vocab):
    """The parameters of a version: name, shape."""

    def rank(x):
        return max(32, 32 * round(x / 32))

    yield "emb.weight", [vocab, dim]
    for i in range(layers):
        block = f"blocks.{i}."
        for norm in (["ln0"] if i == 0 else []) + ["ln1", "ln2"]:
            yield block + norm + ".weight", [dim]
            yield block + norm + ".bias", [dim]
        for name in ("key", "value", "receptance", "output"):
            yield f"{block}att.{name}.weight", [dim, dim]
        yield block + "ffn.key.weight", [4 * dim, dim]
        yield block + "ffn.value.weight", [dim, 4 * dim]
        if version == "v4":
            for name in ("time_decay", "time_first"):
                yield f"{block}att.{name}", [dim]
            for name in ("att.time_mix_k", "att.time_mix_v", "att.time_mix_r", "ffn.time_mix_k", "ffn.time_mix_r"):
                yield block + name, [1, 1, dim]
            yield block + "ffn.receptance.weight", [dim, dim]
        else:
            for name in ("x_r", "x_w", "x_k", "x_v", "x_a", "x_g", "w0", "a0", "v0", "k_k", "k_a"):
                yield f"{block}att.{name}", [1, 1, dim]
            ranks = {"w": 1.8 * dim**0.5, "a": 1.8 * dim**0.5, "v": 1.3 * dim**0.5, "g": 0.6 * dim**0.8}
            for letter, size in ranks.items():
                yield f"{block}att.{letter}1", [dim, rank(size)]
                yield f"{block}att.{letter}2", [rank(size), dim]
            yield block + "att.r_k", [dim // 64, 64]
            yield block + "att.ln_x.weight", [dim]
            yield block + "att.ln_x.bias", [dim]
            yield block + "ffn.x_k", [1, 1, dim]
    for name in ("ln_out.weight", "ln_out.bias"):
        yield name, [dim]
    yield "head.weight", [vocab, dim]


class Random:
    """Like Tensors, of uniform numbers: their values do not matter for the speed."""

    def __init__(self, version, size, dtype):
        self.header = {name: {"shape": shape, "dtype": self.type_of(name, shape, dtype)}
                       for name, shape in shapes(version, *SIZES[size])}
        numbers = [random.Random(1).uniform(-0.05, 0.05) for _ in range(1 << 16)]
        self.block = {"F32": struct.pack(f"={len(numbers)}f", *numbers), "F16": struct.pack(f"={len(numbers)}e", *numbers)}

    @staticmethod
    def type_of(name, shape, dtype):
        return "F16" if dtype == "f16" and len(shape) == 2 and not name.endswith("r_k") else "F32"

    def read(self, name):
        entry = self.header[name]
        kind, shape, block = entry["dtype"], entry["shape"], self.block[entry["dtype"]]
        size = math.prod(shape) * (4 if kind == "F32" else 2)
        return kind, shape, (block * (size // len(block) + 1))[:size]


def transposed(kind, shape, data):
    numbers = array.array("f" if kind == "F32" else "H", data)
    rows, columns = shape
    out = array.array(numbers.typecode, (0,) * len(numbers))
    for i in range(rows):
        out[i::rows] = numbers[i * columns : (i + 1) * columns]
    return kind, [columns, rows], out.tobytes()


def entries(tensors, version):
    """(name, type, shape, bytes) as rwkv.cpp wants them: see its docs/FILE_FORMAT.md and its converter."""
    for name in tensors.header:
        part = name.rsplit(".", 1)[-1]
        if version == "v7" and ".att.x_" in name:
            if part == "x_r":  # the six mixes follow each other in one tensor
                kind, shape, _ = tensors.read(name)
                mixes = b"".join(tensors.read(name[:-1] + stream)[2] for stream in "rwkvag")
                yield name[:-1] + "rwkvag", kind, [6, 1, shape[-1]], mixes
            continue
        if name in UNUSED:
            continue
        kind, shape, data = tensors.read(name)
        if version == "v7" and part in LOW_RANK and ".att." in name:
            kind, shape, data = transposed(kind, shape, data)
        if ".time_" in name:
            shape = [n for n in shape if n != 1]
        if part == "time_decay":
            data = array.array("f", (-math.exp(x) for x in array.array("f", data))).tobytes()
        yield name, kind, shape, data


def convert(tensors, target):
    version = "v7" if "blocks.0.att.k_k" in tensors.header else "v4"
    if version == "v4" and "blocks.0.att.ln_x.weight" in tensors.header:
        sys.exit("this converts v4 and v7 only")
    vocab, dim = tensors.header["emb.weight"]["shape"]
    layers = sum(name.endswith(".ln1.weight") for name in tensors.header)
    kind = TYPES[tensors.header["emb.weight"]["dtype"]]
    with open(target, "wb") as out:
        out.write(struct.pack("=6i", MAGIC, FORMAT, vocab, dim, layers, kind))
        for name, dtype, shape, data in entries(tensors, version):
            key = name.encode()
            out.write(struct.pack("=3i", len(shape), len(key), TYPES[dtype]))
            out.write(struct.pack(f"={len(shape)}i", *reversed(shape)))
            out.write(key + data)
    return version


class Peer:
    def __init__(self, library, path, threads):
        self.lib = ctypes.CDLL(library)
        self.lib.rwkv_init_from_file.restype = ctypes.c_void_p
        self.lib.rwkv_init_from_file.argtypes = [ctypes.c_char_p, ctypes.c_uint32, ctypes.c_uint32]
        floats = ctypes.POINTER(ctypes.c_float)
        self.lib.rwkv_eval.restype = ctypes.c_bool
        self.lib.rwkv_eval.argtypes = [ctypes.c_void_p, ctypes.c_uint32, floats, floats, floats]
        sizes = {}
        for name in ("rwkv_get_state_len", "rwkv_get_logits_len"):
            function = getattr(self.lib, name)
            function.restype, function.argtypes = ctypes.c_size_t, [ctypes.c_void_p]
            sizes[name] = function
        self.context = self.lib.rwkv_init_from_file(path.encode(), threads, 0)
        if not self.context:
            sys.exit("rwkv.cpp could not load the model")
        self.state = (ctypes.c_float * sizes["rwkv_get_state_len"](self.context))()
        self.logits = (ctypes.c_float * sizes["rwkv_get_logits_len"](self.context))()
        self.begun = False

    def token(self, token):
        """Seconds of one token; the logits are left in self.logits."""
        start = time.perf_counter()
        if not self.lib.rwkv_eval(self.context, token, self.state if self.begun else None, self.state, self.logits):
            sys.exit("rwkv.cpp failed at a token")
        self.begun = True
        return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default=os.environ.get("RWKV_CPP"), help="librwkv.so; default: $RWKV_CPP")
    parser.add_argument("--version", default="v7", choices=("v4", "v7"))
    parser.add_argument("--size", default="0.1b", choices=SIZES)
    parser.add_argument("--dtype", default="f32", choices=("f32", "f16"))
    parser.add_argument("--model", help="a safetensors file, in place of random weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-n", "--tokens", type=int, default=64)
    parser.add_argument("--logits", help="comma-separated tokens: print the first 8 logits after them, and end")
    parser.add_argument("--serve", action="store_true")
    o = parser.parse_args()
    if not o.library:
        sys.exit("rwkv.cpp's library is needed: --library PATH or RWKV_CPP=PATH")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "model.bin")
        version = convert(Tensors(o.model) if o.model else Random(o.version, o.size, o.dtype), path)
        peer = Peer(o.library, path, o.threads)
    if o.logits:
        for token in o.logits.split(","):
            peer.token(int(token))
        print(" ".join(f"{x:.6g}" for x in peer.logits[:8]))
        return
    rng, vocab = random.Random(1), len(peer.logits)
    for _ in range(4):
        peer.token(rng.randrange(vocab))
    if o.serve:
        print(f"ready version={version} threads={o.threads}", flush=True)
        for line in sys.stdin:
            print(" ".join(f"{peer.token(rng.randrange(vocab)):.6f}" for _ in range(int(line))), flush=True)
        return
    times = sorted(peer.token(rng.randrange(vocab)) for _ in range(o.tokens))
    print(f"tokens_per_s={1 / times[len(times) // 2]:.2f}")


main()
