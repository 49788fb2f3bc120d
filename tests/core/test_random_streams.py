"""An image's random numbers belong to the image: no batch, order or earlier draw of another image changes them."""

from __future__ import annotations

import pytest
import torch

from core.images import quantise
from core.random_streams import AttackLooks, RandomStreams, draw_seed, image_keys


def seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def images(count: int = 5) -> torch.Tensor:
    return quantise(torch.rand(count, 3, 4, 4, generator=seeded(9)))


def numbers(streams: RandomStreams) -> torch.Tensor:
    drawn = (streams.rand(2, 3), streams.randn(4), streams.randint(10, 2).float(), streams.rand())
    return torch.cat([values.flatten(1) if values.dim() > 1 else values[:, None] for values in drawn], 1)


def test_an_image_draws_the_same_in_any_batch() -> None:
    x = images()
    whole = numbers(RandomStreams.of(x, seeded(3)))
    assert whole.shape == (5, 13) and len(set(whole[:, 0].tolist())) == 5
    assert torch.equal(torch.cat([numbers(RandomStreams.of(part, seeded(3))) for part in x.split(1)]), whole)
    assert torch.equal(numbers(RandomStreams.of(x.flip(0), seeded(3))), whole.flip(0))
    assert not torch.equal(numbers(RandomStreams.of(x, seeded(4))), whole)


def test_the_numbers_are_uniform_normal_and_whole() -> None:
    streams = RandomStreams.numbered(400, seeded(0))
    uniform, normal, whole = streams.rand(50), streams.randn(50), streams.randint(3, 50)
    assert float(uniform.min()) >= 0 and float(uniform.max()) < 1
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.01) and float(uniform.mean(0).std()) < 0.03
    assert float(normal.mean()) == pytest.approx(0, abs=0.03) and float(normal.std()) == pytest.approx(1, abs=0.02)
    assert torch.bincount(whole.flatten(), minlength=3).min() > 0.3 * whole.numel()
    correlation = torch.corrcoef(torch.stack([uniform[:, 0], uniform[:, 1], uniform[:, 0].roll(1)]))
    assert float((correlation - torch.eye(3)).abs().max()) < 0.2, "streams know nothing of each other"


def test_a_part_of_the_batch_goes_on_where_the_whole_was() -> None:
    x = images()
    whole, parted = RandomStreams.of(x, seeded(1)), RandomStreams.of(x, seeded(1))
    assert torch.equal(whole.rand(2), parted.rand(2))
    keep = torch.tensor([True, False, True, True, False])
    wanted = whole.rand(2)[keep]
    assert torch.equal(parted.at(keep).rand(2), wanted)
    assert torch.equal(parted.at(torch.tensor([2, 0])).rand(2), whole.rand(2)[[2, 0]])
    nobody = whole.at(torch.zeros(5, dtype=torch.bool))
    assert len(nobody) == 0 and nobody.rand(2).shape == (0, 2) and nobody.randint(3).shape == (0,)


def test_the_key_is_the_8_bit_image_whatever_holds_it() -> None:
    x = images()
    assert len(set(image_keys(x))) == 5
    assert (
        image_keys(x)
        == image_keys(x.double())
        == image_keys(x + 0.3 / 255)
        == image_keys(x.contiguous(memory_format=torch.channels_last))
    )
    assert not set(image_keys(x)) & set(image_keys(x + 0.7 / 255))


def test_a_generator_is_asked_for_one_number() -> None:
    for count in (1, 5):
        generator, other = seeded(2), seeded(2)
        RandomStreams.of(images(count), generator)
        draw_seed(other)
        assert torch.equal(generator.get_state(), other.get_state())


def test_the_looks_of_an_attack_do_not_depend_on_how_many_there_were_in_the_step_before() -> None:
    one, other = AttackLooks(5), AttackLooks(5)
    first = [one.next_seed(), one.next_seed()]
    assert first[0] != first[1]
    other.next_seed()
    for looks in (one, other):
        looks.finished(0)
    assert one.next_seed() == other.next_seed() not in first
    one.finished(0)  # an attack may yield a step twice; the looks are new all the same
    assert one.next_seed() not in (*first, other.seed)
    assert AttackLooks(6).next_seed() != first[0]
