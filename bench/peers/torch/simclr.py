#!/usr/bin/python3
"""SimCLR in PyTorch on a folder of folders: what anchord's own training is compared with.

    bench/peers/torch/simclr.py --data CIFAR --out RUN [--stem small1] [--seed 1] [--resume]

CIFAR holds train/LABEL/*.jpg and test/LABEL/*.jpg.  Used are the first 2,000 pictures of each label by name for training and
as the bank of kNN, and the first 500 of each label as its queries.  A line of JSON goes to stdout and to RUN/log.jsonl for
the start, step 0 and each epoch; RUN/checkpoint.pt is replaced after each epoch, and --resume goes on from it with the
very batches that come next.
"""
import argparse
import contextlib
import json
import math
import os
import resource
import sys
import time

import numpy
import torch
from PIL import Image
from torch.nn import functional

import augment
from resnet import STEMS, ResNet18, head, nt_xent

PEAK, END, WARM_UP = 0.12, 0.001, 0.05  # learning rate; parts of it and of the run
MOMENTUM, DECAY = 0.9, 5e-4
TEMPERATURE = 0.2
KNN_K, KNN_TEMPERATURE = 200, 0.1
EVALUATION_BATCH = 250


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--out", required=True)
    p.add_argument("--stem", choices=list(STEMS), default="small1")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", default="cpu", help="of the network: cpu, or cuda where there is one; views are drawn by the processor")
    p.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of training; kNN is always fp32")
    p.add_argument("--epochs", type=int, default=5)
    p.add_argument("--batch", type=int, default=256, help="pictures, with two views each")
    p.add_argument("--each", type=int, default=2000, help="training pictures of each label")
    p.add_argument("--test-each", type=int, default=500)
    p.add_argument("--note", help="written into the log, such as what else the machine was doing")
    p.add_argument("--resume", action="store_true")
    return p.parse_args()


def read_pictures(folder, each):
    """Bytes [n, 3, size, size] and labels [n]; labels are numbered by name."""
    pixels, labels = [], []
    for label, name in enumerate(sorted(os.listdir(folder))):
        for file in sorted(os.listdir(os.path.join(folder, name)))[:each]:
            with Image.open(os.path.join(folder, name, file)) as image:
                pixels.append(numpy.asarray(image.convert("RGB")))
            labels.append(label)
    return torch.from_numpy(numpy.stack(pixels)).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)


def learning_rate(step, total):
    """engine/learning/optimizer.h, schedule_cosine."""
    warm_up = round(WARM_UP * total)
    if step < warm_up:
        return PEAK * (step + 1) / warm_up
    t = (step - warm_up) / (total - warm_up)
    return PEAK * (END + (1 - END) * (1 + math.cos(math.pi * t)) / 2)


def knn(bank, bank_labels, queries, labels):
    """Accuracy of votes exp(cos / temperature) of the k nearest (arXiv:1805.01978)."""
    right = 0
    for q, want in zip(queries.split(500), labels.split(500)):
        cosine, at = (q @ bank.t()).topk(min(KNN_K, len(bank)), dim=1)
        votes = torch.zeros(len(q), int(bank_labels.max()) + 1, dtype=torch.float64)
        votes.scatter_add_(1, bank_labels[at], (cosine.double() / KNN_TEMPERATURE).exp())
        right += int((votes.argmax(1) == want).sum())
    return right / len(labels)


class Run:
    def __init__(self, o):
        torch.manual_seed(o.seed)
        self.o = o
        self.pictures, self.labels = read_pictures(os.path.join(o.data, "train"), o.each)
        self.test, self.test_labels = read_pictures(os.path.join(o.data, "test"), o.test_each)
        self.size = self.pictures.shape[3]
        self.encoder = ResNet18(o.stem).to(o.device, memory_format=torch.channels_last)
        self.head = head().to(o.device)
        parameters = [*self.encoder.parameters(), *self.head.parameters()]
        self.sgd = torch.optim.SGD([{"params": [p for p in parameters if p.dim() > 1], "weight_decay": DECAY},
                                    {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0}],
                                   lr=PEAK, momentum=MOMENTUM)
        self.step, self.epoch = 0, 0
        self.seconds = dict.fromkeys(["wall", "cpu", "views", "evaluation"], 0.0)
        self.lines = []

    # -- training

    def generator(self, *key):
        """What is random depends on the seed and the key alone: nothing to store in a checkpoint."""
        g = torch.Generator()
        state = self.o.seed
        for k in key:
            state = state * 1000003 + k + 1
        return g.manual_seed(state)

    def train_step(self, rows, total):
        start = time.perf_counter()
        g = self.generator(1, self.step)
        x = augment.views(torch.cat([self.pictures[rows]] * 2), self.size, g)
        x = x.to(self.o.device, memory_format=torch.channels_last)
        self.seconds["views"] += time.perf_counter() - start
        for group in self.sgd.param_groups:
            group["lr"] = learning_rate(self.step, total)
        self.sgd.zero_grad(set_to_none=True)
        bf16 = self.o.precision == "bf16"
        with torch.autocast(self.o.device, torch.bfloat16) if bf16 else contextlib.nullcontext():
            z = self.head(self.encoder(x))
        loss = nt_xent(z.float(), TEMPERATURE)
        loss.backward()
        self.sgd.step()
        self.step += 1
        return loss.item()

    def train_epoch(self):
        order = torch.randperm(len(self.pictures), generator=self.generator(0, self.epoch))
        batches = [b for b in order.split(self.o.batch) if len(b) == self.o.batch]
        losses = [self.train_step(b, self.o.epochs * len(batches)) for b in batches]
        self.epoch += 1
        return sum(losses) / len(losses)

    # -- evaluation

    @torch.no_grad()
    def features(self, pictures):
        out = []
        for p in pictures.split(EVALUATION_BATCH):
            x = augment.normalise(p.float() / 255).to(self.o.device, memory_format=torch.channels_last)
            out.append(functional.normalize(self.encoder(x)).cpu())
        return torch.cat(out)

    def evaluate(self):
        start = time.perf_counter()
        self.encoder.eval()
        accuracy = knn(self.features(self.pictures), self.labels, self.features(self.test), self.test_labels)
        self.encoder.train()
        self.seconds["evaluation"] += time.perf_counter() - start
        return accuracy

    # -- the log and the checkpoint

    def log(self, **line):
        self.lines.append(line)
        print(json.dumps(line), flush=True)
        with open(os.path.join(self.o.out, "log.jsonl"), "a") as f:
            f.write(json.dumps(line) + "\n")

    def log_epoch(self, loss, clocks):
        self.seconds["wall"] += time.perf_counter() - clocks[0]
        self.seconds["cpu"] += time.process_time() - clocks[1]
        self.log(epoch=self.epoch, step=self.step, loss=loss, knn=self.accuracy,
                 peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                 **{k + "_s": round(v, 1) for k, v in self.seconds.items()})

    def save(self):
        path = os.path.join(self.o.out, "checkpoint.pt")
        torch.save({"encoder": self.encoder.state_dict(), "head": self.head.state_dict(), "sgd": self.sgd.state_dict(),
                    "step": self.step, "epoch": self.epoch, "seconds": self.seconds, "lines": self.lines,
                    "options": settings(self.o)}, path + ".new")
        os.replace(path + ".new", path)

    def load(self):
        c = torch.load(os.path.join(self.o.out, "checkpoint.pt"))
        if c["options"] != settings(self.o):
            sys.exit("simclr.py: the checkpoint is of another run: %s" % json.dumps(c["options"]))
        self.encoder.load_state_dict(c["encoder"])
        self.head.load_state_dict(c["head"])
        self.sgd.load_state_dict(c["sgd"])
        self.step, self.epoch, self.seconds, self.lines = c["step"], c["epoch"], c["seconds"], c["lines"]
        with open(os.path.join(self.o.out, "log.jsonl"), "w") as f:
            f.writelines(json.dumps(line) + "\n" for line in self.lines)


def settings(o):
    return {k: v for k, v in vars(o).items() if k not in ("data", "out", "resume", "note")}


def main():
    o = arguments()
    os.makedirs(o.out, exist_ok=True)
    torch.set_num_threads(o.threads)
    torch.backends.cudnn.allow_tf32 = False  # fp32 is fp32
    clocks = time.perf_counter(), time.process_time()
    run = Run(o)
    if o.resume:
        run.load()
    else:
        open(os.path.join(o.out, "log.jsonl"), "w").close()
        run.log(what="simclr", torch=torch.__version__, pictures=len(run.pictures), queries=len(run.test),
                started_at=int(time.time()), load=os.getloadavg(), note=o.note, **settings(o))
        run.accuracy = run.evaluate()
        run.log_epoch(None, clocks)
        run.save()
    while run.epoch < o.epochs:
        clocks = time.perf_counter(), time.process_time()
        loss = run.train_epoch()
        run.accuracy = run.evaluate()
        run.log_epoch(loss, clocks)
        run.save()


main()
