#!/usr/bin/python3
"""Computes tests/golden/training.txt with PyTorch: a step and ten steps of ResNet-18 with hashed weights and pictures.

Batch 8 is two views (rows i and i + 4 are partners), NT-Xent with temperature 0.2 on the pooled features, SGD with
momentum 0.9, weight decay 5e-4 (none for one-dimensional tensors).  For each parameter: its gradient's norm and a few
values of it.  Usage: make_training.py > training.txt
"""
import torch
import torch.nn.functional as F

from make_resnet import ResNet, hashed, picture

FIRST, BATCH, SIZE, TAU, SAMPLES = 0, 8, 32, 0.2, 6


def nt_xent(z):
    u = F.normalize(z)
    logits = (u @ u.T / TAU).masked_fill(torch.eye(BATCH, dtype=torch.bool), float("-inf"))
    return F.cross_entropy(logits, (torch.arange(BATCH) + BATCH // 2) % BATCH)


def features(net, x):
    x = F.relu(net.bn1(net.conv1(x)))
    for stage in range(4):
        x = getattr(net, f"layer{stage + 1}")(x)
    return x.mean((2, 3))


def show_gradient(name, p):
    g = p.grad.permute(0, 2, 3, 1) if p.dim() == 4 else p.grad
    g = g.reshape(-1)
    at = [i * (len(g) - 1) // (SAMPLES - 1) for i in range(SAMPLES)]
    print(name, len(g), f"{g.norm().item():.8g}", *(f"{i} {g[i].item():.8g}" for i in at))


def main():
    torch.manual_seed(0)
    net = ResNet(18, "small1", 64, 0)
    state = {name: hashed(name, tuple(t.shape)) for name, t in net.state_dict().items()
             if not name.endswith("num_batches_tracked")}
    net.load_state_dict(state, strict=False)
    net = net.double().train()
    x = torch.cat([picture(FIRST + i, SIZE) for i in range(BATCH)]).double()
    decayed = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    sgd = torch.optim.SGD([{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0}], lr=0.004,
                          momentum=0.9)
    losses = []
    for step in range(10):
        sgd.zero_grad()
        loss = nt_xent(features(net, x))
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            print("# parameter, values, norm of its gradient, then index and value of a few.  Made by make_training.py.")
            parameters = list(net.named_parameters())
            print(len(parameters))
            for name, p in parameters:
                show_gradient(name, p)
        sgd.step()
    print("losses", *(f"{v:.9g}" for v in losses))
    mean, variance = net.layer4[1].bn2.running_mean, net.layer4[1].bn2.running_var
    print("running", f"{mean.norm().item():.8g}", f"{variance.norm().item():.8g}")


if __name__ == "__main__":
    main()
