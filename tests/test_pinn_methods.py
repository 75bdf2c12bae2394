"""Methods of physics-informed training: pieces against closed forms, one small run of each, systems without labels."""

import importlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from surrogate.training.pinn import (
    METHODS,
    PROBLEMS,
    Effort,
    make_problem,
    measure_coverage,
    minimise_squares,
    recover_rate,
    solve_single,
    solve_window,
    train,
)
from surrogate.training.pinn.__main__ import main
from surrogate.training.pinn.bayesian import Posterior, make_inference
from surrogate.training.pinn.kernels import kernel_spectra
from surrogate.training.pinn.methods import Trial
from surrogate.training.pinn.operators import OPERATORS, draw_labels, train_operator
from surrogate.training.pinn.operators import Family as Starts
from surrogate.training.pinn.problems import root_of
from surrogate.training.pinn.single import CASES, first_problem, make_start, measure
from surrogate.training.pinn.table import run_all, summarise
from surrogate.training.pinn.training import Objective
from surrogate.training.pinn.unknown_term import UnknownTerm
from surrogate.training.pinn.weighting import gradient_weights, ntk_weights
from surrogate.training.pinn.windows import Residuals, draw_hidden, make_basis

TINY = Effort(width=8, points=40, adam=6, quasi_newton=4)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def derivative(function, x, direction, step=1e-6):
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


@pytest.mark.parametrize("name", PROBLEMS)
def test_references_solve_their_problems(name):
    problem = make_problem(name)
    s = problem.points(60, 0.3, 0.9)
    x, step = problem.inward(torch.from_numpy(problem.reference(s))), 1e-5 * s.abs()
    slope = [problem.inward(torch.from_numpy(problem.reference(v))) for v in (s + step, s - step)]
    slope = (slope[0] - slope[1]) / (2 * step[:, None])
    jacobian = problem.jacobian(s, x)
    error = torch.linalg.solve_triangular(
        root_of(problem, jacobian), (slope - problem.field(s, x))[..., None], upper=False
    )
    assert error.abs().max() < 1e-4
    direction = torch.linspace(0.5, 1.0, x.shape[1], dtype=x.dtype)
    numerical = derivative(lambda x: problem.field(s, x), x, direction * x.abs().clamp(min=1e-3))
    exact = (jacobian @ (direction * x.abs().clamp(min=1e-3))[..., None])[..., 0]
    assert torch.allclose(numerical, exact, rtol=1e-5, atol=1e-6 * float(exact.abs().max()))


@pytest.mark.parametrize("change", [{"log_state": True}, {"log_time": True}])
def test_logarithms_are_the_same_problem(change):
    problem = replace(make_problem("toy-constant"), span=(1.0, 2.0), start=(0.4, 0.5, 0.2), **change)
    s, x = problem.points(5), torch.rand(5, 3, dtype=torch.float64) - 2
    direction = torch.tensor([1.0, -0.5, 0.3], dtype=torch.float64)
    numerical = derivative(lambda x: problem.field(s, x), x, direction)
    assert torch.allclose(numerical, problem.jacobian(s, x) @ direction, atol=1e-7)
    y = problem.outward(x)
    rate = torch.exp(s) if problem.log_time else torch.ones_like(s)
    plain = make_problem("toy-constant").field(s, y)  # of no explicit time, in units of 1
    assert torch.allclose(problem.field(s, x), plain * rate[:, None] / (y if problem.log_state else 1))


def test_preconditioner_is_the_normalised_residual_of_one_variable():
    problem = make_problem("decay-linear")
    jacobian = torch.tensor([[[3.0]], [[-1e6]]], dtype=torch.float64)
    length = problem.ends[1] - problem.ends[0]
    assert torch.allclose(root_of(problem, jacobian).abs(), torch.sqrt(length**-2 + jacobian**2))


def test_preconditioner_is_a_root_of_its_matrix():
    jacobian, unit = torch.randn(4, 3, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    root = root_of(make_problem("toy-constant"), jacobian)
    assert torch.allclose(root @ root.mT, unit / 100 + jacobian @ jacobian.mT)


@pytest.mark.parametrize("net", ["tanh", "sine", "fourier"])
@pytest.mark.parametrize("start", ["soft", "hard"])
def test_slopes_and_starts_of_trials(net, start):
    problem = make_problem("toy-constant")
    method, edges = (
        replace(METHODS["vanilla"], net=net, start=start),
        torch.tensor([0.0, 4.0, 10.0], dtype=torch.float64),
    )
    trial = Trial(problem, method, TINY, edges, problem.x_start, seed=1)
    s = torch.tensor([[0.5, 3.0], [5.0, 9.0]], dtype=torch.float64)
    x, slope = trial(trial.weights, s)
    numerical = derivative(lambda s: trial(trial.weights, s)[0], s, torch.ones_like(s))
    assert torch.allclose(slope, numerical, atol=1e-6)
    assert torch.allclose(trial.predict(trial.weights, s.flatten()), x.flatten(0, 1))
    if start == "hard":
        assert torch.allclose(trial(trial.weights, edges[:-1, None])[0][0, 0], problem.x_start)


def test_moments_of_a_solution_vanish():
    problem, method = make_problem("relax-forced"), METHODS["variational"]
    edges = torch.tensor(problem.ends, dtype=torch.float64)
    moments = Objective(Trial(problem, method, TINY, edges, problem.x_start, 0), Effort(points=400)).moments
    order = moments.s.argsort()
    x = torch.empty(len(moments.s), 1, dtype=torch.float64)
    x[order] = problem.inward(torch.from_numpy(problem.reference(moments.s[order])))
    scale = problem.field(moments.s, 0 * x).abs().max()
    assert moments(problem, x).abs().max() < 1e-6 * scale
    assert moments(problem, x + 0.1).abs().max() > 1e-2 * scale


def test_balancing_weights_are_the_published_ones():
    w = [torch.tensor([1.0, 2.0], requires_grad=True)]
    terms = [w[0][:1] * 3, torch.stack([w[0].sum(), w[0][0] - w[0][1]])]
    assert torch.allclose(ntk_weights(terms, w), torch.tensor([13 / 9, 13 / 4]))  # traces 9 and 4
    losses = [w[0][0] ** 2, (w[0] ** 2).sum()]  # gradients (2, 0) and (2, 4)
    assert torch.allclose(gradient_weights(torch.ones(2), losses, w), torch.tensor([0.9 + 0.1 * 4.0, 1.0]))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs(name):
    effort = replace(TINY, windows=2)
    with np.errstate(all="ignore"):
        result = train(make_problem("toy-constant"), METHODS[name], effort)
    assert result["error"] < 3.0
    assert result["worst"] >= result["error"] > 0


def test_a_stiff_equation_needs_the_jacobian():
    effort = Effort(width=12, points=100, adam=300, quasi_newton=300)
    plain, normalised = (
        train(make_problem("decay-linear"), METHODS[name], effort) for name in ("vanilla", "Jacobian-normalised")
    )
    assert normalised["error"] < 1e-5
    assert plain["error"] > 0.1


def test_gauss_newton_finds_the_root():
    def function(x):
        r = np.array([x[0] ** 2 + x[1] - 3, 10 * (x[1] - x[0])])
        return r, np.array([[2 * x[0], 1.0], [-10.0, 10.0]])

    x, r, _ = minimise_squares(function, np.array([5.0, -4.0]), 50, 1e-14)
    assert np.abs(r).max() < 1e-12
    assert x == pytest.approx([(np.sqrt(13) - 1) / 2] * 2)


def test_rows_of_a_window_are_its_derivatives():
    problem = replace(make_problem("toy-constant"), span=(0.0, 1.0))
    hidden, u = draw_hidden(7, 4.0, 0), torch.linspace(0, 1, 9, dtype=torch.float64)
    basis, slopes = make_basis(hidden, u)
    assert basis[0].abs().max() == 0
    assert torch.allclose(slopes, derivative(lambda u: make_basis(hidden, u)[0], u, torch.ones_like(u)), atol=1e-7)
    residuals, rng = Residuals(problem, hidden, u), np.random.default_rng(0)
    vector, direction = rng.normal(size=24) * 0.1, rng.normal(size=24)
    rows = residuals(vector)[1]
    assert rows @ direction == pytest.approx(derivative(residuals.compare, vector, direction), abs=1e-6)


def test_a_window_ends_in_round_off():
    window = solve_window(replace(make_problem("toy-constant"), span=(0.0, 1.0)))
    assert window.residual < 1e-7
    exact = make_problem("toy-constant").reference(np.array([0.3, 1.0]))
    assert window([0.3, 1.0]) == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("name", ["toy-constant", "toy-periodic", "robertson"])
def test_systems_are_solved_without_labels(name):
    result = measure(name, solve_single(name), 50)
    assert result["mean"] < 1e-8
    assert result["quantiles"][2] < -7


def test_interstellar_gas_is_solved_without_labels(monkeypatch):
    year, case = 3.1536e7, CASES["ism-atomic"]
    monkeypatch.setitem(CASES, "ism-atomic", replace(case, times=(10 * year, 1e4 * year)))
    solution = solve_single("ism-atomic", accuracy=1e-3, width=16, points=18, iterations=12)
    assert solution.windows[-1].problem.span[1] == pytest.approx(1e4 * year)
    assert np.all(np.array(measure("ism-atomic", solution, 40)["quantiles"][:3]) < (-4, -3.5, -3))


def test_starts_are_those_of_the_populations():
    from surrogate.training.populations import single
    from surrogate.training.systems import get_system

    assert make_start("ism-atomic") == pytest.approx(single(get_system("ism-atomic"), 1, 3)[0][0])
    first = first_problem("pollu", CASES["pollu"])
    assert min(first.scale) > 0, "what is made of what is made has a scale"


def test_intervals_of_a_parameter_hold_what_they_promise():
    result = measure_coverage("decay-quadratic", 60)
    assert 0.55 < result["coverage"]["0.68"] < 0.81
    assert result["scatter"] == pytest.approx(result["predicted"], rel=0.25)
    posterior, rng = Posterior(make_inference("freeze-out"), width=20), np.random.default_rng(0)
    vector, direction = posterior.mean + 0.01 * rng.normal(size=22), rng.normal(size=22)
    seen = np.array([-26.0])
    y = derivative(lambda v: posterior.solution(v, posterior.problem.times)[0].numpy(), vector, direction) / 0.01
    n = len(posterior.problem.points)
    assert posterior.residuals(vector, seen)[1][n] @ direction == pytest.approx(y[0], rel=1e-5)


def test_a_missing_rate_is_recovered():
    result = recover_rate(noise=0.01, seed=3)
    assert result["rate"] == pytest.approx(0.5, abs=0.01)
    assert result["term"] < 0.03
    times = np.linspace(1.0, 10.0, 5)
    function = UnknownTerm(times, np.ones((5, 3)), 0.1, width=5, points=12)
    rng = np.random.default_rng(0)
    vector, direction = 0.1 * rng.normal(size=function.n_unknowns), rng.normal(size=function.n_unknowns)
    numerical = derivative(lambda v: function(v)[0], vector, direction)
    assert function(vector)[1] @ direction == pytest.approx(numerical, abs=1e-4)


def test_operators_learn_their_starts():
    starts = Starts("toy-constant", (0.2, 0.0, 0.0), (1.2, 0.5, 0.5), False, n_times=16)
    labels, tests = draw_labels(starts, 30, 1), draw_labels(starts, 10, 2)
    for kind in OPERATORS:
        assert train_operator(kind, labels, tests, iterations=150)[0]["error"] < 0.05


def test_kernels_have_no_more_eigenvalues_than_points():
    spectra = kernel_spectra("decay-linear", "vanilla", TINY)
    for parts in spectra.values():
        assert len(parts["before"]) == len(parts["after"]) == TINY.points
        assert parts["before"] == sorted(parts["before"], reverse=True)
    assert spectra["residual"]["before"][0] > 1e4 * spectra["data"]["before"][0], "the residual is stiff"


def test_table_takes_up_where_it_stopped(tmp_path, monkeypatch):
    arguments = (["vanilla", "hard start"], ["toy-constant"], range(2), tmp_path, TINY)
    rows = run_all(*arguments)
    monkeypatch.setattr("surrogate.training.pinn.table.train", None)
    assert run_all(*arguments) == rows
    assert summarise(rows)["vanilla"]["toy-constant"]["best"] == min(
        r["error"] for r in rows if r["method"] == "vanilla"
    )
    with pytest.raises(TypeError):
        run_all(*arguments[:4], replace(TINY, adam=7))  # another effort is another run


def test_command_lines(tmp_path, capsys):
    main(
        ["--adam", "3", "methods", "--only", "vanilla", "--problem", "toy-constant", "--seeds", "1", "--no-studies"]
        + ["--to", str(tmp_path)]
    )
    assert "vanilla" in capsys.readouterr().out
    assert (tmp_path / "methods.png").exists()
    main(["single", "toy-constant"])
    assert "windows" in capsys.readouterr().out


def test_rows_of_the_record_are_kept(tmp_path, monkeypatch):
    script = importlib.import_module("benchmarks.label_free")
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    (tmp_path / "label_free.json").write_text(json.dumps({"rows": {"of another": {"kept": True}}}))
    script.main(["--only", "toy-constant", "--seeds", "1", "--json", str(tmp_path / "label_free.json")])
    rows = json.loads((tmp_path / "label_free.json").read_text())["rows"]
    assert list(rows) == ["of another", "toy-constant"]
    assert script.reaches(rows["toy-constant"])
    assert (tmp_path / "label_free.png").exists()


@pytest.mark.benchmark
def test_quick_table(tmp_path, capsys):
    record, script = tmp_path / "record.json", importlib.import_module("benchmarks.pinn_methods")
    script.main(["--quick", "--json", str(record), "--only", "vanilla", "drawn, Gauss-Newton"])
    assert {"methods", "operators", "posterior", "term", "kernels", "machine"} < json.loads(record.read_text()).keys()
    assert "nan" not in capsys.readouterr().out.lower()


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda: make_problem("nothing"), "nothing.*robertson"),
        (lambda: solve_single("nothing"), "nothing.*pollu"),
        (lambda: make_inference("nothing"), "nothing.*freeze-out"),
    ],
)
def test_unknown_names_are_named(call, match):
    with pytest.raises(ValueError, match=match):
        call()
