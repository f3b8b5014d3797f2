"""PyTorch's convolutions on the CPU, timed one by one; the other side of `cifar bench --convolutions`.

Reads that command's JSON document on standard input and prints one JSON line: for each entry the
GFLOP/s of forward, input gradient and weight gradient, channels last.
"""

import json
import statistics
import sys
import time

import torch

# Runs of each pass, and how many seconds they take together at least.
RUNS = 7
LEAST_TIME = 0.1


def median(f):
    f()
    times = []
    while len(times) < RUNS or sum(times) < LEAST_TIME:
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    torch.set_num_threads(int(sys.argv[1]))
    found = []
    for conv in json.load(sys.stdin):
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[conv["precision"]]
        c, k, n, kernel = conv["in_channels"], conv["out_channels"], conv["batch_size"], conv["kernel"]
        groups = conv["groups"]
        stride, padding = [conv["stride"]] * 2, [conv["padding"]] * 2
        last = torch.channels_last
        x = torch.randn(n, c, conv["side"], conv["side"]).to(dtype).contiguous(memory_format=last)
        weight = torch.randn(k, c // groups, kernel, kernel).to(dtype).contiguous(memory_format=last)

        def forward():
            return torch.ops.aten.convolution(
                x, weight, None, stride, padding, [1, 1], False, [0, 0], groups)

        with torch.inference_mode():
            y = forward()
            dy = torch.randn_like(y)

            def backward(mask):
                torch.ops.aten.convolution_backward(
                    dy, x, weight, None, stride, padding, [1, 1], False, [0, 0], groups, mask)

            operations = 2 * y.numel() * (c // groups) * kernel * kernel
            found.append({
                "forward": operations / median(forward) / 1e9,
                "input_gradient": operations / median(lambda: backward([True, False, False])) / 1e9,
                "weight_gradient": operations / median(lambda: backward([False, True, False])) / 1e9,
            })
    print(json.dumps(found))


main()
