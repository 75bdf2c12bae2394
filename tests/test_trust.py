"""Nets that take parameters, the two-route check, and populations that look like the world."""

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from surrogate.training import get_system
from surrogate.training.codegen.library import export_model
from surrogate.training.evaluation.leave_out import leave_one_out, table
from surrogate.training.evaluation.measure import label_tensors, measure
from surrogate.training.fit.calibrate import calibrate_file
from surrogate.training.fit.config import TrainConfig
from surrogate.training.fit.pairs import read_pairs
from surrogate.training.fit.trainer import Trainer
from surrogate.training.labels import load_labels, make_labels
from surrogate.training.nets.calibration import Calibration, from_plain
from surrogate.training.nets.domain import Domain
from surrogate.training.nets.experts import NetConfig
from surrogate.training.nets.net_data import NetData
from surrogate.training.nets.routes import by_routes
from surrogate.training.nets.torch_export import load_predictor, trace
from surrogate.training.nets.trained import load_trained
from surrogate.training.populations import draw

import surrogate
from surrogate import Status

RANGES = {"zeta": (1e-18, 1e-14), "clump": (1.0, 10.0)}
WORLD = ("random", "neutral", "traces", "aged", "stepped", "shocked", "mixed")


@pytest.fixture(scope="module")
def ism():
    return get_system("ism-atomic")


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """``labels(split, population)`` -> path of labels with two parameters varied."""
    directory, made = tmp_path_factory.mktemp("labels"), {}

    def make(split, population):
        path = directory / f"{split}-{population}.h5"
        if path not in made:
            n, dts = (4000, 3) if split == "train" else (3000, 1)
            make_labels(
                "ism-atomic",
                path,
                population=population,
                n=n,
                dts=dts,
                split=split,
                seed=1,
                rtol=1e-4,
                param_ranges=RANGES | {"zeta": (0.0, *RANGES["zeta"])},
                progress=False,
            )
            made[path] = True
        return path

    return make


@pytest.fixture(scope="module")
def model_file(ism, labels, tmp_path_factory):
    """A small net of `aged` cells that takes two parameters, calibrated with routes."""
    path = tmp_path_factory.mktemp("net") / "net.h5"
    train = read_pairs([labels("train", "aged")], ism, ("train",))
    check = read_pairs([labels("calibrate", "mixed")], ism, ("calibrate",))
    config = TrainConfig(minutes=0.25, batch=128, seed=1)
    Trainer(ism, train, check, path, NetConfig(32, 2, (2, 2, 1)), config).run()
    calibrate_file(
        path,
        [labels("calibrate", "aged"), labels("calibrate", "mixed")],
        coverage=0.8,
        cheap=0.0,
        change=0.0,
        routes=(0.1, 0.5),
    )
    return path


@pytest.fixture(scope="module")
def model(ism, model_file, tmp_path_factory):
    net = NetData.read(model_file)
    return surrogate.load(export_model(ism, tmp_path_factory.mktemp("library"), net=net))


def cells_of(labels, n=1500):
    state, dt, _, params = label_tensors(load_labels(labels("test", "mixed")), 1)
    return state[:n], dt[:n], params[:n]


def as_dict(system, params):
    return {p.name: column for p, column in zip(system.parameters, params.numpy().T)}


def test_pairs_know_what_varies(ism, labels):
    pairs = read_pairs([labels("train", "aged")], ism)
    assert pairs.inputs == RANGES and pairs.params.shape == (len(pairs), len(ism.parameters))
    make_labels(
        "ism-atomic",
        labels("train", "aged").with_name("none.h5"),
        population="neutral",
        n=100,
        split="train",
        seed=2,
        rtol=1e-3,
        progress=False,
    )
    both = read_pairs([labels("train", "aged"), labels("train", "aged").with_name("none.h5")], ism)
    assert both.inputs == RANGES and len(both) == len(pairs) + 100
    assert (both.params[-100:].numpy() == ism.parameter_values).all(), "what a file does not vary is the system's own"


def test_a_parameter_may_be_absent(ism, model, model_file, labels):
    """Zero is where it was trained; what lies between zero and the range is nowhere."""
    encoding = load_trained(model_file)[1].encoding
    cells, dt, params = (x[:400] for x in cells_of(labels))
    zeta = [p.name for p in ism.parameters].index("zeta")
    assert 0.05 < (params[:, zeta] == 0).double().mean() < 0.2, "an eighth of the labels have none"
    low = encoding.dt_column + 1
    for value, decades in ((0.0, -1), (1e-30, -1), (1e-18, 0), (1e-17, 1), (1e-20, -2), (9e-19, -2)):
        params[:, zeta] = value
        feature = encoding.features(cells, dt, encoding.of_params(params))[:, low]
        np.testing.assert_allclose(feature, -18 + decades, rtol=1e-12)
        report = model.stepper(rtol=0.1).step(cells.numpy().copy(), dt.numpy(), params=as_dict(ism, params))
        outside = report.counts["outside"] / len(dt)
        assert (outside == 1) if decades == -2 else (outside < 0.2), (value, outside)


def test_parameters_change_what_the_net_says(ism, model_file, labels):
    """What is given counts; the defaults where none are given."""
    _, net, _ = load_trained(model_file)
    state, dt, _ = cells_of(labels)
    encoding = net.encoding
    assert encoding.inputs == RANGES and encoding.n_features == encoding.dt_column + 3
    with torch.no_grad():
        few, many, default, given = (
            net(state, dt, p)[0][:, 0]
            for p in (
                torch.tensor([[1e-18, 1.0]]).double().expand(len(dt), -1),
                torch.tensor([[1e-14, 1.0]]).double().expand(len(dt), -1),
                None,
                encoding.defaults.expand(len(dt), -1),
            )
        )
    assert ((many / few).log().abs() > 1e-3).double().mean() > 0.5
    assert torch.equal(default, given)


def test_library_says_what_the_net_says(ism, model, model_file, labels):
    """Ends, bounds and domain in C are those in torch, parameters and routes included; .pt as well."""
    _, predictor = load_predictor(model_file)
    state, dt, params = cells_of(labels)
    columns = predictor.surrogate.encoding.of_params(params)
    with torch.no_grad():
        end, error, inside = predictor(state, dt, columns)
        traced = trace(predictor)(state, dt, columns)
        judged = predictor.surrogate(state, dt, columns)[1]
    hopeless = NetData.read(model_file).metadata["calibration"]["hopeless"]
    assert all(torch.allclose(a.double(), b.double(), rtol=1e-12) for a, b in zip((end, error, inside), traced))
    cells = state.numpy().copy()
    report = model.stepper(rtol=0.3, atol_frac=1e-12, fallback="none").step(
        cells, dt.numpy(), params=as_dict(ism, params)
    )
    taken = report.status == Status.NET
    assert (taken == (inside & (error <= 0.3)).numpy()).mean() > 0.995 and taken.sum() > 100
    np.testing.assert_allclose(cells[taken], end.numpy()[taken], rtol=2e-3)
    for rtol in (0.3, 0.1):
        report = model.stepper(rtol=rtol).step(state.numpy().copy(), dt.numpy(), params=as_dict(ism, params))
        said = (inside & (error <= rtol) & (judged <= rtol * hopeless)).numpy()
        assert ((report.status == Status.NET) == said).mean() > 0.995
    assert said.sum() > 50 and model.selftest() < 1e-10


def test_what_is_outside_has_the_name_of_the_parameter(ism, model, labels):
    state, dt, params = cells_of(labels)
    given = as_dict(ism, params)
    beyond = model.stepper(rtol=0.3).step(state.numpy().copy(), dt.numpy(), params=given | {"zeta": 1e-12})
    assert beyond.counts["outside"] == len(dt) and beyond.outside["zeta"] > 0.9 * len(dt)
    fixed = model.stepper(rtol=0.3).step(state.numpy().copy(), dt.numpy(), params=given | {"G0": 5.0})
    assert fixed.outside == {"G0": len(dt)}, "a parameter that the net does not take has its default value"


def test_routes_that_agree_and_routes_that_do_not(model_file, labels):
    """No disagreement of a flow map that is one; that of a wrong one is its error."""

    class Exact:
        def __init__(self, encoding, wrong=0.0):
            self.encoding, self.wrong = encoding, wrong

        def flow(self, state, dt, params=None):
            factor = torch.exp(-1e-12 * dt + self.wrong * (dt > 1e12))[:, None]
            return state * factor, None, torch.ones(len(dt), dtype=torch.bool)

    encoding = load_trained(model_file)[1].encoding
    state, dt, _ = cells_of(labels)
    dt = torch.full_like(dt, 2e12)
    end = Exact(encoding).flow(state, dt)[0]
    encoding.laws = encoding.laws[:0]  # a flow that keeps none
    mean, spread = by_routes(Exact(encoding), state, dt, None, end, (0.1, 0.5))
    assert spread.max() < 1e-12 and torch.allclose(mean, end, rtol=1e-12)
    wrong = Exact(encoding, 0.3)
    mean, spread = by_routes(wrong, state, dt, None, wrong.flow(state, dt)[0], (0.5,))
    assert torch.allclose(spread, torch.full_like(spread, 0.15), atol=1e-9), "1e12 s twice is right, 2e12 s is not"
    assert torch.allclose(mean, end * math.exp(0.15), rtol=1e-7), "half way between the two"


def test_labels_of_parameters_that_the_net_does_not_take_are_refused(ism, model_file, labels, tmp_path):
    """They would be taken for labels of the default."""
    path = tmp_path / "others.h5"
    make_labels(
        "ism-atomic",
        path,
        population="neutral",
        n=100,
        split="calibrate",
        seed=4,
        rtol=1e-3,
        progress=False,
        param_ranges={"G0": (1e-3, 1.0)},
    )
    with pytest.raises(ValueError, match="others.h5 varies G0, which the net does not take"):
        calibrate_file(model_file, [labels("calibrate", "aged"), path])


def test_leave_one_out(ism, model_file, labels):
    _, net, metadata = load_trained(model_file)
    domain, calibration = from_plain(Domain, metadata["domain"]), from_plain(Calibration, metadata["calibration"])
    assert calibration.routes == (0.1, 0.5) and calibration.hopeless > 0
    populations = {}
    for name in ("aged", "mixed", "stepped"):
        state, dt, end, params = label_tensors(load_labels(labels("test", name)), 1)
        inside = domain.holds(net.encoding, state, dt, net.encoding.of_params(params))
        populations[name] = measure(net, state, dt, end, params, calibration.routes), inside
    rows = leave_one_out(populations, calibration)
    assert len(rows) == 9 and {row["population"] for row in rows} == set(populations)
    for row in rows:
        if row["coverage"] is not None:
            assert row["bound"] < row["coverage"] <= 1 and row["share"] > 0
    assert "rtol 0.03" in table(rows) and "stepped" in table(rows)


@pytest.mark.parametrize("name", WORLD)
def test_populations_of_the_world(ism, name):
    """Repeatable, neutral, of all compositions, within their ranges, and different from each other."""
    advance = surrogate.load("ism-atomic").stepper(rtol=1e-2, net=False).step
    cells, dt = draw(name, ism, 2000, 7, advance)
    again, _ = draw(name, ism, 2000, 7, advance)
    assert np.array_equal(cells, again) and cells.shape == (2000, len(ism.names))
    species = [k for k, n in enumerate(ism.names) if n != "T"]
    total = cells[:, species].sum(1)
    charge = cells @ np.array(ism.conserved["charge"])
    assert np.abs(charge / total).max() < 1e-9 and (cells >= 0).all()
    mass = np.array([v.mass for v in ism.variables])
    hydrogen = cells @ np.array(ism.conserved["H"]) * mass[ism.names.index("H")]
    share = hydrogen / (cells[:, species] @ mass[species])
    assert 0.649 < share.min() < 0.66 and 0.79 < share.max() < 0.801
    assert 0.9e-2 < total.min() and total.max() < 2.1e3
    assert 2.7 < cells[:, -1].min() and cells[:, -1].max() < 1.1e6
    assert 3.1e7 < dt.min() and dt.max() < 3.2e13


def test_shock_keeps_the_jump_conditions(ism):
    """Density behind a strong shock rises fourfold at most (Landau & Lifshitz, section 89); momentum flux is kept."""
    advance = surrogate.load("ism-atomic").stepper(rtol=1e-2, net=False).step
    (before, _), (after, _) = (draw(name, ism, 500, 3, advance) for name in ("aged", "shocked"))
    ratio = after[:, :-1].sum(1) / before[:, :-1].sum(1)
    free = (after[:, -1] < 0.99e6) & (after[:, :-1].sum(1) < 990)
    pressure = ratio * after[:, -1] / before[:, -1]
    m2 = 3 * ratio / (4 - ratio)
    assert (ratio[free] < 4).all() and np.allclose(pressure[free], (5 * m2[free] - 1) / 4, rtol=1e-9)
