"""What the engine refuses, and the sentence it refuses with."""

from __future__ import annotations

import torch
from torch import Tensor

LONGEST = 500  # characters of a sentence
TOLERANCE = 1e-6  # round-off that arithmetic on [0, 1] leaves behind; more than this is a wrong range


class InvalidInput(ValueError):
    """Something a person handed in cannot be used; the message is one sentence that says what is wrong and what to do.

    A sentence that became too long, of what was handed in, is cut.
    """

    def __init__(self, sentence: str = "") -> None:
        super().__init__(sentence if len(sentence) <= LONGEST else sentence[: LONGEST - 1] + "…")


def quoted(value: object, most: int = 60) -> str:
    """What somebody handed in, as a sentence quotes it: cut where it is long."""
    text = str(value)
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def shortened(text: str) -> str:
    """Text as a sentence about a parameter holds it: cut where it is long."""
    return text if len(text) <= 60 else text[:57] + "..."


def check_images(images: Tensor) -> None:
    """Refuse anything but a float batch N×C×H×W of finite values in [0, 1].

    Raises:
        InvalidInput: wrong type, shape or range.
    """
    check_shape(images)
    low, high = (float(value) for value in torch.aminmax(full_precision(images.detach())))
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # also true for NaN, which compares false with everything
        if not bool(torch.isfinite(images).all()):
            raise InvalidInput("Images contain NaN or infinite values; every value must lie in [0, 1].")
        raise InvalidInput(
            f"Images must lie in [0, 1]; these lie in [{low:.3g}, {high:.3g}]: "
            "divide 8-bit values by 255, and leave the normalization to the classifier."
        )


def check_shape(images: Tensor) -> None:
    """Refuse anything but a float batch N×C×H×W, whatever its values.

    Raises:
        InvalidInput: wrong type or shape.
    """
    if not isinstance(images, Tensor):
        raise InvalidInput(f"Images must be a torch tensor N×C×H×W; this is a {type(images).__name__}.")
    if images.dim() != 4:
        raise InvalidInput(
            f"Images must have the shape N×C×H×W; this tensor has {images.dim()} dimensions: {shape_text(images)}."
        )
    if images.shape[1] not in (1, 3):
        raise InvalidInput(
            f"Images must have 1 or 3 channels in the second dimension; this batch is {shape_text(images)}."
        )
    if images.numel() == 0:
        raise InvalidInput(f"This batch is empty: {shape_text(images)}; hand in at least one image.")
    if not images.is_floating_point():
        raise InvalidInput(
            f"Images must be floats in [0, 1]; these are {images.dtype}: divide 8-bit values by 255 first."
        )


def check_fits(images: Tensor, channels: int, size: int) -> None:
    """Refuse images N×C×H×W that are not what a classifier of `channels` channels and size×size pixels takes.

    Raises:
        InvalidInput: other channels, which torch would repeat silently, or another size.
    """
    if images.shape[1] != channels:
        kind = "gray images with 1 channel" if channels == 1 else f"color images with {channels} channels"
        raise InvalidInput(
            f"This classifier takes {kind}; this batch is {shape_text(images)}: convert the images first."
        )
    if tuple(images.shape[2:]) != (size, size):
        raise InvalidInput(
            f"This classifier takes images of {size}×{size} pixels; this batch is {shape_text(images)}: resize the images first."
        )


def check_labels(labels: Tensor, count: int, classes: int, what: str = "labels") -> None:
    """Refuse anything but `count` whole numbers, of any integer type, that each name one of `classes` classes.

    Raises:
        InvalidInput: wrong type, length or range.
    """
    if not isinstance(labels, Tensor) or labels.dim() != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise InvalidInput(f"The {what} must be a one-dimensional int64 tensor, one class number an image.")
    if len(labels) != count:
        raise InvalidInput(f"There are {count} images and {len(labels)} {what}; hand in one for each image.")
    numbers = labels.long()  # torch compares no uint16
    outside = numbers[(numbers < 0) | (numbers >= classes)]
    if len(outside):
        raise InvalidInput(f"{int(outside[0])} is no class: the classes are numbered 0 to {classes - 1}.")


def check_logits(logits: Tensor) -> None:
    """Refuse logits N×K that name no class because they are NaN or infinite.

    Raises:
        InvalidInput: they are; the sentence says of how many images.
    """
    broken = int((~logits.isfinite().all(1)).sum())
    if broken:
        raise InvalidInput(
            f"The classifier answers with NaN or infinite logits for {broken} of {len(logits)} images, which name no class; "
            "check its weights, its normalization and what a defense hands to it."
        )


def full_precision(images: Tensor) -> Tensor:
    """Images of any float type as floats of 32 or 64 bits, with which everything here computes; the graph is kept."""
    return images if images.dtype in (torch.float32, torch.float64) else images.float()


def owned(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The values of `tensor` on that device and of that type, detached, and ready for gradients.

    A tensor made under `torch.inference_mode()` takes part in no gradient, so it is copied.
    """
    with torch.inference_mode(False):
        moved = tensor.detach().to(device, dtype)
        return moved.clone() if moved.is_inference() else moved


def shape_text(tensor: Tensor) -> str:
    """The shape of a tensor for a sentence, such as 1×3×32×32."""
    return "×".join(map(str, tensor.shape)) or "a number"
