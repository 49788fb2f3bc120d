"""The processes that train one network together, as torchrun starts them; one process is the usual case."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from core.device import pick


@dataclass(frozen=True)
class Group:
    """Which of how many processes this one is. Each takes its share of every batch; gradients are averaged."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, chosen: Tensor) -> Tensor:
        """This process's part of a batch."""
        return chosen[self.rank :: self.size]

    def sum_gradients(self, parameters: Iterable[nn.Parameter], stop: bool) -> bool:
        """Give every process the sum of all gradients; whether one of the processes is to stop."""
        if self.size == 1:
            return stop
        trained = [p for p in parameters if p.requires_grad]
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        flat = torch.cat([*(part.flatten() for part in parts), parts[0].new_tensor([float(stop)])])
        distributed.all_reduce(flat)
        for parameter, part in zip(trained, torch.split(flat[:-1], [p.numel() for p in trained]), strict=True):
            parameter.grad = part.view_as(parameter).clone(memory_format=torch.preserve_format)
        return bool(flat[-1] > 0)

    def share_weights(self, network: nn.Module) -> None:
        """Give every process the weights of the one that leads."""
        if self.size > 1:
            for value in network.state_dict().values():
                distributed.broadcast(value, 0)

    def average_buffers(self, network: nn.Module) -> None:
        """Give every process the mean of what batch norms counted."""
        if self.size > 1:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    distributed.all_reduce(buffer)
                    buffer /= self.size


def join(device: str | None) -> tuple[Group, torch.device]:
    """The group that torchrun started this process in, and the process's device.

    Raises:
        InvalidInput: this machine has no such device.
    """
    chosen = pick(device)
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Group(), chosen
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    return Group(distributed.get_rank(), distributed.get_world_size()), chosen


def leave(group: Group) -> None:
    """Take this process out of its group."""
    if group.size > 1:
        distributed.destroy_process_group()
