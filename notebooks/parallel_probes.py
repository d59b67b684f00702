"""What data-parallel training does to one gradient, in real processes: python parallel_probes.py PROCESSES FILE

Rank 0 saves the gradients of the weights, by the name of what was tried, to FILE.
"""

import os
import sys

import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from train_parallel import Images, Model, find_free_port, leave

BATCH, SCALE = 12, 1024.0


def make_model(unused=False):
    torch.manual_seed(0)
    return Model(unused).double()  # in float64, so that equal is equal up to the last digits


def differentiate(part, share, *, unused=False, find=False, scale=1.0, reduction="mean", half=False):
    """Return the gradients that DistributedDataParallel leaves in a fresh model after one backward."""
    images, labels = part
    model = make_model(unused)
    if half:  # autocast lowers float32, and leaves float64 alone
        model, images = model.float(), images.float()
    model = DistributedDataParallel(model, find_unused_parameters=find)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        loss = cross_entropy(model(images[share]), labels[share], reduction=reduction)
    (scale * loss).backward()
    return {name: weight.grad for name, weight in model.module.named_parameters()}


def deal(processes, rank, uneven=False):
    """Return the samples of a process: equal shares in a row, or all but one for each of the others."""
    if uneven:
        rest = processes - 1
        return slice(0, BATCH - rest) if rank == 0 else slice(BATCH - processes + rank, BATCH - processes + rank + 1)
    return slice(rank * BATCH // processes, (rank + 1) * BATCH // processes)


def probe(rank, processes, port, file):
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    dist.init_process_group("gloo")
    data = Images(BATCH)
    part = data.images.double(), data.labels
    own, unequal = deal(processes, rank), deal(processes, rank, uneven=True)
    found = {
        "mean": differentiate(part, own), "sum": differentiate(part, own, reduction="sum"),
        "uneven": differentiate(part, unequal), "scaled": differentiate(part, own, scale=SCALE),
        "half": differentiate(part, own, half=True), "unused": differentiate(part, own, unused=True, find=True),
    }
    found["error"] = provoke(part, own)
    if rank == 0:
        torch.save(found, file)
    dist.destroy_process_group()
    leave()


def provoke(part, share):
    """Return what is said at the second step if a layer is unused and find_unused_parameters is not."""
    model = DistributedDataParallel(make_model(unused=True))
    images, labels = part
    try:
        for _ in range(2):
            cross_entropy(model(images[share]), labels[share]).backward()
    except RuntimeError as error:
        return str(error).split(". ")[0]
    return ""


if __name__ == "__main__":
    count = int(sys.argv[1])
    torch.multiprocessing.spawn(probe, args=(count, str(find_free_port()), sys.argv[2]), nprocs=count)
