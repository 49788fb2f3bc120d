"""A trial of a plan before its training: what does not fit together is said at once, not after hours."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from core.inputs import InvalidInput
from core.models.copying import first_line
from core.training.augment import AUGMENTATIONS
from core.training.data import Data
from core.training.objectives import OBJECTIVES, Batch
from core.training.plans import TrainingPlan

IMAGES = 2


@contextmanager
def refusal(plan: TrainingPlan) -> Iterator[None]:
    """Turn what goes wrong inside into a sentence about the plan.

    Raises:
        InvalidInput: something went wrong.
    """
    try:
        yield
    except (InvalidInput, MemoryError, torch.OutOfMemoryError):
        raise
    except (
        Exception
    ) as error:  # a plan is the user's: networks, objectives and parameters that do not fit fail in many ways
        raise InvalidInput(
            f"The plan {plan.name} cannot be trained as it is, because its parts do not fit together: {_words(error)}"
        ) from error


def _words(error: Exception) -> str:
    line = first_line(error)
    return f"there is no network called {line}." if isinstance(error, KeyError) else f"{line}."


def try_stages(plan: TrainingPlan, networks: Mapping[str, nn.Module], data: Data, device: torch.device) -> None:
    """Compute loss and gradients of each stage for two images, on copies of the networks; random numbers are left as they were."""
    own = {stage.trains for stage in plan.stages}
    copies = {name: copy.deepcopy(network) if name in own else network for name, network in networks.items()}
    images, labels = data[0][:IMAGES].to(device).float() / 255, data[1][:IMAGES].to(device)
    crafted = images[:, None].repeat(1, len(plan.crafted), 1, 1, 1)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for stage in plan.stages:
            for name, network in copies.items():
                network.train(name == stage.trains)
            generator = torch.Generator(device).manual_seed(plan.seed)
            views = AUGMENTATIONS[stage.augment.name](images, generator, 0.0, **stage.augment.params)
            batch = Batch(views, labels, generator, crafted)
            terms = OBJECTIVES[stage.objective.name](copies, batch, **stage.objective.params)
            torch.stack([*terms.losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
    for network in networks.values():
        network.eval()
