"""The first epochs of models/small-resnet.toml in PyTorch on the CPU; prints a JSON line for each.

The other side of `cifar train --recipe small-resnet`: channels last, the images in memory, with bf16
autocast where it is asked for. The curves are those of all epochs, however few are run.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from cifar10 import TRAIN, load

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
from reference import SmallResNet  # noqa: E402

EPOCHS, BATCH, VALIDATION, PADDING = 10, 128, 5000, 4


def augmented(padded):
    """A random 32×32 part of each of `padded` (N, 3, 40, 40), every other one mirrored."""
    n = len(padded)
    top, left = torch.randint(0, 2 * PADDING + 1, (2, n, 1))
    places = torch.arange(32)
    columns = torch.where(torch.rand(n, 1) < 0.5, places, places.flip(0))
    images, channels = torch.arange(n).view(n, 1, 1, 1), torch.arange(3).view(1, 3, 1, 1)
    return padded[images, channels, (top + places).view(n, 1, 32, 1), (left + columns).view(n, 1, 1, 32)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--precision", choices=["f32", "bf16"], required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    bf16 = args.precision == "bf16"
    images, labels = load(args.data, TRAIN)
    order = torch.randperm(len(images))
    images, labels = images[order], labels[order]
    held_out = images[:VALIDATION].split(500), labels[:VALIDATION].split(500)
    images, labels = images[VALIDATION:], labels[VALIDATION:]
    padded = F.pad(images, (PADDING,) * 4)
    model = SmallResNet().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    per_epoch = -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=EPOCHS * per_epoch)
    for _ in range(args.epochs):
        begun, total = time.perf_counter(), 0.0
        model.train()
        for chosen in torch.randperm(len(images)).split(BATCH):
            batch = augmented(padded[chosen]).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = F.cross_entropy(model(batch), labels[chosen])
            model.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        secs = time.perf_counter() - begun
        model.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            hits = sum(
                (model(x.contiguous(memory_format=torch.channels_last)).argmax(1) == y).sum().item()
                for x, y in zip(*held_out)
            )
        print(json.dumps({"loss": total / len(images), "validation": hits / VALIDATION, "secs": secs}), flush=True)


main()
