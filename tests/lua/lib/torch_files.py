"""Files as PyTorch writes them, for tests: torch_files.py make DIR, and torch_files.py same A B, which loads both with
weights_only=True and compares names, types, shapes and bits. Beside each NAME.pth that can be read stands NAME.plain.pth with
the same tensors, contiguous, under the names that they have in a dict of dicts and lists."""
import sys
import warnings

warnings.filterwarnings("ignore")
import torch


def flat(value, name=""):
    if isinstance(value, torch.Tensor):
        yield name, value.detach().clone().contiguous()
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, inner in items:
        yield from flat(inner, f"{name}.{key}" if name else str(key))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.table = torch.nn.Linear(3, 2), torch.nn.Embedding(4, 3)
        self.register_buffer("steps", torch.arange(3))


def make(directory):
    def save(name, value, **options):
        torch.save(value, f"{directory}/{name}.pth", **options)
        torch.save(dict(flat(value)), f"{directory}/{name}.plain.pth")

    torch.manual_seed(1)
    net, base = Net(), torch.randn(4, 6)
    net.linear(torch.randn(5, 3)).sum().backward()
    adam = torch.optim.AdamW(net.parameters())
    adam.step()
    tagged = torch.ones(2)
    tagged.note = "an attribute"
    save("state", net.state_dict())  # an OrderedDict with _metadata
    for protocol in 3, 4, 5:
        save(f"protocol{protocol}", net.state_dict(), pickle_protocol=protocol)
    save("parameters", dict(net.named_parameters()))
    save("views", {"base": base, "t": base.t(), "row": base[2], "columns": base[:, 1:3], "steps": base[::2, ::3], "tied": base,
                   "permuted": torch.randn(2, 3, 4).permute(2, 0, 1), "none": torch.zeros(0, 3), "scalar": torch.tensor(3.5)})
    types = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool uint16 uint32 uint64"
    save("types", {t: torch.tensor([0, 1, 1]).to(getattr(torch, t)) for t in types.split() if hasattr(torch, t)})
    save("checkpoint", {"state_dict": net.state_dict(), "optimizer": adam.state_dict(), "epoch": 3, "lr": 1e-3, "name": "x",
                        "more": [torch.ones(2), (torch.zeros(1), None)], "large": 2**70, "set": {1, 2}, "tagged": tagged,
                        "size": torch.Size([2]), "device": torch.device("cpu"), "dtype": torch.float32})
    refused = {"module": net, "complex": {"c": torch.zeros(2, dtype=torch.complex64)}, "sparse": {"s": torch.eye(2).to_sparse()},
               "expanded": {"x": torch.zeros(1).expand(100)}}
    for name, value in refused.items():
        torch.save(value, f"{directory}/{name}.pth")
    torch.save(net.state_dict(), f"{directory}/legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.arange(3.0), f"{directory}/alone.pth")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), f"{directory}/script.pth")


def bits(tensor):
    return bytes(tensor.contiguous().flatten().view(torch.uint8).tolist()) if tensor.numel() else b""


def same(a, b):
    a, b = (torch.load(path, weights_only=True) for path in (a, b))
    assert sorted(a) == sorted(b), sorted(set(a) ^ set(b))
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
        assert bits(a[name]) == bits(b[name]), name


{"make": make, "same": same}[sys.argv[1]](*sys.argv[2:])
