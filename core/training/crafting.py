"""Adversarial versions of the training images, crafted once before a denoiser is trained on them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core import attacks
from core.device import mixed
from core.inputs import InvalidInput
from core.models.classifier import Classifier, Wrapper
from core.progress import OnProgress, Progress
from core.training.data import Data
from core.training.plans import Function, TrainingPlan

BATCH = 250  # images attacked together
PART = 5000  # images kept together: what a run that is cut off loses at most


class _Mixed(Wrapper):
    """A classifier in mixed precision, as the stages train: what is crafted for training needs no exact gradient."""

    def forward(self, images: Tensor) -> Tensor:
        with mixed(self.device):
            logits: Tensor = self.classifier(images)
        return logits.float()


def craft_images(
    plan: TrainingPlan,
    networks: Mapping[str, nn.Module],
    data: Data,
    device: torch.device,
    folder: Path,
    on_progress: OnProgress | None = None,
) -> Tensor | None:
    """The images after each of the plan's attacks on the network `classifier`, as 8-bit files keep them.

    What is crafted is kept in `folder`, part by part, so that a run that is cut off goes on there.

    Args:
        networks: `classifier` among them.
        data: images uint8 N×C×H×W and labels int64 N.

    Returns:
        uint8 N×V×C×H×W; None where the plan has no attacks, or where `on_progress` stopped it.

    Raises:
        InvalidInput: what was crafted cannot be kept in `folder`.
    """
    if not plan.crafted:
        return None
    classifier = networks["classifier"]
    assert isinstance(classifier, Classifier)
    if all(stage.mixed_precision for stage in plan.stages):
        classifier = _Mixed(classifier)
    images, labels = data
    total = len(plan.crafted) * len(images)
    versions: list[Tensor] = []
    for number, method in enumerate(plan.crafted):
        parts: list[Tensor] = []
        for start in range(0, len(images), PART):

            def progress(inside: int) -> bool:
                done = number * len(images) + start + inside  # noqa: B023
                report = Progress(f"crafting {method.name}", done, total)  # noqa: B023
                return on_progress is not None and bool(on_progress(report))

            x, y = images[start : start + PART], labels[start : start + PART]
            part = _part(plan, method, classifier, x, y, device, start, folder, progress)
            if part is None:
                return None
            parts.append(part)
        versions.append(torch.cat(parts))
    return torch.stack(versions, 1)


def _part(
    plan: TrainingPlan,
    method: Function,
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    device: torch.device,
    start: int,
    folder: Path,
    progress: Callable[[int], bool],
) -> Tensor | None:
    """One part after one attack, from its file where that is whole; None where it was stopped."""
    attack = attacks.build(method.name, method.params)
    content = hashlib.sha256(images.numpy().tobytes()).hexdigest()
    what = f"{plan.domain} {plan.trained_against} {type(classifier).__name__} {_weights(classifier)}"
    text = f"{what} {method.model_dump_json()} {plan.seed} {start} {content}"
    path = folder / f"crafted_{method.name}_{hashlib.sha256(text.encode()).hexdigest()[:16]}.safetensors"
    try:
        stored = load_file(path)["images"]
        if stored.shape == images.shape and stored.dtype == torch.uint8:
            return stored
    except (OSError, KeyError, SafetensorError):  # none yet, or damaged: it holds nothing that cannot be made anew
        pass
    crafted: list[Tensor] = []
    for first in range(0, len(images), BATCH):
        if progress(first):
            return None
        x, y = images[first : first + BATCH].to(device).float() / 255, labels[first : first + BATCH].to(device)
        generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + start + first)
        result = attack(classifier, x, y, generator=generator)
        crafted.append((result.images * 255).round().to(torch.uint8).cpu())
    part = torch.cat(crafted)
    draft = path.with_suffix(".part")
    try:
        save_file({"images": part}, draft)
        draft.replace(path)
    except (OSError, SafetensorError) as error:
        raise InvalidInput(
            f"Crafted images cannot be kept in {folder}: {error}. Free some space, or choose another folder."
        ) from error
    return part


def _weights(classifier: Classifier) -> str:
    """What tells the classifier from one of the same name with other weights."""
    digest = hashlib.sha256()
    for value in classifier.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
