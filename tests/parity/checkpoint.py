"""A network that PyTorch trains for some steps on the real images, as PyTorch's ways of saving write it.

    checkpoint.py MODEL STEPS DATA FOLDER    FOLDER/*.pt, and FOLDER/correct.json: how many of the
                                             10,000 test images PyTorch gets right with each file

MODEL is simplenet or small-resnet; its recipe's normalisation is used.
"""

import json
import sys
import tomllib
import warnings
from pathlib import Path

import torch
from torch import nn

from reference import MODELS

RECIPES = Path(__file__).parents[2] / "models"


def read(path, normalization):
    records = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8).view(-1, 3073)
    images = records[:, 1:].reshape(-1, 3, 32, 32).float() / 255
    mean, std = (torch.tensor(normalization[key]).view(3, 1, 1) for key in ["mean", "std"])
    return (images - mean) / std, records[:, 0].long()


def correct(model, images, labels):
    model.eval()
    with torch.no_grad():
        hits = [(model(x).argmax(1) == y).sum().item() for x, y in zip(images.split(250), labels.split(250))]
    return sum(hits)


def main(name, n_steps, data, folder):
    normalization = tomllib.loads((RECIPES / f"{name}.toml").read_text())["data"]["normalization"]
    torch.manual_seed(0)
    model = MODELS[name]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images, labels = read(data / "data_batch_1.bin", normalization)
    model.train()
    for x, y in list(zip(images.split(64), labels.split(64)))[:n_steps]:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    weights = model.state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out
        torch.jit.script(model.eval()).save(folder / "torchscript.pt")
    half = {key: t.half() if t.is_floating_point() else t for key, t in weights.items()}
    last = {key: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for key, t in weights.items()}
    torch.save(weights, folder / "state_dict.pt")
    torch.save(dict(model.named_parameters()) | dict(model.named_buffers()), folder / "parameters.pt")
    torch.save({"epoch": 1, "model_state_dict": weights, "optimizer": optimizer.state_dict()}, folder / "checkpoint.pt")
    torch.save(half, folder / "half.pt")
    torch.save({key: t.double() if t.is_floating_point() else t for key, t in weights.items()}, folder / "double.pt")
    torch.save(last, folder / "channels_last.pt")
    torch.save(weights, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(model, folder / "module.pt")

    images, labels = read(data / "test_batch.bin", normalization)
    right = correct(model, images, labels)
    model.load_state_dict(half, strict=True)
    out = dict.fromkeys(["state_dict", "parameters", "checkpoint", "double", "channels_last", "torchscript"], right)
    out["half"] = correct(model, images, labels)
    (folder / "correct.json").write_text(json.dumps(out))
    print(f"{name} after {n_steps} steps of PyTorch: {out}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
