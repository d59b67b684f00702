"""Trains a linear model on 28×28 images in several processes, each with a device and a share of the data of its own.

python train_parallel.py --processes 2                       starts the processes itself
torchrun --nproc-per-node 2 train_parallel.py                torchrun starts them
torchrun --nnodes 2 --node-rank 0 --nproc-per-node 1 --master-addr 10.0.0.1 --master-port 29500 train_parallel.py
                                                             on the first of two machines; --node-rank 1 on the second
"""

import argparse
import os
import random
import socket
import sys

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, DistributedSampler


class Images(Dataset):
    """Images of 28×28 points, ten classes: a bright bar, turned by 18 degrees from class to class, and noise."""

    def __init__(self, count, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(count) % 10
        across, down = torch.meshgrid(torch.linspace(-1, 1, 28), torch.linspace(-1, 1, 28), indexing="xy")
        angles = torch.pi * self.labels[:, None, None] / 10
        bars = torch.exp(-((across * torch.sin(angles) - down * torch.cos(angles)) ** 2) / 0.02)
        self.images = bars + 0.3 * torch.randn(count, 28, 28, generator=generator)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, place):
        return self.images[place], self.labels[place]


class Model(torch.nn.Module):
    """One linear layer from 784 points to 10 classes; with `unused` a second one, which nothing goes through."""

    def __init__(self, unused=False):
        super().__init__()
        self.linear = torch.nn.Linear(28 * 28, 10)
        self.extra = torch.nn.Linear(10, 10) if unused else None

    def forward(self, images):
        return self.linear(images.flatten(1))


def make_parser():
    parser = argparse.ArgumentParser(description="Train a linear model on 28×28 images in several processes.")
    parser.add_argument("--processes", type=int, default=2, help="how many to start, where torchrun does not (2)")
    parser.add_argument("--address", default="127.0.0.1", help="where rank 0 is (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="the port at which rank 0 listens (a free one)")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16, help="samples for each process and step (16)")
    parser.add_argument("--samples", type=int, default=320)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--amp", action="store_true", help="mixed precision: float16 on GPUs, bfloat16 on CPUs")
    parser.add_argument("--unused", action="store_true", help="give the model a layer that is not used")
    parser.add_argument("--save", metavar="FILE", help="where rank 0 saves the weights")
    return parser


def find_free_port():
    # Below 32768, from where systems hand out ports on their own: one of those may be taken before rank 0 listens.
    while True:
        port = random.SystemRandom().randrange(20000, 30000)
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)):
                return port


def train(local_rank, options):
    """Train in one process of the group that the environment describes: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT."""
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local_rank) if has_gpu else torch.device("cpu")
    dist.init_process_group("nccl" if has_gpu else "gloo", init_method="env://")
    rank, processes = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(options.seed)

    images = Images(options.samples, options.seed)
    sampler = DistributedSampler(images, shuffle=True, seed=options.seed)
    loader = DataLoader(images, batch_size=options.batch, sampler=sampler)
    model = DistributedDataParallel(
        Model(options.unused).to(device),
        device_ids=[local_rank] if has_gpu else None, find_unused_parameters=options.unused,
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    scaler = torch.amp.GradScaler(device.type, enabled=options.amp and has_gpu)
    half = torch.float16 if has_gpu else torch.bfloat16

    for epoch in range(options.epochs):
        sampler.set_epoch(epoch)  # else every epoch deals the samples out alike
        total = torch.zeros(2, device=device)
        for inputs, labels in loader:
            with torch.autocast(device.type, dtype=half, enabled=options.amp):
                logits = model(inputs.to(device))
                loss = torch.nn.functional.cross_entropy(logits, labels.to(device))
            optimizer.zero_grad()
            scaler.scale(loss).backward()  # DistributedDataParallel averages the gradients here
            scaler.step(optimizer)
            scaler.update()
            total += torch.tensor([loss.item(), 1.0], device=device)
        dist.all_reduce(total)
        if rank == 0:
            mean = total[0] / total[1]
            print(f"epoch {epoch}   {processes} processes   {len(sampler)} samples each   mean loss {mean:.4f}")

    if options.save:
        if rank == 0:
            torch.save(model.module.state_dict(), options.save)  # without .module each name would begin with "module."
        dist.barrier()  # nobody reads before rank 0 has written
        saved = torch.load(options.save, map_location=device, weights_only=True)
        model.module.load_state_dict(saved)
    dist.destroy_process_group()


def leave():
    # All is done; one exit in forty or so would end in an abort of torch's own threads, after the interpreter is gone.
    sys.stdout.flush()
    os._exit(0)


def start_one(rank, options):
    """What torch.multiprocessing.spawn calls in each process; torchrun would have set this environment."""
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(options.processes),
        "MASTER_ADDR": options.address, "MASTER_PORT": str(options.port),
    }
    train(rank, options)
    leave()


def main(arguments=None):
    options = make_parser().parse_args(arguments)
    if "RANK" in os.environ:  # torchrun has started this process already
        train(int(os.environ["LOCAL_RANK"]), options)
        leave()
    else:
        options.port = options.port or find_free_port()
        torch.multiprocessing.spawn(start_one, args=(options,), nprocs=options.processes)


if __name__ == "__main__":
    main()
