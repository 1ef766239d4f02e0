"""RWKV-4 to RWKV-7 of jaxrwkv, `pip install jaxrwkv jax torch`, on the CPU.

    python3 experiments/ports/jax_rwkv.py v7 [--form scan|associative|loop] [--dtype f32]"""
import common

MODULES = {"v4": "rwkv4", "v5.0": "rwkv5", "v5.2": "rwkv5_2", "v6": "rwkv6", "v7": "rwkv7"}
CLASSES = {"scan": "ScanRWKV", "associative": "AssociativeScanRWKV", "loop": "BaseRWKV"}


def port(pack, o):
    import importlib
    import jax.numpy as jnp
    import numpy
    kind = getattr(importlib.import_module("jaxrwkv." + MODULES[o.version]), CLASSES[o.form])
    params, config = kind.load_from_torch(common.torch_weights(pack), None, dtype=jnp.float32)

    def run(tokens):
        logits, _ = kind.forward(params, jnp.array(tokens), kind.default_state(params, config), config=config)
        return {"logits": numpy.asarray(logits)}
    return common.each_sequence(pack, run)


common.main(port, __doc__, versions=list(MODULES), forms=list(CLASSES), packages=["jaxrwkv", "jax", "torch"],
            sizes=common.SIZES)
