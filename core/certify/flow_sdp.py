"""The paper's certificate: a quadratic form over a box, relaxed to a semidefinite program, exact and by its dual.

With relu' in [0, 1], logit differences of a two-layer network change by at most max sᵀ B t over s in [0, 1]ʰ and t in [-1, 1]ᴰ, where
B = diag(v)·W·diag(b), v = V_j - V_i, and |x̂ᵢ - xᵢ| ≤ bᵢ: each hidden unit changes by some share s of what enters it. With
s = (1 + s')/2 this is zᵀMz of z = (1, s', t) in [-1, 1]; zzᵀ is relaxed to Z ⪰ 0 with diag(Z) ≤ 1 (LAN, equations 10-13; Raghunathan
et al. 2018, section 3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from core.cancellation import check
from core.certify.flow_geometry import lambdas
from core.certify.two_layer import TwoLayer
from core.inputs import InvalidInput

STEPS = 40  # of the ascent
RANK = 16  # of the solution that it looks for
POWER_STEPS, MARGIN = 50, 1e-4  # of the largest eigenvalue, and by how much the guess is enlarged
TINY = 1e-12
REMEMBERED, REMEMBERED_PAIRS = 4, 1000  # networks, and pairs of classes by the convex solver
MAX_PROGRAM = 130  # rows that the convex solver takes; its time grows with a high power of them
ROUNDING = 1e-9  # relative: what float64 can be wrong by in an eigenvalue


_changes: dict[str, Tensor] = {}
_exact: dict[tuple[str, int, int], float] = {}


def block(first: Tensor, second: Tensor, box: Tensor) -> Tensor:
    """The block of M between (1, s') and t, P×(1+h)×D, for pairs of classes with v of P×h: M holds it and its transpose, and else 0.

    Args:
        first: W, h×D. second: v, P×h. box: b ≥ 0, D.
    """
    inner = second[:, :, None] * first * box / 4
    return torch.cat([inner.sum(1, keepdim=True), inner], 1)


@dataclass(frozen=True)
class Solved:
    """Where the value of the semidefinite program lies, for each of P pairs, float64 P.

    Attributes:
        met: a feasible Z reaches it. bound: the dual proves that no Z exceeds it.
    """

    met: Tensor
    bound: Tensor


def solve_program(first: Tensor, second: Tensor, box: Tensor, steps: int = STEPS, rank: int = RANK) -> Solved:
    """The program's value for each pair, from both sides; the arguments are those of `block`.

    With Z of a low rank, its entries are products of unit vectors, uᵢ of the rows of B and wⱼ of its columns, and tr(MZ) is
    2·Σ Bᵢⱼ uᵢ·wⱼ. Each uᵢ and then each wⱼ is set to the best one in turn, all pairs at once (Wang et al. 2017, the mixing method).
    At the optimum, the lengths α of B·w and β of Bᵀ·u solve the dual: diag(α, β) - M ⪰ 0. At any others, that matrix is positive once
    α and β are scaled by σ = ‖diag(α)^-½ B diag(β)^-½‖, and then zᵀMz ≤ σ(Σα + Σβ). The ascent only chooses α and β; σ² is bounded
    last, in float64.
    """
    weight, pair = (first * box).float() / 4, second.float()[:, :, None]
    start = torch.randn(len(second), len(box), rank, generator=torch.Generator().manual_seed(0))
    columns = F.normalize(start.to(weight), dim=2)
    alpha = beta = columns.new_zeros(0)
    for _ in range(steps):  # B is never multiplied out here
        inner = pair * (weight @ columns)
        rows = torch.cat([inner.sum(1, keepdim=True), inner], 1)
        alpha = rows.norm(dim=2)
        rows = rows / alpha.clamp(min=TINY)[:, :, None]
        columns = weight.T @ ((rows[:, :1] + rows[:, 1:]) * pair)
        beta = columns.norm(dim=2)
        columns = columns / beta.clamp(min=TINY)[:, :, None]
    alpha, beta = (x.double().clamp(min=TINY) for x in (alpha, beta))
    scaled = block(first.double(), second.double(), box.double()) * alpha.rsqrt()[:, :, None] * beta.rsqrt()[:, None]
    gram = scaled @ scaled.mT if scaled.shape[1] <= scaled.shape[2] else scaled.mT @ scaled
    return Solved(2 * beta.sum(1), largest_eigenvalue(gram).sqrt() * (alpha.sum(1) + beta.sum(1)))


def largest_eigenvalue(matrices: Tensor) -> Tensor:
    """An upper bound of the largest eigenvalue of positive semidefinite matrices P×n×n, float64 P.

    A power iteration guesses it. The guess, a little enlarged, is kept where a Cholesky factorization proves that no eigenvalue is above
    it; the others come from all eigenvalues. What rounding may be wrong by is added.
    """
    vector = torch.ones_like(matrices[:, :, :1])
    for _ in range(POWER_STEPS):
        vector = F.normalize(matrices @ vector, dim=1)
    guess = (matrices @ vector).norm(dim=1)[:, 0] * (1 + MARGIN)
    rest = torch.diag_embed(guess[:, None].expand(-1, matrices.shape[1])) - matrices
    failed = torch.linalg.cholesky_ex(rest).info > 0
    if bool(failed.any()):
        guess[failed] = torch.linalg.eigvalsh(matrices[failed])[:, -1].clamp(min=0)
    bound: Tensor = guess * (1 + ROUNDING)
    return bound


def change_per_unit(network: TwoLayer) -> Tensor:
    """How much logit differences change at most under flows of total variation 1, for each pair of classes, float64 K×K.

    The paper's box, bᵢ = √2·ε·λᵢ, grows with ε, and so does the bound; it is the same for both signs of a pair, as t and -t are.
    The last few networks are remembered by their weights.
    """
    key = _key(network)
    changes = _changes.pop(key, None)
    if changes is None:
        changes = _change_per_unit(network).cpu()
    _changes[key] = changes  # the newest is the last
    while len(_changes) > REMEMBERED:
        _changes.pop(next(iter(_changes)), None)
    return changes.to(network.first.device)


def _key(network: TwoLayer) -> str:
    weights = b"".join(part.detach().cpu().numpy().tobytes() for part in (network.first, network.second))
    return hashlib.sha256(weights).hexdigest()


def _change_per_unit(network: TwoLayer) -> Tensor:
    classes, (_, height, width) = len(network.second), network.shape
    rows, columns = torch.triu_indices(classes, classes, 1)
    box = sqrt(2) * lambdas(height, width).flatten().to(network.first.device)
    changes = network.second.new_zeros(classes, classes)
    changes[rows, columns] = solve_program(network.first, network.second[rows] - network.second[columns], box).bound.to(
        changes
    )
    return changes + changes.T


def exact_changes(network: TwoLayer, classes: Tensor) -> Tensor:
    """What `change_per_unit` bounds, by the convex solver, for the pairs with one of the `classes` (int64 N); K×K, NaN for the others.

    Raises:
        InvalidInput: the program is too large for the solver, or the solver failed.
    """
    hidden, pixels = network.first.shape
    if (size := 1 + hidden + pixels) > MAX_PROGRAM:
        raise InvalidInput(
            f"The semidefinite program of this network has {size:,} rows, and the convex solver takes {MAX_PROGRAM} at most; choose the "
            "bound 'paper', which is within about 0.1 % of it."
        )
    box = sqrt(2) * lambdas(*network.shape[1:]).flatten().to(network.first.device)
    key, count = _key(network), len(network.second)
    changes = network.second.new_full((count, count), torch.nan)
    for label in set(classes.tolist()):
        for other in (number for number in range(count) if number != label):
            check()
            pair = key, min(label, other), max(label, other)
            if pair not in _exact:
                _exact[pair] = exact_bound(network.first, network.second[pair[1]] - network.second[pair[2]], box)
            changes[label, other] = _exact[pair]
    while len(_exact) > REMEMBERED_PAIRS:
        _exact.pop(next(iter(_exact)), None)
    return changes


def exact_bound(first: Tensor, second: Tensor, box: Tensor) -> float:
    """The semidefinite program's own value for one pair (v of h), by a convex solver, its gap added; small networks take seconds.

    The program is max tr(MZ) with Z ⪰ 0 and diag(Z) ≤ 1. It is solved in its dual form, min Σc with diag(c) - M ⪰ 0, and c is then
    scaled until that matrix is positive in float64, so that what the solver is wrong by is on the safe side.

    Raises:
        InvalidInput: the solver failed; the bound of `solve_program` holds as well.
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
        solution = None if weights.value is None else torch.tensor(weights.value, dtype=torch.float64)
    except cvxpy.error.SolverError:
        solution = None
    if solution is None or not bool(solution.isfinite().all()):
        raise InvalidInput("The convex solver failed on this program; choose the bound 'paper', which holds as well.")
    alpha, beta = solution.clamp(min=1e-12).split([rows, columns])  # type: ignore[no-untyped-call]
    sigma = torch.linalg.matrix_norm(inner * alpha.rsqrt()[:, None] * beta.rsqrt(), ord=2)
    return float(sigma.clamp(min=0) * (alpha.sum() + beta.sum()) * (1 + ROUNDING))
