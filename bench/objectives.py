#!/usr/bin/python3
"""Every objective on the same pictures, with the same number of views: a table and a picture of the curves.

    bench/objectives.py PROGRAM PICTURES OUT [NAME...]      or: make bench-objectives PICTURES=DIR
    EPOCHS=5 EACH=2500 BATCH=128 SIZE=32 STEM=small2

PICTURES is a folder of labelled folders, such as the training part of CIFAR-10.  Of the first EACH pictures of each label a fifth is
held out to be judged by.  Each run is in OUT/NAME and goes on where it was interrupted; one that is done is not run again.  The table
is printed as Markdown, with step 0 beside the best step by recall@1, whose model a run leaves; the curves are OUT/objectives.svg.
"""
import json
import os
import sys
import time

# In the order of the table; those that see labels are far above the others and not in the picture.
WITHOUT_LABELS = ["infonce", "moco", "mocov2", "byol", "simsiam", "barlow", "vicreg", "swav", "deepclusterv2", "dino"]
OBJECTIVES = WITHOUT_LABELS + ["infonce-labels", "triplet", "proxy"]
# Each as it comes for small pictures; those that come with no profile, as most of the others.
SMALL = {"augmentation": "small", "head": [{"outputs": 512, "norm": True, "relu": True}, {"outputs": 128, "norm": True}],
         "optimizer": {"type": "adamw", "learning_rate": 0.001, "weight_decay": 0.0001, "warmup": 0.15}}
EXTRA = {
    "infonce": {"method": {"type": "infonce", "infonce": {"temperature": 0.2}}, **SMALL},
    "triplet": {"method": {"type": "triplet", "triplet": {"mining": "semi_hard"}}, **SMALL},
    "infonce-labels": {"method": {"type": "infonce", "infonce": {"positives": "labels"}}, "per_label": 16, **SMALL},
}
COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#000000", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#9a9b1f"]


def number(name, standard):
    return int(os.environ.get(name, standard))


def link_pictures(source, out, each):
    """The first pictures of each label, as links."""
    if os.path.isdir(out):
        return
    for label in sorted(os.listdir(source)):
        if not os.path.isdir(os.path.join(source, label)):
            continue
        os.makedirs(os.path.join(out + ".part", label))
        for name in sorted(os.listdir(os.path.join(source, label)))[:each]:
            os.symlink(os.path.abspath(os.path.join(source, label, name)), os.path.join(out + ".part", label, name))
    os.rename(out + ".part", out)


def write_config(out, name):
    config = {"data": os.path.join(out, "pictures"), "out": os.path.join(out, name), "held_out": 0.2,
              "arch": {"name": "resnet18", "stem": os.environ.get("STEM", "small2"), "size": number("SIZE", 32)},
              "method": {"type": name}, "batch_size": number("BATCH", 128), "epochs": number("EPOCHS", 5), "views": 2}
    config.update(EXTRA.get(name, {}))
    path = os.path.join(out, name + ".json")
    with open(path, "w") as f:
        json.dump(config, f, indent=1)
    return path


def run(program, out, name):
    """What the run used: seconds of its training are in its log, the most memory here."""
    result = os.path.join(out, name + ".memory")
    if os.path.exists(result):
        return
    with open(os.path.join(out, name + ".log"), "w") as log:
        pid = os.fork()
        if pid == 0:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            os.execv(program, [program, "train", "--config", write_config(out, name), "--resume", "--json"])
        status, used = os.wait4(pid, 0)[1:]
    if status != 0:
        sys.exit("%s: ended with %d, see %s" % (name, os.waitstatus_to_exitcode(status), log.name))
    with open(result, "w") as f:
        json.dump(used.ru_maxrss * 1024, f)


def events(out, name):
    with open(os.path.join(out, name, "log.jsonl")) as f:
        return [json.loads(line) for line in f]


def row(out, name):
    log = events(out, name)
    end = [e for e in log if e["event"] == "end"][-1]
    before, after = end["before"], end["after"]
    warned = any(e["event"] == "warning" for e in log)
    with open(os.path.join(out, name + ".memory")) as f:
        memory = json.load(f)
    return (name, before["knn_20"], after["knn_20"], before["linear_probe"], after["linear_probe"], before["effective_rank"],
            after["effective_rank"], end["seconds"], memory / 1e6, "yes" if warned else "no")


def table(out, names):
    print("| objective | kNN, step 0 | best step | linear probe, step 0 | best step | effective rank, step 0 | best step | seconds | MB | warned |")
    print("|---" * 10 + "|")
    for name in names:
        print("| `%s` | %.3f | **%.3f** | %.3f | %.3f | %.0f | %.0f | %.0f | %.0f | %s |" % row(out, name))


def curves(out, names):
    lines = [[(e["epoch"], e["figures"]["knn_20"]) for e in events(out, n) if e["event"] == "evaluation"] for n in names]
    end = max(x for line in lines for x, _ in line)
    low = min(y for line in lines for _, y in line)
    high = max(y for line in lines for _, y in line)
    width, height, left, top = 640, 400, 48, 28
    at = lambda x, y: "%.1f,%.1f" % (left + width * x / end, top + height * (high - y) / (high - low))
    svg = ['<svg xmlns="http://www.w3.org/2000/svg" width="860" height="476" font-family="sans-serif" font-size="12">',
           '<rect width="860" height="476" fill="#fff"/>']
    for tick in range(int(low * 20) + 1, int(high * 20) + 1):
        y = at(0, tick / 20).split(",")[1]
        svg.append('<path d="M%d %sh%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.2f</text>'
                   % (left, y, width, left - 6, float(y) + 4, tick / 20))
    for tick in range(int(end) + 1):
        svg.append('<text x="%s" y="%d" text-anchor="middle">%d</text>' % (at(tick, low).split(",")[0], top + height + 16, tick))
    svg.append('<text x="%d" y="%d" text-anchor="middle">epochs</text>' % (left + width // 2, top + height + 34))
    svg.append('<text x="%d" y="12">kNN accuracy (k 20), held-out pictures</text>' % (left + 4))
    ends = sorted(range(len(names)), key=lambda i: -lines[i][-1][1])
    y = 0
    for i in ends:
        colour = COLOURS[WITHOUT_LABELS.index(names[i])]
        svg.append('<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>' % (" ".join(at(*p) for p in lines[i]), colour))
        y = max(y + 14, float(at(*lines[i][-1]).split(",")[1]) + 4)
        svg.append('<text x="%d" y="%.1f" fill="%s">%s %.3f</text>' % (left + width + 8, y, colour, names[i], lines[i][-1][1]))
    svg.append("</svg>")
    with open(os.path.join(out, "objectives.svg"), "w") as f:
        f.write("\n".join(svg) + "\n")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    program, pictures, out = sys.argv[1:4]
    names = sys.argv[4:] or OBJECTIVES
    os.makedirs(out, exist_ok=True)
    link_pictures(pictures, os.path.join(out, "pictures"), number("EACH", 2500))
    for name in names:
        begun = time.time()
        run(os.path.abspath(program), out, name)
        print("%s: %.0f s" % (name, time.time() - begun), file=sys.stderr)
    table(out, names)
    shown = [n for n in names if n in WITHOUT_LABELS]
    if shown:
        curves(out, shown)


main()
