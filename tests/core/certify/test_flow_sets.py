"""What flows make of an image lies in every set; the relaxed network lies below the network."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from core.certify import flow_sets, pixel_change
from core.certify.flow_sets import ChangeSet, JointSet, NearSet, PixelBox, local_box, paper_box
from core.certify.relaxation import lower_margins, other_classes
from core.certify.two_layer import TwoLayer
from core.warp import warp
from tests.core.certify.flow_samples import noise, sample_flows

SETS = {"joint": JointSet, "near": NearSet, "local box": local_box, "paper box": paper_box}


def blocks(count: int, height: int = 9, width: int = 8) -> Tensor:
    """Images with flat parts and steep edges, float64 N×1×H×W in [0, 1]."""
    smooth = noise(count, 1, height, width, seed=3)
    return (smooth.sign() * smooth.abs().clamp(max=1) * (noise(count, 1, height, width, seed=4) > -0.3)).clamp(0, 1)


@pytest.mark.parametrize("reach", [0.4, 1.0, 2.5, 40.0])
def test_slopes_and_values_are_those_of_the_pixels_around(reach: float) -> None:
    images = blocks(2)
    found = pixel_change.slopes(images[:, 0], reach)
    low, high = pixel_change.value_range(images[:, 0], reach)
    cells, (height, width) = max(1, -int(-reach // 1)), images.shape[2:]

    def at(n: int, row: int, column: int) -> float:
        return float(images[n, 0, min(max(row, 0), height - 1), min(max(column, 0), width - 1)])

    for n, row, column in itertools.product(range(2), (0, 4, height - 1), (0, 3, width - 1)):
        near = range(-cells, cells + 1)
        values = [at(n, row + a, column + b) for a in near for b in near]
        assert (float(low[n, row, column]), float(high[n, row, column])) == (min(values), max(values))
        down = [at(n, row + a + 1, column + b) - at(n, row + a, column + b) for a in near[:-1] for b in near]
        across = [at(n, row + a, column + b + 1) - at(n, row + a, column + b) for a in near for b in near[:-1]]
        for axis, steps in enumerate((down, across)):
            middle, half = (float(t[n, axis, row, column]) for t in (found.middle, found.half))
            assert middle - half == pytest.approx(min(steps)) and middle + half == pytest.approx(max(steps))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("eps", [0.5, 3.0, 4.5, 9.0, 40.0])
def test_no_flow_leaves_a_set(name: str, eps: float) -> None:
    if name == "near" and eps > 4:
        pytest.skip("the set is for movements of at most a pixel")
    images, flows = blocks(3), sample_flows(9, 8, eps)
    changes: ChangeSet = SETS[name](images, images.new_full((3,), eps))  # type: ignore[operator]
    rows = torch.cat([noise(5, 72), noise(2, 72, seed=5).abs(), torch.eye(72, dtype=torch.float64)[::9]])
    own = torch.stack([rows.roll(n, 1) for n in range(3)])
    shared, each = changes.of_shared(rows), changes.of_own(own)
    worst = 0.0
    for n in range(3):
        moved = warp(images[n : n + 1].expand(len(flows), -1, -1, -1), flows) - images[n]
        for found, bound in (
            ((moved.flatten(1) @ rows.T).abs().amax(0), shared[n]),
            ((moved.flatten(1) @ own[n].T).abs().amax(0), each[n]),
        ):
            assert bool((found <= bound + 1e-9).all())
            worst = max(worst, float((found / bound.clamp(min=1e-9)).max()))
    assert worst > 0.15 or name == "paper box" or eps > 10, "a bound that says something"


def test_of_the_pixels_together_little_moves_far() -> None:
    """One pixel reaches ε/4, and an area that moves as a whole pays for its border: the joint set knows both, the boxes one of them."""
    images = blocks(1, 20, 20)
    rows = noise(4, 400).abs()
    eps = images.new_full((1,), 3.0)
    joint, box, paper = (SETS[name](images, eps).of_shared(rows) for name in ("joint", "local box", "paper box"))  # type: ignore[operator]
    assert bool((joint < 0.3 * box).all()) and bool((box < paper).all())


@pytest.mark.parametrize("name", SETS)
def test_shared_rows_and_own_rows_agree(name: str) -> None:
    images = blocks(3)
    changes: ChangeSet = SETS[name](images, torch.tensor([0.0, 3.0, 3.9], dtype=torch.float64))  # type: ignore[operator]
    rows = noise(4, 72)
    shared, own = changes.of_shared(rows), changes.of_own(rows.expand(3, -1, -1))
    assert bool((own <= shared + 1e-9).all())
    assert name == "joint" or torch.allclose(own, shared), "its own rows may use the transport bound"
    assert float(shared[0].abs().max()) < 1e-5, "no flow, no change"


def test_the_relaxed_network_lies_below_the_network() -> None:
    network = TwoLayer(noise(7, 12), noise(7, seed=1), noise(4, 7, seed=2), noise(4, seed=3), (1, 3, 4))
    images = noise(5, 1, 3, 4, seed=6).abs().clamp(max=1)
    box = noise(5, 12, seed=7).abs() * 0.2
    classes = network.logits(images).argmax(1)
    others = other_classes(classes, 4)
    assert [sorted([*row.tolist(), int(c)]) for row, c in zip(others, classes, strict=True)] == [[0, 1, 2, 3]] * 5
    lower = lower_margins(network, images, classes, others, PixelBox(box))
    smallest = torch.full_like(lower, torch.inf)
    for seed in range(400):
        corner = noise(5, 12, seed=seed)
        change = box * (corner.sign() if seed % 2 else corner.clamp(-1, 1))
        logits = network.logits(images + change.view(5, 1, 3, 4))
        smallest = torch.minimum(smallest, logits.gather(1, classes[:, None]) - logits.gather(1, others))
    assert bool((lower <= smallest + 1e-12).all())
    exact = lower_margins(network, images, classes, others, PixelBox(box * 0))
    logits = network.logits(images)
    assert torch.allclose(exact, logits.gather(1, classes[:, None]) - logits.gather(1, others), atol=1e-12)
    assert float((smallest - lower).median()) < float((exact - lower).median()), "not far below what is met"


def test_the_reach_is_a_quarter() -> None:
    assert flow_sets.REACH == 1 / 4, "a single pixel has four neighbors"
