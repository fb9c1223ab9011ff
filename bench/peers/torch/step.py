#!/usr/bin/python3
"""Rate and memory of PyTorch's training step, in each mode that may be its fastest.

    bench/peers/torch/step.py [--seconds 20] [--threads 2] [--batch 128] [--size 32] [--stem small1] [--modes a,b]

The step: ResNet-18 with SimCLR's head on random pixels, NT-Xent, backward, SGD with momentum; no pictures are decoded or
augmented.  Each mode runs in a process of its own, so that the peak of resident memory is its own.  One line of JSON:
images/s (batch / median time of a step) and peak RSS in MB of each mode, and the fastest mode.
"""
import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time

MODES = {  # channels_last, bf16
    "fp32": (False, False),
    "fp32_channels_last": (True, False),
    "bf16": (False, True),
    "bf16_channels_last": (True, True),
}
WARM_UP = 3
STEPS_MIN = 5


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--seconds", type=float, default=20, help="of steps in each mode, after %d to warm up" % WARM_UP)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--batch", type=int, default=128, help="rows of a step; even")
    p.add_argument("--size", type=int, default=32)
    p.add_argument("--stem", default="small1")
    p.add_argument("--modes", default=",".join(MODES))
    p.add_argument("--only", help=argparse.SUPPRESS)  # measure this mode in this process
    return p.parse_args()


def make_step(o, channels_last, bf16):
    import torch
    from resnet import ResNet18, head, nt_xent

    torch.manual_seed(1)
    torch.set_num_threads(o.threads)
    encoder, top = ResNet18(o.stem), head()
    x = torch.randn(o.batch, 3, o.size, o.size)
    if channels_last:
        encoder, x = encoder.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    parameters = list(encoder.parameters()) + list(top.parameters())
    sgd = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=5e-4)

    def step():
        sgd.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext():
            z = top(encoder(x))
        loss = nt_xent(z.float(), 0.2)
        loss.backward()
        sgd.step()
        return loss.item()

    return step


def measure(o):
    step = make_step(o, *MODES[o.only])
    for _ in range(WARM_UP):
        step()
    times, end = [], time.perf_counter() + o.seconds
    while len(times) < STEPS_MIN or time.perf_counter() < end:
        start = time.perf_counter()
        loss = step()
        times.append(time.perf_counter() - start)
    if loss != loss:
        sys.exit("step.py: %s gives no number" % o.only)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images_per_s": round(o.batch / statistics.median(times), 1), "peak_rss_mb": round(peak),
            "steps": len(times)}


def in_own_process(mode):
    out = subprocess.run([sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--only", mode],
                         stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)


def main():
    o = arguments()
    if o.only:
        print(json.dumps(measure(o)))
        return
    modes = o.modes.split(",")
    unknown = [m for m in modes if m not in MODES]
    if unknown or o.batch % 2:
        sys.exit("step.py: modes are %s; the batch is even" % ", ".join(MODES))
    results = {m: in_own_process(m) for m in modes}
    print(json.dumps({"what": "torch training step", "arch": "resnet18", "stem": o.stem, "size": o.size,
                      "batch": o.batch, "threads": o.threads, "modes": results,
                      "fastest": max(results, key=lambda m: results[m]["images_per_s"])}))


main()
