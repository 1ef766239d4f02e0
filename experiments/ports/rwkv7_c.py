"""rwkv7.c: the pack goes through its export.py, and token by token through its forward().

    python3 experiments/ports/rwkv7_c.py v7 --path RWKV7.C [--form plain|avx]

RWKV7.C is a checkout. Needs cc, and torch and rwkv for its export.py."""
import os
import subprocess
import sys
import tempfile

import common


def port(pack, o):
    import numpy
    import torch
    driver = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rwkv7_c.c")
    source = os.path.abspath(os.path.join(o.path, "src", "rwkv7.c"))
    flags = ["-mavx", "-mfma", "-DAVX"] if o.form == "avx" else []
    if os.path.exists(os.path.join(o.path, "src", "blas.h")):
        flags.append("-DSEQUENCES")
    with tempfile.TemporaryDirectory() as folder:
        torch.save(common.torch_weights(pack), folder + "/model.pth")
        subprocess.run([sys.executable, os.path.join(o.path, "utils", "export.py"), folder + "/model.pth",
                        folder + "/model.bin"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cc", "-O3", f'-DRWKV7_C="{source}"', *flags, driver, "-lm", "-o", folder + "/driver"],
                       check=True)

        def run(tokens):
            numpy.array(tokens, "<i4").tofile(folder + "/tokens")
            subprocess.run(["./driver", "model.bin", "tokens", "logits"], cwd=folder, check=True)
            return {"logits": numpy.fromfile(folder + "/logits", "<f4").reshape(len(tokens), -1)}
        return common.each_sequence(pack, run)


common.main(port, __doc__, versions=["v7"], forms=["plain", "avx"], path="a checkout of rwkv7.c",
            packages=["torch", "rwkv"], sizes=common.SIZES)
