"""The whole of models/airnet94.toml in PyTorch on the CPU; prints one JSON line.

The other side of `cifar train --recipe airnet94`: channels last, the images in memory; bf16 by autocast.
The recipe is that of airbench94_muon (Jordan 2024, arXiv:2404.00498).
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from cifar10 import TEST, TRAIN, load

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
from reference import AirNet94, Group, Muon, whitening  # noqa: E402

EPOCHS, BATCH, WHITENING_EPOCHS = 8, 2000, 3


def initialise(model, images):
    model.whiten.weight.data.copy_(whitening(images[:5000]))
    for group in model.layers:
        if isinstance(group, Group):
            for conv in (group.conv1, group.conv2):
                torch.nn.init.dirac_(conv.weight.data[: conv.in_channels])
    model.head.weight.data.div_(model.head.weight.data.std())


def moved(padded):
    """A random 32×32 part of each of `padded` (N, 3, 36, 36)."""
    shifts = torch.randint(0, 5, (len(padded), 2))
    out = torch.empty(len(padded), 3, 32, 32)
    for y in range(5):
        for x in range(5):
            chosen = (shifts[:, 0] == y) & (shifts[:, 1] == x)
            out[chosen] = padded[chosen, :, y : y + 32, x : x + 32]
    return out


def train(model, images, labels, bf16, max_steps):
    convs = [p for p in model.parameters() if p.ndim == 4 and p.requires_grad]
    norms = [p for name, p in model.named_parameters() if "norm" in name and p.requires_grad]
    groups = [
        {"params": [model.whiten.bias], "lr": 0.053, "weight_decay": 0.004 / 0.053},
        {"params": norms, "lr": 0.053, "weight_decay": 0.004 / 0.053},
        {"params": [model.head.weight], "lr": 0.67, "weight_decay": 0.004 / 0.67},
    ]
    sgd = torch.optim.SGD(groups, momentum=0.85, nesterov=True)
    optimizers = [Muon(convs, 0.24, 0.6, 3, torch.bfloat16 if bf16 else None), sgd]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["first_lr"] = group["lr"]
    flipped = torch.rand(len(images)) < 0.5
    images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(-1), images)
    padded = F.pad(images, (2, 2, 2, 2), "reflect")
    per_epoch = len(images) // BATCH
    n_steps, step = EPOCHS * per_epoch, 0
    model.train()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images))
        for first in range(0, per_epoch * BATCH, BATCH):
            if step == max_steps:
                return
            if step == WHITENING_EPOCHS * per_epoch:
                # From here on nothing before the first group has a gradient.
                model.whiten.bias.requires_grad_(False)
                model.whiten.bias.grad = None
            chosen = order[first : first + BATCH]
            batch = moved(padded[chosen])
            if epoch % 2 == 1:
                batch = batch.flip(-1)
            batch = batch.contiguous(memory_format=torch.channels_last)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["first_lr"] * (1 - step / n_steps)
            sgd.param_groups[0]["lr"] = 0.053 * max(0.0, 1 - step / (WHITENING_EPOCHS * per_epoch))
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = F.cross_entropy(model(batch), labels[chosen], label_smoothing=0.2, reduction="sum")
            model.zero_grad(set_to_none=True)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            step += 1


def accuracy(model, images, labels, bf16):
    """Of the mean logits of six views: each image and its mirror image, in place and moved by one pixel."""
    model.eval()
    correct = 0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):

        def mirrored(x):
            x = x.contiguous(memory_format=torch.channels_last)
            return (model(x) + model(x.flip(-1))).float() / 2

        for x, y in zip(images.split(BATCH), labels.split(BATCH)):
            padded = F.pad(x, (1, 1, 1, 1), "reflect")
            there = (mirrored(padded[:, :, :32, :32]) + mirrored(padded[:, :, 2:, 2:])) / 2
            correct += ((mirrored(x) + there).argmax(1) == y).sum().item()
    return correct / len(labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=["f32", "bf16"], required=True)
    parser.add_argument("--max-steps", type=int, default=-1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    bf16 = args.precision == "bf16"
    images, labels = load(args.data, TRAIN)
    model = AirNet94().to(memory_format=torch.channels_last)
    initialise(model, images)
    begun = time.perf_counter()
    train(model, images, labels, bf16, args.max_steps)
    trained = time.perf_counter()
    score = accuracy(model, *load(args.data, TEST), bf16)
    print(
        json.dumps({
            "accuracy": score,
            "train_secs": trained - begun,
            "test_secs": time.perf_counter() - trained,
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        })
    )


main()
