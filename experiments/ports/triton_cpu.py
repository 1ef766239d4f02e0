"""Kernels of Triton without a GPU: its interpreter runs them, and the first of several configurations is taken
instead of the fastest. To be imported before anything that imports Triton."""
import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
    from triton.runtime import autotuner
    autotuner.Autotuner._bench = lambda *arguments, **named: [1.0, 1.0, 1.0]

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
