"""Feature noise of one recipe: attacks, with and without each defense, at every depth of the classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from core import images
from core.explain.layers import feature_maps
from core.explain.noise import channel_noise, noise_by_depth
from core.recipe.example import Example
from core.recipe.recipe import Recipe

Pixels = npt.NDArray[np.uint8]
SHUFFLED = "the same change, shuffled"


def feature_noise(
    recipe: Recipe, example: Example, attacked: Mapping[str, Pixels], names: Sequence[str]
) -> dict[str, list[float]]:
    """Relative noise by depth (image, the layers `names`, logits) of each attacked image and of it behind each defense.

    The first attack's change with its pixels in another order stands beside them: as large, but of no design.
    """
    titles = list(attacked)
    others = {title: images.to_tensor(attacked[title]) for title in titles}
    device = example.classifier.device
    with torch.no_grad():
        behind = {
            f"{title} + {system.describe()}": images.to_tensor(
                images.to_pixels(system.defense(others[title].to(device)))[0]
            )
            for title in titles
            for system in recipe.build_systems()
            if system.defense is not None  # another classifier has other layers
        }
    first = {SHUFFLED: images.to_tensor(shuffled(example.clean, attacked[titles[0]], recipe.seed))}
    return noise_by_depth(example.classifier, names, example.images, {**others, **behind, **first})


@dataclass(frozen=True)
class LayerMaps:
    """One layer's maps of the clean and of another image, channels×h×w each, and the relative noise of each channel."""

    clean: npt.NDArray[np.float32]
    changed: npt.NDArray[np.float32]
    noise: npt.NDArray[np.float32]


def layer_maps(example: Example, name: str, other: Pixels) -> LayerMaps:
    """The maps that the layer of that name makes of the clean and of another image."""
    batch = torch.cat([example.images, images.to_tensor(other)]).to(example.classifier.device)
    clean, changed = feature_maps(example.classifier, [name], batch)[name]
    return LayerMaps(clean.numpy(), changed.numpy(), channel_noise(clean, changed).numpy())


def shuffled(clean: Pixels, other: Pixels, seed: int) -> Pixels:
    """The clean image H×W×C with the other's change at other pixels; cut to 8 bits, so it may be a little smaller."""
    change = (other.astype(np.int16) - clean).reshape(-1, clean.shape[2])
    moved = np.random.default_rng(seed).permutation(change).reshape(clean.shape)
    result: Pixels = np.clip(clean + moved, 0, 255).astype(np.uint8)
    return result
