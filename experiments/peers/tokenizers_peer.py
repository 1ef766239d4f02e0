"""Tokenizers as users of Python have them: the Rust crate behind pip's pyrwkv-tokenizer for World, Hugging Face's tokenizers for
BPE. Both bring their own names; World's vocabulary is the package's own.

  python3 experiments/peers/tokenizers_peer.py --kind world --vocab FILE --text FILE --ids OUT

prints seconds of a run over the whole text (median of 5) and writes the ids to OUT, with a space between. With --serve it stays:
it prints "ready ...", then, for every line with a number n that it reads, the seconds of n runs.
"""

import argparse
import statistics
import sys
import time


def world(vocab):
    try:
        import pyrwkv_tokenizer
    except ImportError:
        sys.exit("this Python has no pyrwkv_tokenizer (pip install pyrwkv-tokenizer)")
    return pyrwkv_tokenizer.RWKVTokenizer().encode, "pyrwkv_tokenizer"


def bpe(vocab):
    try:
        import tokenizers
    except ImportError:
        sys.exit("this Python has no tokenizers (pip install tokenizers)")
    t = tokenizers.Tokenizer.from_file(vocab)
    return lambda text: t.encode(text).ids, "tokenizers " + tokenizers.__version__


def memory():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kind", choices=["world", "bpe"], required=True)
    p.add_argument("--vocab", required=True)
    p.add_argument("--text", required=True)
    p.add_argument("--ids", required=True)
    p.add_argument("--serve", action="store_true")
    o = p.parse_args()
    text = open(o.text, encoding="utf-8", newline="").read()
    encode, name = {"world": world, "bpe": bpe}[o.kind](o.vocab)

    def run():
        start = time.perf_counter()
        encode(text)
        return time.perf_counter() - start

    ids = encode(text)
    with open(o.ids, "w") as f:
        f.write(" ".join(map(str, ids)))
    if not o.serve:
        print("seconds=%.4f" % statistics.median(run() for _ in range(5)))
        return
    print("ready memory_mb=%.0f # %s" % (memory(), name), flush=True)
    for line in sys.stdin:
        print(" ".join("%.6f" % run() for _ in range(int(line))), flush=True)


main()
