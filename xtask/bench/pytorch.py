"""One PyTorch training or evaluation loop on the CPU, timed; prints one JSON line.

The other side of `cifar bench`: the same networks, the same batch size, images already in memory.
"""

import argparse
import contextlib
import json
import resource
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "parity"))
from reference import MODELS, airbench94  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=list(MODELS), required=True)
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
    model = MODELS[args.model]()
    layout = torch.channels_last if args.layout == "channels-last" else torch.contiguous_format
    model = model.to(memory_format=layout)
    images = torch.randn(args.batch_size, 3, 32, 32).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (args.batch_size,))
    clip, smoothing, reduction = None, 0.0, "mean"
    if args.model == "simplenet":
        optimizers = [torch.optim.SGD(model.parameters(), lr=0.01)]
    elif args.model == "small-resnet":
        optimizers, clip = [torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)], 1.0
    else:
        optimizers, smoothing, reduction = airbench94(model, 1.0), 0.2, "sum"

    def autocast():
        if args.precision == "bf16":
            return torch.autocast("cpu", torch.bfloat16)
        return contextlib.nullcontext()

    def step():
        model.zero_grad(set_to_none=True)
        with autocast():
            logits = model(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction=reduction)
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        for optimizer in optimizers:
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


# Not where another module is looked for and this one found: loaders and libraries import by name.
if __name__ == "__main__":
    main()
