"""Random numbers an image, so that no image's draws depend on which others are in its batch or on where it lies there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from core.images import to_pixels


class RandomStreams:
    """A random stream for each image of a batch, N in all, so that an image draws the same numbers in any batch.

    Numbers are drawn on the CPU, so that every device gets the same ones.
    """

    def __init__(self, generators: Iterable[torch.Generator]) -> None:
        self.generators = tuple(generators)

    @classmethod
    def keyed(cls, keys: Iterable[bytes], *seed: int | str) -> RandomStreams:
        """A stream for each key, which depends on the key and on the seed alone; the seed may have several parts."""
        name = repr(seed).encode()
        return cls(torch.Generator().manual_seed(_hashed(key, name)) for key in keys)

    @classmethod
    def of(cls, images: Tensor, generator: torch.Generator) -> RandomStreams:
        """A stream for each of the images N×C×H×W; takes one number from the generator, however many images there are."""
        return cls.keyed(image_keys(images), draw_seed(generator))

    @classmethod
    def numbered(cls, count: int, generator: torch.Generator) -> RandomStreams:
        """Streams of which no two are the same, for `count` draws that belong to no image."""
        return cls.keyed((str(n).encode() for n in range(count)), draw_seed(generator))

    @classmethod
    def common(cls, count: int, *seed: int | str) -> RandomStreams:
        """`count` streams that are all the same."""
        return cls.keyed((b"" for _ in range(count)), *seed)

    def __len__(self) -> int:
        return len(self.generators)

    def at(self, index: Tensor) -> RandomStreams:
        """The very streams of a part of the batch (int64 or bool): what is drawn there is drawn here, too."""
        numbers = index.nonzero()[:, 0] if index.dtype == torch.bool else index
        return RandomStreams(self.generators[n] for n in numbers.tolist())

    def rand(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), float32 N×shape."""
        return self._each(shape, torch.rand)

    def randn(self, *shape: int) -> Tensor:
        """Normal numbers, float32 N×shape."""
        return self._each(shape, torch.randn)

    def randint(self, high: int, *shape: int) -> Tensor:
        """Whole numbers from 0 to `high` - 1, int64 N×shape."""
        return self._each(shape, partial(torch.randint, high))

    def _each(self, shape: tuple[int, ...], draw: Callable[..., Tensor]) -> Tensor:
        drawn = [draw(shape, generator=generator) for generator in self.generators]
        return torch.stack(drawn) if drawn else draw((0, *shape))  # every image of the batch may be finished


class AttackLooks:
    """Seeds for the attacker's own draws in one attack: a new one for each look at the gradient.

    They depend on the attack's seed, its step and the look's number within that step, not on the images: an image draws the same
    alone and in a batch, also when other images are finished earlier.
    """

    def __init__(self, *seed: int | str) -> None:
        self.seed = seed
        self.step = self.look = 0

    def finished(self, step: int) -> None:
        """The attack has yielded that step."""
        if step >= self.step:
            self.step, self.look = step + 1, 0

    def next_seed(self) -> tuple[int | str, ...]:
        """The seed of this look."""
        self.look += 1
        return (*self.seed, self.step, self.look)


def image_keys(images: Tensor) -> tuple[bytes, ...]:
    """What names each of the images N×C×H×W in a random draw: a hash of its 8-bit pixels."""
    return tuple(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest() for pixels in to_pixels(images))


def draw_seed(generator: torch.Generator) -> int:
    """One number from the generator, to seed others with."""
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def _hashed(key: bytes, name: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(name + b"\0" + key, digest_size=8).digest())
