"""Learned vector fields: the pieces against closed forms and finite differences, the whole at reduced size."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from surrogate.training import node
from surrogate.training.codegen.library import export_model, kernel_source
from surrogate.training.node import (
    Fit,
    compare,
    fit,
    learned_system,
    load_net,
    make_window,
    run_all,
    save_net,
    solve_truth,
    summarise,
)
from surrogate.training.node.fit import about_orbit, make_net
from surrogate.training.node.gauss_newton import GaussNewton
from surrogate.training.node.inverse import CONDUCTANCES, infer_conductances, summarise_estimates
from surrogate.training.node.metrics import f1_score, spike_peaks
from surrogate.training.node.net import Net
from surrogate.training.node.phase import PhaseShift
from surrogate.training.node.rollout import jacobian, rollout, slopes
from surrogate.training.node.shooting import GRADIENTS, shoot
from surrogate.training.node.solvers import METHODS, ROSENBROCK, step
from surrogate.training.node.table import reaches
from surrogate.training.node.variants import VARIANTS, predict, train

import surrogate

SMALL = {
    "width": 10,
    "centre": np.array([-50, 0.4, 0.4, 0.4, 10.0]),
    "scale": np.array([27, 0.1, 0.3, 0.1, 1.0]),
    "slope": np.array([40, 0.1, 0.4, 0.1]),
}
START = np.array([-65, 0.32, 0.05, 0.6, 10.0])


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


@pytest.fixture(scope="module")
def window():
    return make_window(0)


def test_window_is_the_published_one(window):
    """1468 points; spread of the true states 27.1 mV, .138, .314, .149; the noise has 0.158 of it when stationary."""
    assert window.z.shape == (1468, 4)
    clean = make_window(0, noise=0.0).z
    np.testing.assert_allclose(clean.std(0), [27.1, 0.138, 0.314, 0.149], rtol=5e-3)
    np.testing.assert_allclose((window.z - clean).std(0) / clean.std(0), 0.158, rtol=0.25)
    np.testing.assert_array_equal(window.z[0], clean[0])


def test_truth_has_the_known_period():
    t = np.arange(8000) * 0.01
    peaks, _ = spike_peaks(t, solve_truth(t)[:, 0])
    np.testing.assert_allclose(np.diff(peaks)[:3], [14.93, 14.65, 14.64], atol=0.01)
    assert np.diff(peaks)[-1] == pytest.approx(14.636, abs=2e-3)


@pytest.mark.parametrize("method", METHODS)
def test_order_of_a_method(method):
    """A forced oscillator with a stiff part, against its exact solution."""
    matrix = torch.tensor([[-1.0, 2.0], [-2.0, -1.0]], dtype=torch.float64)

    def f(x):
        return x @ matrix.T + torch.stack([x[..., 0] ** 2, -x[..., 0] * x[..., 1]], -1)

    def slope_of(x):
        return torch.func.vmap(torch.func.jacrev(f))(x)

    exact = solve_ivp(
        lambda t, y: f(torch.from_numpy(y)).numpy(), (0, 1), [0.3, -0.2], "DOP853", rtol=1e-13, atol=1e-14
    )
    errors = []
    for n in (8, 16):
        x = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
        for _ in range(n):
            x = step(method, f, slope_of, x, 1 / n)
        errors.append(np.abs(x.numpy()[0] - exact.y[:, -1]).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx({"heun": 2, "tsit5": 5, "rodas5p": 5}[method], abs=0.6)


def test_rosenbrock_coefficients_are_those_of_the_engine():
    text = (kernel_source() / "tableau.h").read_text()
    mine = re.search(r"RODAS5P = \{(.*?)\n\};", text, re.DOTALL).group(1)
    theirs = {abs(float(x)) for x in re.findall(r"\d+\.\d{6,}", mine)}
    gamma, a, c = ROSENBROCK["rodas5p"]
    assert {abs(x) for rows in (a[1:], c[1:]) for row in rows for x in row if len(repr(x)) > 8} | {gamma} <= theirs


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_compiled_steps_are_those_of_torch(method, layer_norm):
    net = Net(layer_norm=layer_norm, drift=1.0, **SMALL)
    theta = net.draw(0)
    x = rollout(net.compiled(theta), method, START, 0.01, 50)
    torch_x = step(method, lambda y: net(theta, y), lambda y: net.jacobian(theta, y), torch.from_numpy(x[:-1]), 0.01)
    np.testing.assert_allclose(torch_x.numpy(), x[1:], rtol=1e-12)
    np.testing.assert_allclose(slopes(*net.compiled(theta), x[3]), net(theta, torch.from_numpy(x[3])), rtol=1e-10)
    np.testing.assert_allclose(
        jacobian(*net.compiled(theta), x[3]), net.jacobian(theta, torch.from_numpy(x[3:4]))[0], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    ("method", "gradient", "tolerance"),
    [*((m, "discrete", 1e-6) for m in METHODS), *(("heun", g, 1e-3) for g in GRADIENTS[1:])],
)
def test_gradient_along_a_trajectory(window, method, gradient, tolerance):
    net = Net(**SMALL)
    theta = net.draw(1)
    direction = torch.from_numpy(np.random.default_rng(0).standard_normal(net.n_parameters))

    def value(p):
        return shoot(net, p, method, START, 0.01, window.z[:200], 1 / window.scale, gradient)

    numerical = (value(theta + 1e-5 * direction)[0] - value(theta - 1e-5 * direction)[0]) / 2e-5
    assert float(value(theta)[1] @ direction) == pytest.approx(numerical, rel=tolerance)


def test_gauss_newton_solves_a_linear_problem_and_remembers():
    rng = np.random.default_rng(0)
    matrix, right = rng.standard_normal((2, 8, 80)), rng.standard_normal((2, 8))
    theta = torch.zeros(80, dtype=torch.float64)
    method = GaussNewton(80)
    for k in [0, 1] * 20:
        theta, _ = method.step(
            lambda p, k=k: torch.from_numpy(matrix[k]) @ p - torch.from_numpy(right[k]), matrix[k], theta, 1e-6
        )
    np.testing.assert_allclose(matrix @ theta.numpy(), right, atol=1e-3)


def test_measures_of_a_trace_that_is_late():
    t = np.arange(10_000) * 0.01

    def trace(shift, height=40.0):
        phase = ((t - shift) % 15) - 7.5
        return np.column_stack([-70 + (height + 70) * np.exp(-(phase**2)), *np.zeros((3, len(t)))])

    m = compare(t, trace(0.1), trace(0.0))
    assert (m["f1"], m["phase"], m["isi"]) == pytest.approx((1.0, 0.1, 0.0), abs=1e-3)
    m = compare(t, trace(0.0, 30.0), trace(0.0))
    assert m["amplitude"] == pytest.approx(10 * 7 / 8, abs=0.1)
    assert f1_score([1.0, 20.0, 30.0], [1.5, 30.0]) == pytest.approx(0.8)
    lost = trace(0.0)
    lost[500:] = np.nan
    m = compare(t, lost, trace(0.0))
    assert m["rmse"][0] is None and m["f1"] < 0.5
    assert not reaches({"tests": {"14.68-100": m}})
    silent = compare(t, trace(0.0, -60.0), trace(0.0))
    assert silent["f1"] == 0 and silent["phase"] is None


def test_points_follow_the_orbit(window):
    orbit = np.column_stack([window.z, np.full(len(window.z), 10.0)])
    points = about_orbit(orbit, window.scale, window, 50, 0.0, np.random.default_rng(0))
    assert points.shape == (50, 5)
    assert len(about_orbit(np.full((100, 5), np.nan), window.scale, window, 50, 0.1, np.random.default_rng(0))) == 0


@pytest.fixture(scope="module")
def shipped():
    """(Net, theta) of the file that comes with the package."""
    return load_net(Path(node.__file__).with_name("hodgkin-huxley.h5"))[:2]


def test_shipped_net_is_within_the_bar(shipped):
    net, theta = shipped
    t = np.arange(10_000) * 0.01
    z = rollout(net.compiled(theta), "tsit5", START, 0.01, len(t) - 1)[:, :4]
    m = compare(t[1468:], z[1468:], solve_truth(t)[1468:])
    assert m["rmse"][0] < 0.05
    assert m["phase"] < 1e-3
    assert m["f1"] == 1


def test_shift_of_the_phase_is_known_without_the_truth(shipped):
    net, theta = shipped
    theta = theta + 1e-5 * torch.from_numpy(np.random.default_rng(2).standard_normal(len(theta)))
    orbit = rollout(net.compiled(theta), "tsit5", START, 0.01, 6000)
    shift = PhaseShift(net, orbit, 0.01, (30.0, 60.0), net.scale[:4])
    t = np.arange(6200) * 0.01
    true, _ = spike_peaks(t, solve_truth(t)[:, 0])
    found, _ = spike_peaks(t[:6001], orbit[:, 0])
    late = found - true[: len(found)]
    assert abs(late[2]) > 1e-3  # the spike at 32 ms; the shift is by how much the orbit is ahead
    assert shift(theta)[0] == pytest.approx(-late[2], rel=0.15)
    direction = torch.from_numpy(np.random.default_rng(3).standard_normal(len(theta)))
    numerical = (shift(theta + 1e-6 * direction) - shift(theta - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(shift.jacobian(theta) @ direction, numerical, rtol=1e-5)


def test_gauss_newton_lowers_the_residuals():
    """Along the undisturbed window, which is a line, to less than a tenth in thirty steps."""
    _, _, history, _ = fit(
        make_window(0, noise=0.0), Fit(width=48, points=100, adam=100, tube=30, orbit=0, timed=0, damping=(1e-5, 1e-8))
    )
    assert min(history[-5:]) < 0.1 * history[0]


@pytest.mark.parametrize("name", ["full", "backsolve adjoint", "node tsit5, plain", "pinn", "pinn, plain"])
def test_variants_lower_their_loss(window, name):
    variant = VARIANTS[name]
    values = []
    net, theta, best, _ = train(variant, window, epochs=15, lr=3e-3, report=lambda i, v: values.append(v))
    assert best == min(values) < values[0]
    assert predict(variant, net, theta, window.z[0], window.t[:50]).shape == (50, 4)


def test_runs_are_taken_up_where_they_stopped(tmp_path):
    few = {"width": 8, "points": 40, "adam": 20, "tube": 2, "orbit": 2}
    rows = run_all(["ours", "no physics"], lambda name: [0], tmp_path, epochs=2, end=100.0, changes=few)
    files = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert set(files) == {f"{n}-0.{e}" for n in ("ours", "no-physics") for e in ("json", "h5")}
    assert run_all(["ours", "no physics"], lambda name: [0], tmp_path, epochs=2, end=100.0, changes=few) == rows
    assert files == {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert summarise(rows)["no physics"]["published"][0] == 22.40


def test_learned_field_in_c_agrees_with_scipy(tmp_path, window):
    net = make_net(window, width=6)
    theta = net.draw(3) * 0.5
    save_net(tmp_path / "net.h5", net, theta, current_low=5.0, current_high=15.0)
    net, theta, _ = load_net(tmp_path / "net.h5")
    model = surrogate.load(export_model(learned_system(net, theta, (5.0, 15.0), "learned-test"), tmp_path))
    cells = np.tile(window.z[:1], (3, 1))
    currents = np.array([6.0, 10.0, 14.0])
    model.stepper(rtol=1e-9, net=False).step(cells, 2.0, params={"I": currents})
    parts = net.compiled(theta)
    for cell, current in zip(cells, currents):
        start = np.append(window.z[0], current)
        run = solve_ivp(
            lambda t, y: slopes(*parts, np.ascontiguousarray(y)), (0, 2.0), start, "Radau", rtol=1e-10, atol=1e-10
        )
        np.testing.assert_allclose(cell, run.y[:4, -1], rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="layer norm"):
        learned_system(replace(net, layer_norm=True), theta)


def test_conductances_from_a_noisy_window():
    found = [infer_conductances(make_window(seed), (60.0, 60.0, 0.5)) for seed in (0, 1)]
    for e in found:
        assert (np.abs(e.g - CONDUCTANCES) < 3 * e.spread).all()
        assert (e.spread < 0.15 * CONDUCTANCES).all()
    exact = infer_conductances(make_window(0, noise=1e-6), (100.0, 40.0, 0.4))
    np.testing.assert_allclose(exact.g, CONDUCTANCES, rtol=1e-4)
    assert set(summarise_estimates(found)) == {"true", "mean", "spread", "predicted", "inside"}
