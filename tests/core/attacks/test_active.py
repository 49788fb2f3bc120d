"""What the attacks share: the batch of active images, and one Adam step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from core.attacks import Criterion
from core.attacks.active import ActiveBatch, Points
from core.attacks.adam import Adam
from core.attacks.losses import margin
from core.models.classifier import Classifier
from tests.core.attacks.networks import classifier

BOUNDARY = 127.2 / 255


class FirstValue(nn.Module):
    """Class 1 leads by what the first value is above the boundary."""

    def forward(self, x: Tensor) -> Tensor:
        lead = x.flatten(1)[:, :1] - BOUNDARY
        return torch.cat([-lead, lead, lead - 9], 1)


def gray(*levels: float) -> Tensor:
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 3, 8, 8).contiguous()


def batch_of(*levels: float) -> tuple[Classifier, ActiveBatch]:
    model = classifier(FirstValue(), 3)
    labels = torch.zeros(len(levels), dtype=torch.int64)
    return model, ActiveBatch.start(model, gray(*levels), labels, Criterion(), margin)


def first_values(points: Points) -> list[float]:
    return [round(float(value), 4) for value in points.images[:, 0, 0, 0]]


def test_an_adam_step_is_that_of_torch() -> None:
    theirs = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    ours, adam = theirs.detach().clone(), Adam(theirs.detach())
    optimizer = torch.optim.Adam([theirs], lr=0.05)
    for k in range(8):
        gradient = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(k))
        ours = ours - adam.step(gradient[: len(ours)], 0.05)
        theirs.grad = gradient
        optimizer.step()
        if k == 4:  # two images go on as if nothing had happened
            ours = ours[:2]
            adam.select(torch.tensor([True, True, False]))
    assert torch.allclose(ours, theirs.detach()[:2], atol=1e-6)


def test_the_better_point_is_kept_fooled_first_then_by_the_loss() -> None:
    _, batch = batch_of(0.1, 0.6, 0.7)
    batch.update(batch.evaluate(gray(0.2, 0.4, 0.9), margin), early_stop=False)
    assert first_values(batch.best) == [0.2, 0.6, 0.9]
    assert batch.best.fooled.tolist() == [False, True, True] and len(batch.active) == 3


def test_an_image_that_stops_early_is_left_alone_and_keeps_its_row() -> None:
    _, batch = batch_of(0.1, 0.2, 0.3)
    going = batch.update(batch.evaluate(gray(0.2, 0.8, 0.4), margin), early_stop=True)
    assert going.tolist() == [True, False, True] and batch.active.tolist() == [0, 2]
    batch.update(batch.evaluate(gray(0.3, 0.9), margin), early_stop=True)
    assert first_values(batch.best) == [0.3, 0.8, 0.9] and batch.active.tolist() == [0]
    assert torch.allclose(batch.best.logits, batch.classifier(batch.best.images))


def test_a_point_that_fools_only_before_rounding_does_not_stop_and_gives_way_to_one_that_survives() -> None:
    lost = 127.3 / 255  # as a file it is 127, below the boundary
    _, batch = batch_of(0.1, 0.1)
    fragile = batch.evaluate(gray(lost, lost), margin)
    assert batch.update(fragile, early_stop=True).tolist() == [True, True] and not bool(batch.survived.any())
    assert not batch.restore_survivors()
    batch.activate(torch.tensor([True, True]))
    batch.update(batch.evaluate(gray(0.6, 0.3), margin), early_stop=False)
    assert batch.survived.tolist() == [True, False]
    batch.merge(fragile)
    assert batch.restore_survivors()
    assert first_values(batch.best) == [0.6, round(lost, 4)]


@pytest.mark.parametrize("chosen", [[True, False, True], [True, True, True], [False, False, False]])
def test_merged_rows_are_taken_over_with_all_that_is_known(chosen: list[bool]) -> None:
    _, batch = batch_of(0.1, 0.2, 0.3)
    batch.merge(batch.evaluate(gray(0.6, 0.7, 0.8), margin), torch.tensor(chosen))
    expected = [new if take else old for take, old, new in zip(chosen, (0.1, 0.2, 0.3), (0.6, 0.7, 0.8), strict=True)]
    assert first_values(batch.best) == expected
    assert batch.best.fooled.tolist() == chosen
    assert torch.allclose(batch.best.loss, 2 * (torch.tensor(expected) - BOUNDARY), atol=1e-6)
