"""Physics-informed training: the pieces against closed forms, the whole at reduced size."""

import math

import numpy as np
import pytest
import torch
from surrogate.training.pinn import (
    COSMOLOGIES,
    STIFF,
    freeze_out,
    largest_eigenvalue,
    minimise,
    solve_forward,
    solve_inverse,
    study_stiffness,
)
from surrogate.training.pinn.equations import W_END
from surrogate.training.pinn.perceptron import Ansatz, make_weights
from surrogate.training.pinn.residuals import RULES, loss, make_rule
from surrogate.training.pinn.solve import Config
from surrogate.training.pinn.stiffness import QUICK, huber_line


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


@pytest.mark.parametrize("name", STIFF)
def test_exact_solutions_solve_their_equations(name):
    equation, c = STIFF[name], torch.tensor([[3.0], [200.0]], dtype=torch.float64)
    x = torch.linspace(0.01, 1, 50, dtype=torch.float64).expand(2, 50).clone().requires_grad_(True)
    y = equation.exact(x, c)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(slope, equation.rhs(x, y, c), atol=1e-9)
    step = 1e-6
    numerical = (equation.rhs(x, y + step, c) - equation.rhs(x, y - step, c)) / (2 * step)
    assert torch.allclose(equation.jacobian(x, y, c), numerical, rtol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "sigmoid", "hard", "pinned"])
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_slope_of_an_ansatz_is_its_derivative(kind, activation):
    equation, weights = freeze_out("randall-sundrum"), make_weights(2, 7, 2, seed=3)

    def value(x):
        return Ansatz(equation, x, kind, 26.0, equation.estimate(x, 30.0), W_END, activation)(weights)

    x = torch.linspace(0.1, 10, 40, dtype=torch.float64)
    numerical = (value(x + 1e-6)[0] - value(x - 1e-6)[0]) / 2e-6
    assert torch.allclose(value(x)[1], numerical, atol=1e-5)
    ends = value(torch.tensor(equation.span, dtype=torch.float64))[0][0]
    if kind in ("hard", "pinned"):
        assert float(ends[0]) == pytest.approx(equation.start, abs=1e-7)
    if kind == "pinned":
        assert float(ends[1]) == pytest.approx(W_END, abs=1e-12)


def test_rules_are_the_published_ones():
    r, j = torch.tensor([[1.0, -2.0, 4.0]]), torch.tensor([[0.0, -3.0, 1e3]])
    assert torch.allclose(RULES["vanilla"]()(r, j), r**2)
    assert torch.allclose(RULES["jacobian"]()(r, j), r**2 / (1 + j**2))
    rba = RULES["rba"]()
    rba(r, j)
    assert torch.allclose(rba(r, j), ((0.999 * 0.01 + 0.01) * r.abs() / 4 * r) ** 2)
    soft, coded = RULES["soft"](), RULES["soft-as-coded"]()
    for rule in (soft, coded):
        rule(r, j)
    before, coded_before = soft.w.clone(), coded.w.clone()
    soft(r, j), coded(r, j)
    assert (soft.w - before > 0.004).all()  # Adam: about its rate at every point
    m = torch.sigmoid(coded_before)
    assert torch.allclose(coded.w - coded_before, 0.005 * m * (1 - m) * 7.0, atol=1e-6)  # the mean at every point


def test_largest_eigenvalue_is_that_of_the_dense_hessian():
    equation, c = STIFF["decay-linear"], torch.tensor([[2.0], [30.0]], dtype=torch.float64)
    ansatz = Ansatz(equation, torch.linspace(0.001, 1, 30, dtype=torch.float64), "linear")
    weights, rule = make_weights(1, 4, 1, n_stacks=2), make_rule("jacobian")
    found = largest_eigenvalue(lambda p: loss(ansatz, p, rule, c), weights, iterations=400)
    for k in range(2):
        sizes, shapes = [p[k].numel() for p in weights], [p[k : k + 1].shape for p in weights]

        def function(v, k=k, sizes=sizes, shapes=shapes):
            return loss(ansatz, [a.view(s) for a, s in zip(v.split(sizes), shapes)], rule, c[k : k + 1])[0]

        hessian = torch.autograd.functional.hessian(function, torch.cat([p[k].flatten() for p in weights]))
        eigenvalues = torch.linalg.eigvalsh(hessian)
        assert found[k].item() == pytest.approx(eigenvalues[eigenvalues.abs().argmax()].item(), rel=1e-4)


def test_quasi_newton_goes_down_a_curved_valley():
    """Rosenbrock's function in 20 dimensions, to the last digit."""

    def rosenbrock(x):
        a, b = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        g = np.zeros_like(x)
        g[1:] += 200 * a
        g[:-1] -= 400 * a * x[:-1] + 2 * b
        return float(100 * a @ a + b @ b), g

    x, value = minimise(rosenbrock, np.full(20, -1.0), 500)
    assert value < 1e-20
    assert np.allclose(x, 1, atol=1e-9)


def test_huber_line_is_not_moved_by_an_outlier():
    x = np.linspace(0, 4, 12)
    y = 1.7 * x + 0.5 + 0.01 * np.cos(7 * x)
    y[5] += 30
    assert huber_line(x, y) == pytest.approx((1.7, 0.5), abs=0.02)


def test_jacobian_normalisation_tames_the_curvature():
    """Largest eigenvalue against C: steep for the plain residual, a power less with the Jacobian."""
    from dataclasses import replace

    config = replace(QUICK, width=10, points=120, adam=300, quasi_newton=300)
    c = [1.0, 10.0, 100.0]
    plain = study_stiffness("decay-linear", "vanilla", c, config)
    normalised = study_stiffness("decay-linear", "jacobian", c, config)
    assert plain.slope > 1.5
    assert normalised.slope < plain.slope - 1
    assert normalised.error.max() < 1e-6


QUICK_FREEZE_OUT = Config(width=16, points=250, adam=300, quasi_newton=1200)


def test_freeze_out_is_solved_where_the_plain_residual_fails():
    """Published for the normalised residual: 1e-8 after 12,000 epochs; here at a tenth of our full effort."""
    c = COSMOLOGIES["gauss-bonnet"][1]
    normalised = solve_forward("gauss-bonnet", c, QUICK_FREEZE_OUT)
    assert normalised.error < 1e-10
    plain = solve_forward("gauss-bonnet", c, Config(rule="vanilla", width=16, points=250, adam=300, quasi_newton=300))
    assert plain.error > 1e-5


@pytest.mark.parametrize("cosmology", ["standard"])
def test_interaction_strength_follows_from_the_relic_density(cosmology):
    found = solve_inverse(cosmology, QUICK_FREEZE_OUT, seed=2)
    assert found.c == pytest.approx(COSMOLOGIES[cosmology][1], abs=1e-4)
    assert math.isclose(found.w[-1], W_END, rel_tol=1e-12)


def test_unknown_names_are_named():
    with pytest.raises(ValueError, match="standard-ish.*gauss-bonnet"):
        freeze_out("standard-ish")
    with pytest.raises(ValueError, match="nothing.*vanilla"):
        make_rule("nothing")
