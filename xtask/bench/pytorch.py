"""One PyTorch training or evaluation loop on the CPU, timed; prints one JSON line.

The other side of `cifar bench`: the same networks, the same batch size, images already in memory.
"""

import argparse
import contextlib
import json
import resource
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class SimpleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 8 * 8, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc1(torch.flatten(x, 1))


class ResBlock(nn.Module):
    def __init__(self, cin, cout, stride=1):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout), nn.ReLU(),
            nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout))
        self.shortcut = nn.Identity() if stride == 1 and cin == cout else nn.Sequential(
            nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))

    def forward(self, x):
        return F.relu(self.conv(x) + self.shortcut(x))


class SmallResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.layer1 = nn.Sequential(ResBlock(64, 64), ResBlock(64, 64))
        self.layer2 = nn.Sequential(ResBlock(64, 128, 2), ResBlock(128, 128))
        self.layer3 = nn.Sequential(ResBlock(128, 256, 2), ResBlock(256, 256))
        self.fc = nn.Linear(256, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=["simplenet", "small-resnet"], required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--layout", choices=["channels-last", "contiguous"], required=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--eval", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = {"simplenet": SimpleNet, "small-resnet": SmallResNet}[args.model]()
    layout = torch.channels_last if args.layout == "channels-last" else torch.contiguous_format
    model = model.to(memory_format=layout)
    images = torch.randn(args.batch_size, 3, 32, 32).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (args.batch_size,))
    if args.model == "simplenet":
        optimizer, clip = torch.optim.SGD(model.parameters(), lr=0.01), None
    else:
        optimizer, clip = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4), 1.0

    def autocast():
        if args.precision == "bf16":
            return torch.autocast("cpu", torch.bfloat16)
        return contextlib.nullcontext()

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        loss.item()

    def evaluate():
        with torch.inference_mode(), autocast():
            model(images).argmax(1)

    if args.eval:
        model.eval()
    run = evaluate if args.eval else step
    if args.compile:
        # The weights as constants: batch norm goes into the convolutions, as in our evaluation.
        torch._inductor.config.freezing = args.eval
        model.compile()
        try:
            run()
        except torch._dynamo.exc.TorchDynamoException as error:
            print(json.dumps({"no_compiler": str(error).strip().splitlines()[0]}))
            return
    for _ in range(min(5, args.steps)):
        run()
    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({
        "images_per_second": args.batch_size / statistics.median(times),
        "peak_rss_bytes": peak,
        "torch": torch.__version__,
    }))


main()
