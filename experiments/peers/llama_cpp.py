"""llama.cpp as a peer in decoding: token after token of RWKV-7. It is not part of this program: the path of its own
benchmark, llama-bench, is given by --program or LLAMA_BENCH.

  LLAMA_BENCH=PATH/llama-bench python3 experiments/peers/llama_cpp.py --size 0.1b --dtype f16 --threads 1 -n 64

prints tokens_per_s=... . The weights are random, as those of `aviary bench decode`, in a file that aviary writes; with --model
they are those of a GGUF file. With --serve it stays: it prints "ready ...", then, for every line with a number n that it
reads, the seconds of a token, the mean of n. Nothing beyond the standard library is needed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def run(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["status %d" % done.returncode]
        sys.exit(f"{command[0]}: {said[-1]}")
    return done.stdout


def write_model(o, path):
    script = os.path.join(HERE, "llama_cpp.lua")
    run([o.aviary, "--trust", script, "--version", o.version, "--size", o.size, "--dtype", o.dtype, "--out", path])


def seconds_a_token(o, path, tokens):
    """llama-bench loads the model, takes a few tokens to warm up, then so many."""
    command = [o.program, "-m", path, "-p", "0", "-n", str(tokens), "-r", "1", "-t", str(o.threads), "-o", "json"]
    return json.loads(run(command))[0]["avg_ns"] / 1e9 / tokens


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.environ.get("LLAMA_BENCH"), help="llama-bench; default: $LLAMA_BENCH")
    parser.add_argument("--aviary", default=os.path.join(HERE, "..", "..", "aviary"), help="the program that writes the model")
    parser.add_argument("--version", default="v7", choices=("v7",))
    parser.add_argument("--size", default="0.1b")
    parser.add_argument("--dtype", default="f32", choices=("f32", "f16", "bf16"))
    parser.add_argument("--model", help="a GGUF file, in place of random weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-n", "--tokens", type=int, default=64)
    parser.add_argument("--serve", action="store_true")
    o = parser.parse_args()
    if not o.program:
        sys.exit("llama.cpp's benchmark is needed: --program PATH or LLAMA_BENCH=PATH")
    with tempfile.TemporaryDirectory() as directory:
        path = o.model or os.path.join(directory, "model.gguf")
        if not o.model:
            write_model(o, path)
        if not o.serve:
            print(f"tokens_per_s={1 / seconds_a_token(o, path, o.tokens):.2f}")
            return
        print(f"ready version={o.version} threads={o.threads}", flush=True)
        for line in sys.stdin:
            print(f"{seconds_a_token(o, path, int(line)):.6f}", flush=True)


main()
