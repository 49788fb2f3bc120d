"""The paper's certificate: a quadratic form over a box, relaxed to a semidefinite program, exact and by its dual.

With relu' in [0, 1], logit differences of a two-layer network change by at most max sᵀ B t over s in [0, 1]ʰ and t in [-1, 1]ᴰ, where
B = diag(v)·W·diag(b), v = V_j - V_i, and |x̂ᵢ - xᵢ| ≤ bᵢ: each hidden unit changes by some share s of what enters it. With
s = (1 + s')/2 this is zᵀMz of z = (1, s', t) in [-1, 1]; zzᵀ is relaxed to Z ⪰ 0 with diag(Z) ≤ 1 (LAN, equations 10-13; Raghunathan
et al. 2018, section 3).
"""

from __future__ import annotations

from functools import lru_cache
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from core.certify.flow_geometry import lambdas
from core.certify.two_layer import TwoLayer
from core.inputs import BadInput

STEPS = 60  # of the dual's descent
POWER_STEPS, FIRST_POWER_STEPS = 3, 20  # of the power iteration in each, from the last one's vectors
RATE = 0.1
ROUNDING = 1e-9  # relative: what float64 can be wrong by in an eigenvalue


def block(first: Tensor, second: Tensor, box: Tensor) -> Tensor:
    """The block of M between (1, s') and t, P×(1+h)×D, for pairs of classes with v of P×h: M holds it and its transpose, and else 0.

    Args:
        first: W, h×D. second: v, P×h. box: b ≥ 0, D.
    """
    inner = second[:, :, None] * first * box / 4
    return torch.cat([inner.sum(1, keepdim=True), inner], 1)


def dual_bound(first: Tensor, second: Tensor, box: Tensor, steps: int = STEPS) -> Tensor:
    """An upper bound of the change of the logit difference for each pair, float64 P: the dual of the semidefinite program.

    For α, β > 0, diag(α, β) - M ⪰ 0 where ‖diag(α)^-½ B diag(β)^-½‖ ≤ 1, and then zᵀMz ≤ Σα + Σβ. Scaled by that norm σ, any α and β
    serve: σ(Σα + Σβ) is what Adam descends on in log α and log β, all pairs at once. The descent only chooses α and β; the bound is
    worked out last, with σ² from all eigenvalues of BᵀB scaled, and what rounding may be wrong by on top.
    """
    matrix = block(first.double(), second.double(), box.double())
    rows = (matrix.norm(dim=2) + 1e-9).log()
    columns = (matrix.norm(dim=1) + 1e-9).log()
    weight, pair, single = (first * box).float() / 4, second.float(), [rows.float(), columns.float()]
    moments = [(torch.zeros_like(x), torch.zeros_like(x)) for x in single]
    right = torch.ones_like(single[1])
    best = [x.clone() for x in single]
    lowest = torch.full(rows.shape[:1], torch.inf)
    for step in range(1, steps + 1):
        alpha, beta = (x.exp() for x in single)
        for _ in range(POWER_STEPS if step > 1 else FIRST_POWER_STEPS):  # B is never multiplied out here
            inner = pair * ((right * beta.rsqrt()) @ weight.T)
            left = F.normalize(torch.cat([inner.sum(1, keepdim=True), inner], 1) * alpha.rsqrt(), dim=1)
            both = left * alpha.rsqrt()
            right = ((both[:, :1] + both[:, 1:]) * pair) @ weight * beta.rsqrt()
        sigma = right.norm(dim=1)
        right = right / sigma[:, None].clamp(min=1e-30)
        total = alpha.sum(1) + beta.sum(1)
        better = sigma * total < lowest
        lowest = torch.where(better, sigma * total, lowest)
        best = [torch.where(better[:, None], new, old) for new, old in zip(single, best, strict=True)]
        # The slope of log σ along log α is -left²/2, that of log Σ is the share of the sum.
        slopes = [alpha / total[:, None] - left.square() / 2, beta / total[:, None] - right.square() / 2]
        rate = RATE * (1 - step / (steps + 1))
        for number, slope in enumerate(slopes):
            mean, square = moments[number]
            mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope.square()
            moments[number] = (mean, square)
            correction = (1 - 0.9**step) / (1 - 0.99**step) ** 0.5
            single[number] = single[number] - rate * mean / (square.sqrt() + 1e-9) / correction
    alpha, beta = (x.double().exp() for x in best)
    scaled = matrix * alpha.rsqrt()[:, :, None] * beta.rsqrt()[:, None]
    gram = scaled @ scaled.mT if scaled.shape[1] <= scaled.shape[2] else scaled.mT @ scaled
    norm: Tensor = torch.linalg.eigvalsh(gram)[:, -1].clamp(min=0).sqrt()
    bound: Tensor = norm * (alpha.sum(1) + beta.sum(1)) * (1 + ROUNDING)
    return bound


@lru_cache(maxsize=4)
def change_per_unit(network: TwoLayer) -> Tensor:
    """How much logit differences change at most under flows of total variation 1, for each pair of classes, float64 K×K.

    The paper's box, bᵢ = √2·ε·λᵢ, grows with ε, and so does the bound; it is the same for both signs of a pair, as t and -t are.
    """
    classes, (_, height, width) = len(network.second), network.shape
    one, other = torch.triu_indices(classes, classes, 1)
    box = sqrt(2) * lambdas(height, width).flatten().to(network.first.device)
    found = network.second.new_zeros(classes, classes)
    found[one, other] = dual_bound(network.first, network.second[one] - network.second[other], box).to(found)
    return found + found.T


def exact_bound(first: Tensor, second: Tensor, box: Tensor) -> float:
    """The semidefinite program's own value for one pair (v of h), by a convex solver, its gap added; small networks take seconds.

    The program is max tr(MZ) with Z ⪰ 0 and diag(Z) ≤ 1. It is solved in its dual form, min Σc with diag(c) - M ⪰ 0, and c is then
    scaled until that matrix is positive in float64, so that what the solver is wrong by is on the safe side.

    Raises:
        BadInput: the solver failed; `dual_bound` is the weaker sound bound.
    """
    import cvxpy  # here: it takes a second to import

    inner = block(first.double(), second.double()[None], box.double())[0]
    rows, columns = inner.shape
    weights = cvxpy.Variable(rows + columns, nonneg=True)
    whole = torch.zeros(rows + columns, rows + columns, dtype=torch.float64)
    whole[:rows, rows:] = inner
    whole = whole + whole.T
    program = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(weights)), [cvxpy.diag(weights) - whole.numpy() >> 0])
    try:
        program.solve(solver="CLARABEL")  # type: ignore[no-untyped-call]
        found = None if weights.value is None else torch.tensor(weights.value, dtype=torch.float64)
    except cvxpy.error.SolverError:
        found = None
    if found is None or not bool(found.isfinite().all()):
        raise BadInput(
            "The convex solver failed on this program; use the dual bound, which is weaker and holds as well."
        )
    alpha, beta = found.clamp(min=1e-12).split([rows, columns])  # type: ignore[no-untyped-call]
    sigma = torch.linalg.matrix_norm(inner * alpha.rsqrt()[:, None] * beta.rsqrt(), ord=2)
    return float(sigma.clamp(min=0) * (alpha.sum() + beta.sum()) * (1 + ROUNDING))
