"""Weights as people have them: wrapped, prefixed, in half precision, in old names; each reason why a file does not fit is a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field, FiniteFloat, PositiveFloat, ValidationError
from safetensors.torch import load_file
from torch import Tensor, nn

from core import files
from core.inputs import InvalidInput, shape_text

ENDINGS = (".pth.tar", ".pth", ".pt", ".ckpt", ".bin", ".safetensors")
MAX_BYTES = 4_000_000_000
_CONTAINERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "model_ema",
    "ema",
    "state_dict_ema",
    "net",
    "network",
    "module",
)
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.")
_OLD_DENSENET = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..+)$"
)  # norm.1 for norm1, as before torchvision 0.3
_EXTRA = re.compile(r"(?i)^(aux|AuxLogits|total_ops|total_params|.*\.total_(ops|params)$|n_averaged$)")


class Sidecar(BaseModel):
    """How the user's weights want their images; what it leaves out is as torchvision has it."""

    mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = None
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None
    size: int | None = Field(default=None, ge=32, le=1024)
    transform_input: bool | None = None  # of GoogLeNet and Inception v3: whether the network rescales its input itself


def read_sidecar(path: Path) -> Sidecar:
    """The JSON file beside a weight file; the defaults where there is none.

    Raises:
        InvalidInput: it says something else, or gives mean and std for values of 0 to 255.
    """
    if not path.exists():
        return Sidecar()
    try:
        sidecar = Sidecar.model_validate(json.loads(files.read_bytes(path, 1_000_000)))
    except (ValidationError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f'{path.name} must look like {{"mean": [r, g, b], "std": [r, g, b], "size": 224}}.'
        ) from None
    if any(abs(value) > 2 for value in sidecar.mean or ()) or any(value > 4 for value in sidecar.std or ()):
        raise InvalidInput(
            f"{path.name} has mean and std for values of 0 to 255; divide them by 255, since images lie in [0, 1]."
        )
    return sidecar


def fill(network: nn.Module, path: Path, architecture: str, classes: int) -> None:
    """Load the weights of a file into the network.

    Raises:
        InvalidInput: it holds none, those of another architecture or number of classes, or values that are no numbers.
    """
    expected_state = network.state_dict()
    state = _fitting(_state(path, architecture), expected_state)
    for name, tensor in state.items():
        expected = expected_state.get(name)
        if expected is not None and tensor.shape != expected.shape:
            if (
                tensor.dim() == expected.dim()
                and expected.shape[0] == classes
                and tensor.shape[1:] == expected.shape[1:]
            ):
                raise InvalidInput(f"{path.name} has {tensor.shape[0]} outputs; ImageNet has {classes} classes.")
            raise InvalidInput(
                f"{path.name} does not hold weights of torchvision's {architecture}: {name} is {shape_text(tensor)} there "
                f"and must be {shape_text(expected)}."
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InvalidInput(
                f"{path.name} holds NaN or infinite values in {name}; save the weights of an earlier epoch."
            )
    missing = [name for name in expected_state if name not in state and not _dispensable(name)]
    unknown = [name for name in state if name not in expected_state and not _EXTRA.match(name)]
    for words, names in (("lacks", missing), ("has the unknown", unknown)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise InvalidInput(
                f"{path.name} does not hold weights of torchvision's {architecture}: it {words} {', '.join(names[:3])}{more}."
            )
    network.load_state_dict({name: tensor for name, tensor in state.items() if name in expected_state}, strict=False)


def _dispensable(name: str) -> bool:
    """Counters of training steps, and heads that only training uses."""
    return name.endswith("num_batches_tracked") or _EXTRA.match(name) is not None


def _state(path: Path, architecture: str) -> dict[str, Tensor]:
    """All tensors of the file by name, out of whatever they are wrapped in."""
    files.check_regular(path, MAX_BYTES)
    none = f"{path.name} does not hold weights of torchvision's {architecture}"
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's file fails in as many ways as there are
        text = str(error)
        if "GLOBAL torchvision." in text or "GLOBAL torch.nn." in text:
            raise InvalidInput(f"{none}: it holds a whole model; save model.state_dict() instead.") from None
        if "Unsupported" in text and "global" in text.lower():
            raise InvalidInput(
                f"{none}: it holds Python objects, which are not run; save model.state_dict() alone."
            ) from None
        raise InvalidInput(f"{none}: the file is damaged, or of another kind.") from None
    for _ in range(5):
        inner = content if isinstance(content, Mapping) else {}
        content = next((inner[key] for key in _CONTAINERS if isinstance(inner.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        kind = "no tensors" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise InvalidInput(f"{none}: it holds {kind}; save model.state_dict().")
    return {
        str(name): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in content.items()
        if isinstance(tensor, Tensor)
    }


def _fitting(state: dict[str, Tensor], expected_state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the network's names: without the prefixes that wrappers put before all of them, and old names renewed."""
    for _ in range(5):
        if any(name in expected_state for name in state):
            break
        prefix = next((p for p in _PREFIXES if sum(name.startswith(p) for name in state) * 2 > len(state)), None)
        if prefix is None:
            break
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    state = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
    return {
        _OLD_DENSENET.sub(r"\1\2", name) if name not in expected_state else name: tensor
        for name, tensor in state.items()
    }


def check_size(network: nn.Module, path: Path, size: int, classes: int) -> None:
    """Try one image before the weights are accepted.

    Raises:
        InvalidInput: the network does not take images of that size, or its answer is no logits.
    """
    try:
        with torch.inference_mode():
            logits = network(torch.rand((1, 3, size, size), generator=torch.Generator().manual_seed(0)))
    except Exception:  # each architecture refuses a size in its own way
        raise InvalidInput(
            f"{path.name} does not take images of {size}×{size} pixels; give another size in {path.with_suffix('.json').name}."
        ) from None
    if logits.shape != (1, classes):
        raise InvalidInput(
            f"{path.name} answers with {shape_text(logits)} values for one image; it must be 1×{classes}."
        )
    if not bool(torch.isfinite(logits).all()):
        raise InvalidInput(f"{path.name} answers one image with NaN or infinite logits; the weights are unusable.")
