"""Class folders of pictures through torchvision's ImageFolder, a DataLoader and PyTorch on the CPU.

The other side of `cifar predict`. Every number of loader processes is tried in f32 and in bf16 on a
fifth of the pictures; the fastest setting then goes through all of them, and the best of three
passes counts. Prints one JSON line.
"""

import argparse
import contextlib
import json
import resource
import sys
import time
import tomllib
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
from reference import MODELS  # noqa: E402

BATCH_SIZE = 250


def passed(model, images, workers, precision):
    """Seconds that one pass takes from the first picture asked for to the last answer, and the share
    of right answers."""
    autocast = contextlib.nullcontext()
    if precision == "bf16":
        autocast = torch.autocast("cpu", torch.bfloat16)
    loader = DataLoader(images, batch_size=BATCH_SIZE, num_workers=workers)
    right = 0
    start = time.perf_counter()
    with torch.inference_mode(), autocast:
        for pictures, labels in loader:
            logits = model(pictures.contiguous(memory_format=torch.channels_last))
            right += (logits.argmax(1) == labels).sum().item()
    return time.perf_counter() - start, right / len(images)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipe = tomllib.loads((args.run / "config.toml").read_text())
    normalization = recipe["data"]["normalization"]
    images = ImageFolder(args.images, transforms.Compose([
        transforms.Resize(32),
        transforms.CenterCrop(32),
        transforms.ToTensor(),
        transforms.Normalize(normalization["mean"], normalization["std"]),
    ]))
    model = MODELS[recipe["model"]](len(images.classes))
    model.load_state_dict(load_file(args.weights))
    model = model.eval().to(memory_format=torch.channels_last)
    some = Subset(images, range(0, len(images), 5))
    settings = [
        (workers, precision)
        for workers in sorted({0, 1, args.threads, 2 * args.threads})
        for precision in ["f32", "bf16"]
    ]
    passed(model, some, 0, "f32")
    workers, precision = min(settings, key=lambda setting: passed(model, some, *setting)[0])
    secs, accuracy = min(passed(model, images, workers, precision) for _ in range(3))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({
        "images_per_second": len(images) / secs,
        "accuracy": accuracy,
        "workers": workers,
        "precision": precision,
        "peak_rss_bytes": peak * 1024,  # without the loaders' processes
        "torch": torch.__version__,
    }))


# Not where another module is looked for and this one found: loaders and libraries import by name.
if __name__ == "__main__":
    main()
