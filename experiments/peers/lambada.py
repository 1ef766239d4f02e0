#!/usr/bin/env python3
"""LAMBADA counted in PyTorch, one passage after the other: what `aviary eval lambada` is compared with.

    python3 lambada.py MODEL.safetensors --vocab rwkv_vocab_v20230424.txt --data lambada_test.jsonl [--limit 200]

MODEL: version 4, 5.2, 6 or 7 under official names, computed in float64; lambada.lua makes one that is right now and then.
The last line: passages=... correct=... accuracy=... perplexity=...
"""
import argparse
import ast
import json
import math
import struct

import torch
from torch_model import Model


def read_safetensors(path):
    types = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    tensors = {}
    for name, e in header.items():
        if name != "__metadata__":
            begin, end = e["data_offsets"]
            t = torch.frombuffer(bytearray(data[begin:end]), dtype=types[e["dtype"]])
            tensors[name] = t.reshape(e["shape"]).double()
    return tensors


def version_of(p):
    for version, name in (("v7", "att.r_k"), ("v6", "att.time_maa_x"), ("v5.2", "att.ln_x.weight"), ("v4", "att.time_decay")):
        if any(n.endswith(name) for n in p):
            return version


class World:
    """The longest token at each place."""

    def __init__(self, path):
        self.ids = {}
        for line in open(path, encoding="utf-8"):
            number, literal = line.split(" ", 1)
            token = ast.literal_eval(literal.rsplit(" ", 1)[0])
            self.ids[token.encode() if isinstance(token, str) else token] = int(number)
        self.longest = max(map(len, self.ids))

    def encode(self, text):
        rest, ids = text.encode(), []
        while rest:
            n = next(n for n in range(min(self.longest, len(rest)), 0, -1) if rest[:n] in self.ids)
            ids.append(self.ids[rest[:n]])
            rest = rest[n:]
        return ids


def main():
    o = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    o.add_argument("model")
    o.add_argument("--vocab", required=True)
    o.add_argument("--data", required=True)
    o.add_argument("--limit", type=int, default=200)
    o.add_argument("--head-size", type=int, default=64)
    o = o.parse_args()
    p, world = read_safetensors(o.model), World(o.vocab)
    version = version_of(p)
    model = Model(version, p, o.head_size)
    front = [0] if version == "v7" else world.encode("\n")
    total, correct, count = 0.0, 0, 0
    for line in open(o.data, encoding="utf-8"):
        if count == o.limit:
            break
        context, word = json.loads(line)["text"].rsplit(" ", 1)
        source, target = front + world.encode(context), world.encode(" " + word)
        with torch.no_grad():
            logits = model(torch.tensor([source + target]))[0]
        right = True
        for i, token in enumerate(target):
            row = logits[len(source) - 1 + i]
            total += torch.log_softmax(row, 0)[token].item()
            right = right and torch.argmax(row).item() == token
        count, correct = count + 1, correct + right
    print(f"passages={count} correct={correct} accuracy={correct / count:.6f} perplexity={math.exp(-total / count):.12g}")


main()
