"""The paper's semidefinite bound: its dual is above the exact value, which is above what is met."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from core import InvalidInput
from core.certify import FlowCertificate, flow_sdp
from core.models.classifier import Classifier
from tests.core.certify.flow_samples import digits, noise, small_network


def largest(first: Tensor, second: Tensor, box: Tensor) -> float:
    """max sᵀ diag(v) W diag(b) t over all corners s; the best t is then known."""
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=len(second))), dtype=torch.float64)
    return float(((corners * second) @ first * box).abs().sum(1).max())


@pytest.mark.parametrize("seed", range(25))
def test_dual_is_above_exact_is_above_the_worst_corner(seed: int) -> None:
    pytest.importorskip("cvxpy")
    first, second, box = noise(6, 9, seed=seed), noise(2, 6, seed=seed + 10), noise(9, seed=seed + 20).abs()
    solved = flow_sdp.solve_program(first, second, box, steps=300)
    for number in range(2):
        exact, met = flow_sdp.exact_bound(first, second[number], box), largest(first, second[number], box)
        assert met <= exact <= 1.5 * met
        assert float(solved.met[number]) * (1 - 1e-5) <= exact <= float(solved.bound[number]) * (1 + 1e-6)
        assert float(solved.bound[number]) <= 1.001 * float(solved.met[number])


def test_the_largest_eigenvalue_is_bounded_from_above() -> None:
    roots = torch.stack([noise(40, 40, seed=seed) for seed in range(4)])
    close = torch.diag_embed(torch.linspace(0.999, 1, 40, dtype=torch.float64))  # a power iteration is slow here
    matrices = torch.cat([roots @ roots.mT, close[None], torch.zeros(1, 40, 40, dtype=torch.float64)])
    exact = torch.linalg.eigvalsh(matrices)[:, -1]
    found = flow_sdp.largest_eigenvalue(matrices)
    assert bool((found >= exact).all()) and found == pytest.approx(exact, rel=1.1e-4, abs=1e-12)


def test_it_bounds_the_change_of_the_network() -> None:
    first, second, box, bias = noise(12, 9), noise(1, 12, seed=1), noise(9, seed=2).abs(), noise(12, seed=3)
    bound = float(flow_sdp.solve_program(first, second, box).bound[0])

    def difference(x: Tensor) -> Tensor:
        return (x @ first.T + bias).clamp(min=0) @ second[0]

    x = noise(200, 9, seed=4)
    changes = difference(x + box * noise(200, 9, seed=5).sign()) - difference(x)
    assert 0 < float(changes.max()) <= bound


def test_without_a_change_the_bound_is_nothing() -> None:
    solved = flow_sdp.solve_program(noise(4, 5), noise(3, 4), torch.zeros(5))
    assert solved.bound.tolist() == [0, 0, 0]


def test_a_solver_that_fails_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    cvxpy = pytest.importorskip("cvxpy")

    def fail(*_: object, **__: object) -> None:
        raise cvxpy.error.SolverError("no")

    monkeypatch.setattr(cvxpy.Problem, "solve", fail)
    with pytest.raises(InvalidInput, match="choose the bound 'paper'"):
        flow_sdp.exact_bound(noise(3, 4), noise(3), noise(4).abs())


def test_the_certificate_takes_the_solvers_value_where_the_network_is_small() -> None:
    pytest.importorskip("cvxpy")
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(25, 12), nn.ReLU(), nn.Linear(12, 3))
    network = Classifier.wrap(layers, classes=3, size=5, channels=1)
    images = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(1))
    labels = network(images).argmax(1)
    paper, exact = (
        FlowCertificate(eps=0.01, bound=bound)(network, images, labels)  # type: ignore[arg-type]
        for bound in ("paper", "exact")
    )
    assert paper is not None and exact is not None
    clean = FlowCertificate(eps=0.0, bound="exact", find_radius=False)(network, images, labels)
    assert clean is not None
    changed, bounded = clean.margin - exact.margin, clean.margin - paper.margin
    assert bool((changed > 0).all()) and bounded.tolist() == pytest.approx(changed.tolist(), rel=2e-3)
    assert exact.radius.tolist() == pytest.approx(paper.radius.tolist(), rel=1e-2)


def test_a_program_that_is_too_large_for_the_solver_is_a_sentence() -> None:
    classifier, (images, labels) = small_network(0.0), digits()
    with pytest.raises(InvalidInput, match="the convex solver takes 130 at most; choose the bound 'paper'"):
        FlowCertificate(bound="exact")(classifier, images[:2], labels[:2])
