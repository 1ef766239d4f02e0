"""What every port in this folder needs: a golden pack as arrays, a file for what the port computes, and the verdict.

    import common

    def port(pack, o):  # numpy arrays in, numpy arrays out, under the names of a pack
        return {"logits": my_model(pack.weights, pack.tokens)}

    common.main(port, __doc__, versions=["v7"])

A port is run by `python3 experiments/ports/NAME.py VERSION`; it needs numpy, and ./aviary of this checkout.
Explained in lua/pages/ports.md."""
import argparse
import importlib.metadata
import json
import os
import struct
import subprocess
import sys
import traceback


def fail(message):
    """Ends with the status of what could not be compared; 1 is for numbers that are off."""
    print(message, file=sys.stderr)
    sys.exit(2)


try:
    import numpy
except ImportError:
    fail("numpy is needed: pip install numpy")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "BF16": "<u2"}
SIZES = "--layers 3 --dim 128 --heads 2 --vocab 50 --batch 2"  # head size 64, as most ports want it
RESULTS = ("tokens", "targets", "trace.", "state.", "logits", "loss", "grad.", "f32.", "bf16.", "fp16.")


class Pack:
    """A golden pack.

    tokens   [B,T] int64; targets likewise, if it has them
    config   sizes by name: version, layers, dim, vocab, head_size, ..
    weights  {official name: float array of the official shape}
    [NAME]   any tensor of it, such as pack["trace.blocks.0.att.w"]"""

    def __init__(self, path, aviary=None):
        self.aviary = aviary
        try:
            with open(path, "rb") as file:
                header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
                data = file.read()
        except (OSError, ValueError, struct.error) as error:
            fail(f"{path}: {error}; expected a golden pack")
        self.path, self.meta = path, header.pop("__metadata__", {})
        if not self.meta.get("format", "").startswith("aviary golden"):
            fail(f"{path}: not a golden pack (`aviary golden make` writes one)")
        self.tensors = {name: self._array(data, entry) for name, entry in header.items()}
        self.config = {key[7:]: value if key == "config.version" else float(value) if "." in value else int(value)
                       for key, value in self.meta.items() if key.startswith("config.")}
        self.weights = {name: x for name, x in self.tensors.items() if not name.startswith(RESULTS)}
        self.tokens, self.targets = self["tokens"], self.tensors.get("targets")

    @staticmethod
    def _array(data, entry):
        begin, end = entry["data_offsets"]
        x = numpy.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":
            x = (x.astype("<u4") << 16).view("<f4")
        return x.reshape(entry["shape"])

    def __getitem__(self, name):
        return self.tensors[name]

    def save_weights(self, path, names="official"):
        """Writes the weights for the port's own loader; the ending of path says as what: .pth, .npz, .safetensors.
        names: official or fla, as `aviary convert` knows them."""
        plain = path + ".official.npz"
        numpy.savez(plain, **self.weights)
        if subprocess.call([self.aviary, "convert", plain, path, "--names", names], stdout=subprocess.DEVNULL):
            sys.exit(2)
        os.remove(plain)
        return path


def each_sequence(pack, run):
    """For ports that take one sequence at a time: run(tokens [T]) -> {name: array}, put together along axis 0."""
    rows = [run(tokens) for tokens in pack.tokens.tolist()]
    return {name: numpy.stack([row[name] for row in rows]) for name in rows[0]}


def torch_weights(pack):
    """The weights as tensors of PyTorch, in float32 as the pack has them; the port's own loader rounds them."""
    import torch
    return {name: torch.from_numpy(x.copy()) for name, x in pack.weights.items()}


def torch_pieces(pack, o, device="cpu"):
    """The tokens as a list of tensors of PyTorch: [B,T] for --form sequence, T times [B,1] for --form token."""
    import torch
    tokens = torch.from_numpy(pack.tokens.copy()).to(device)
    return [tokens] if o.form == "sequence" else tokens.split(1, 1)


def torch_dtype(o):
    import torch
    return {"f32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[o.dtype]


def low_ranks(pack):
    """Ranks of RWKV-7's low-rank maps, as fla and what follows it call them."""
    return {f"{theirs}_low_rank_dim": pack.weights[f"blocks.1.att.{ours}1"].shape[1]
            for theirs, ours in (("decay", "w"), ("a", "a"), ("v", "v"), ("gate", "g"))}


def _needs(packages, path, given):
    if path:
        if not given:
            fail(f"--path is needed: {path}")
        if not os.path.exists(given):
            fail(f"--path {given}: there is no such file; expected {path}")
        folder = given if os.path.isdir(given) else os.path.dirname(os.path.abspath(given))
        git = subprocess.run(["git", "-C", folder, "log", "-1", "--format=commit %h of %cs"], capture_output=True,
                             text=True)
        print(given, git.stdout.strip() or "(no commit known)")
    for name in packages:
        try:
            print(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            fail(f"{name} is needed: pip install {name}")


def _golden(o, *words):
    sys.stdout.flush()
    return subprocess.call([o.aviary, "golden", *words])


def _make(o, sizes):
    path = os.path.join(o.out, o.version + sizes.replace("--", "-").replace(" ", "") + ".safetensors")
    words = ["make", o.version, "--no-sensitivity", "--no-gradients", *sizes.split(), path]
    if not os.path.exists(path) and _golden(o, *words):
        sys.exit(2)
    return path


def main(port, description, *, versions, forms=("sequence",), dtypes=("f32",), packages=(), path=None, sizes="",
         mends=None):
    """Reads the command line, runs the port on a pack, writes what it gives and compares; exits as `golden diff` does.

    port      (Pack, options) -> {name of the pack: array}. options.version, .form, .dtype, .path are the user's
    versions  which it can compute; forms: ways in which it can; dtypes: f32, bf16, fp16, whose tolerances are taken
    packages  of pip that must be there; their versions are printed
    path      what the user has to give with --path, in words; None if nothing
    sizes     options of `golden make` for a pack that the port can load
    mends     what the port does otherwise with --mended, options.mended: proof that a cause is the true one"""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="Other options go to `aviary golden diff`.", allow_abbrev=False)
    parser.add_argument("version", choices=versions)
    parser.add_argument("--form", choices=forms, default=forms[0])
    parser.add_argument("--dtype", choices=dtypes, default=dtypes[0], help="arithmetic of the port")
    parser.add_argument("--path", help=path or "not needed")
    if mends:
        parser.add_argument("--mended", action="store_true", help="mended first: " + mends)
    parser.add_argument("--pack", help="without it, one is made that the port can load")
    parser.add_argument("--out", default=os.path.join(ROOT, "runs", "ports"), help="folder for packs and results")
    parser.add_argument("--aviary", default=os.path.join(ROOT, "aviary"))
    o, rest = parser.parse_known_args()
    if o.path and not path:
        parser.error("--path: this port is a package, it takes none")
    _needs(packages, path, o.path)
    os.makedirs(o.out, exist_ok=True)
    pack = Pack(o.pack or _make(o, sizes), o.aviary)
    if pack.config["version"] != o.version:
        fail(f"{pack.path}: a pack of {pack.config['version']}, not of {o.version}")
    stems = [os.path.splitext(os.path.basename(path))[0] for path in (sys.argv[0], pack.path)]
    parts = [stems[0], o.form, o.dtype, *["mended"] * bool(mends and o.mended), stems[1], "npz"]
    theirs = os.path.join(o.out, ".".join(parts))
    try:
        numpy.savez(theirs, **port(pack, o))
    except Exception:
        traceback.print_exc()
        fail("the port failed")
    sys.exit(_golden(o, "diff", pack.path, theirs, "--profile", o.dtype, *rest))
