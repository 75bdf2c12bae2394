"""Training, calibration and the net inside a model library."""

import json
from dataclasses import replace

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training.codegen.library import export_model
from surrogate.training.populations import wide

import surrogate
from surrogate import Status, cli

h5py = pytest.importorskip("h5py", reason="training needs h5py: pip install 'stiff-surrogate[training]'")
torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install 'stiff-surrogate[training]'")

from surrogate.training.evaluation.measure import Measured, measure, relative_errors  # noqa: E402
from surrogate.training.evaluation.score import accepted_share  # noqa: E402
from surrogate.training.fit import calibrate as fitting  # noqa: E402
from surrogate.training.fit import losses  # noqa: E402
from surrogate.training.fit.config import TrainConfig  # noqa: E402
from surrogate.training.fit.fused import FusedGradient  # noqa: E402
from surrogate.training.fit.pairs import Pairs  # noqa: E402
from surrogate.training.fit.prepare import fit_linear  # noqa: E402
from surrogate.training.fit.soap import BatchedSOAP  # noqa: E402
from surrogate.training.fit.trainer import Trainer  # noqa: E402
from surrogate.training.labels import make_labels  # noqa: E402
from surrogate.training.nets import calibration as cal  # noqa: E402
from surrogate.training.nets.architectures import Residual  # noqa: E402
from surrogate.training.nets.domain import Domain  # noqa: E402
from surrogate.training.nets.encoding import Encoding, restore  # noqa: E402
from surrogate.training.nets.experts import NetConfig, Surrogate  # noqa: E402
from surrogate.training.nets.model_file import read_tensors, save_model, write_tensors  # noqa: E402
from surrogate.training.nets.trained import load_model  # noqa: E402
from surrogate.training.nets.vectors import net_vectors  # noqa: E402

pytestmark = pytest.mark.torch
NET = NetConfig(width=24, depth=2, regions=(2, 2))


@pytest.fixture(scope="module")
def ism():
    return get_system("ism-molecular")


def _pairs(system, n, seed):
    cells, dt = wide(system, n, seed)
    end = cells.copy()
    assert (surrogate.load("ism-molecular").stepper(rtol=1e-4, net=False).step(end, dt).status == Status.SOLVER).all()
    return Pairs(*(torch.from_numpy(x) for x in (cells, dt, end)))


@pytest.fixture(scope="module")
def trainer(ism, tmp_path_factory):
    """A net trained for a few seconds: bad, but real."""
    config = TrainConfig(minutes=0.15, batch=128)
    out = tmp_path_factory.mktemp("net") / "net.h5"
    run = Trainer(ism, _pairs(ism, 8000, 1), _pairs(ism, 2000, 2), out, NET, config)
    run.run()
    return run


@pytest.fixture(scope="module")
def library(ism, trainer, tmp_path_factory):
    """The trained net as a model library that accepts every cell of its domain from rtol 0.1 up."""
    check = trainer.check
    domain = Domain.of(trainer.surrogate.encoding, check.state, check.dt)
    trusting = cal.Calibration(-5.0, 0.5, np.full(13, -1.01), 0.99)
    with trainer._averaged():
        path = export_model(ism, tmp_path_factory.mktemp("library"), net=(trainer.surrogate, domain, trusting))
    return surrogate.load(path), domain


def test_soap_treats_every_matrix_of_a_stack_by_itself():
    def run(target):
        w = torch.nn.Parameter(torch.zeros_like(target))
        optimizer = BatchedSOAP([w], lr=0.05)
        for _ in range(150):
            optimizer.zero_grad()
            ((scale @ (w - target)) ** 2).sum().backward()
            optimizer.step()
        return w.detach()

    torch.manual_seed(0)
    target = torch.randn(3, 6, 5, dtype=torch.float64)
    scale = torch.diag(torch.logspace(0, 2, 6, dtype=torch.float64))
    together = run(target)
    apart = torch.cat([run(target[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, apart, rtol=1e-6, atol=1e-8)
    start = (scale @ target).square().sum()
    assert (scale @ (together - target)).square().sum() < 1e-2 * start


def test_no_time_no_change_and_invariants_hold_for_any_output(ism):
    pairs = _pairs(ism, 200, 3)
    encoding = Encoding(ism, (1e8, 1e13))
    change = torch.randn(200, 10)
    still = encoding.apply_change(pairs.state, torch.full((200,), 1e-12, dtype=torch.float64), change)
    torch.testing.assert_close(still, pairs.state, rtol=1e-12, atol=0)
    end = encoding.apply_change(pairs.state, pairs.dt, 0.05 * change)
    laws = encoding.laws
    torch.testing.assert_close((end @ laws.T)[:, :2], (pairs.state @ laws.T)[:, :2], rtol=1e-12, atol=0)
    charge = (end @ laws[2]).abs() / (end @ laws[2].abs())
    assert charge.max() < 1e-12
    assert (end[:, :9] >= 0).all()


def test_targets_invert_what_is_applied(ism):
    pairs = _pairs(ism, 200, 4)
    encoding = Encoding(ism, (1e8, 1e13))
    target, counts = encoding.targets(pairs.state, pairs.dt, pairs.end)
    errors, _ = relative_errors(encoding, encoding.apply_change(pairs.state, pairs.dt, target), pairs.end)
    assert errors[counts].max() < 1e-9


def test_restore_without_laws_changes_nothing():
    x = torch.rand(4, 3, dtype=torch.float64)
    assert restore(x, torch.zeros(0, 3, dtype=torch.float64), torch.zeros(4, 0)).equal(x)


def test_training_learns_and_its_file_gives_the_same_net(ism, trainer):
    first, last = trainer.history[0], trainer.history[-1]
    assert last["quantiles"][0] < last["quantiles"][1] < 0
    assert last["iteration"] > 20
    assert first is last or last["quantiles"][0] <= first["quantiles"][0]
    loaded, metadata = load_model(trainer.out, ism)
    assert metadata["system_hash"] == ism.hash
    with trainer._averaged(), torch.no_grad():
        ours = trainer.surrogate(trainer.check.state, trainer.check.dt)
        theirs = loaded(trainer.check.state, trainer.check.dt)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs))


def test_model_of_another_system_is_refused(trainer):
    with pytest.raises(ValueError, match="trained for 'ism-molecular'.*train again"):
        load_model(trainer.out, get_system("ism-molecular", preset="literal"))


def test_interrupted_run_continues_where_it_was(ism, tmp_path):
    train, check = _pairs(ism, 2000, 1), _pairs(ism, 500, 2)
    config = TrainConfig(minutes=10.0, batch=64)
    run = Trainer(ism, train, check, tmp_path / "net.h5", NET, config)
    for _ in range(7):
        run._iterate()
    run.seconds = 61.0
    run._save()
    again = Trainer(ism, train, check, tmp_path / "net.h5", NET, config)
    assert (again.iteration, again.seconds) == (7, 61.0)
    for a, b in zip(run.parameters, again.parameters):
        assert torch.equal(a, b)
        for key, value in run.optimizer.state[a].items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(again.optimizer.state[b][key])), key
    again._iterate()
    with pytest.raises(ValueError, match="belongs to another run"):
        Trainer(ism, train, check, tmp_path / "net.h5", NetConfig(width=8), config)


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "x.h5").write_text("hello")
    with pytest.raises(ValueError, match="not a model file"):
        read_tensors(tmp_path / "x.h5")
    write_tensors(tmp_path / "y.h5", {"a": {"b": torch.ones(2)}}, {"k": [1, "x"]})
    tensors, attributes = read_tensors(tmp_path / "y.h5")
    assert torch.equal(tensors["a"]["b"], torch.ones(2))
    assert attributes == {"k": [1, "x"]}


@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_calibration_keeps_its_coverage_on_fresh_cells(noise):
    """Predictions off by a factor of 3 and noisy: of the accepted at least 98.5 % are within every tolerance."""
    rng = np.random.default_rng(4)

    def draw(n, factor):
        incurred = 10 ** rng.normal(-2.0, 0.8, n)
        predicted = incurred / factor * 10 ** rng.normal(0, noise, n)
        return predicted, incurred, predicted

    calibration = fitting.calibrate([draw(20000, 3.0), draw(20000, 1.0)])
    for factor in (1.0, 3.0):
        predicted, incurred, _ = draw(100_000, factor)
        for rtol in (1e-1, 1e-2, 3e-3):
            accepted = calibration(predicted) <= rtol
            if accepted.sum() > 500:
                assert (incurred[accepted] <= rtol).mean() > 0.985, (rtol, factor)
    assert (calibration(draw(10_000, 1.0)[0]) <= 1e-1).mean() > 0.1


def test_a_population_without_misses_limits_no_other():
    rng = np.random.default_rng(6)
    easy, said = (np.full(5000, 1e-4), np.full(5000, 1e-5), np.full(5000, 1e-4)), 10 ** rng.uniform(-4, -2, 5000)
    hard = said, np.full(5000, 1e-3), said
    assert (fitting.calibrate([easy, hard])(hard[0]) <= 1e-2).mean() > 0.95  # all but a step of the grid
    assert (fitting.calibrate([easy, hard])(np.array([0.1])) > 1).all()  # larger than any that was seen


def test_predictions_beyond_the_grid_are_not_taken_for_its_end():
    """Right up to a predicted error of 20 and wrong beyond, where the grid ends at 10."""
    said = np.logspace(-2, 4, 6000)
    calibration = fitting.calibrate([(said, np.where(said < 20, 1e-3, 5.0), said)])
    assert calibration(np.array([5.0]))[0] < 0.1 and (calibration(np.array([30.0, 1e3, 1e9])) > 0.5).all()
    whole = fitting.calibrate([(said, np.full(6000, 1e-3), said)])  # nothing is wrong anywhere
    assert (whole(np.array([5.0, 1e3])) < 0.1).all()


def test_hopeless_predictions_are_never_accepted():
    rng = np.random.default_rng(5)
    said = 10 ** rng.normal(-3, 1, 5000)
    calibration = fitting.calibrate([(said, 10 ** rng.normal(-1, 1, 5000), said)])
    assert (calibration(np.logspace(-9, 2, 50)) > 1e-2).all()


def test_accepted_share_is_that_of_the_best_prefix():
    predicted, incurred = np.arange(1.0, 201.0), np.where(np.arange(200) < 150, 1e-3, 1.0)
    assert accepted_share(predicted, incurred, 1e-2) == pytest.approx(151 / 200)


def test_library_predicts_what_torch_predicts(library, trainer):
    """C in single precision against torch: 1e-4 relative, on outputs that may move a species by 12 decades."""
    model, domain = library
    check = trainer.check
    cells = check.state.numpy().copy()
    report = model.stepper(rtol=0.1).step(cells, check.dt.numpy())
    taken = report.status == Status.NET
    assert taken.mean() > 0.3  # where its errors are too large to be repaired, even this net is not believed
    with trainer._averaged(), torch.no_grad():
        end, _ = trainer.surrogate(check.state, check.dt)
    error = np.abs(cells[taken] / end.numpy()[taken] - 1)
    assert np.quantile(error, 0.99) < 1e-5
    assert error.max() < 1e-3
    assert np.array_equal(
        domain.holds(trainer.surrogate.encoding, check.state, check.dt), report.status != Status.OUTSIDE
    )


def test_selftest_replays_predictions(library, trainer, ism, tmp_path, monkeypatch):
    model, domain = library
    assert model.selftest() < 1e-10
    trusting = cal.Calibration(-5.0, 0.5, np.full(13, -1.01), 0.99)
    vectors = net_vectors(ism, trainer.surrogate, domain, trusting, n=16)
    assert {len(v) for v in vectors.values()} == {16}
    vectors["net_end"][7, 3] *= 1.001
    monkeypatch.setattr("surrogate.training.nets.vectors.net_vectors", lambda *_: vectors)
    broken = surrogate.load(export_model(ism, tmp_path, net=(trainer.surrogate, domain, trusting)))
    with pytest.raises(surrogate.ModelError, match="the net of .* stored predictions: error 0.00(09|1)"):
        broken.selftest()


def test_net_conserves_and_is_bitwise_independent_of_the_batch(library, trainer, ism):
    model, _ = library
    start, dt = trainer.check.state.numpy(), trainer.check.dt.numpy()
    whole = start.copy()
    report = model.stepper(rtol=0.1).step(whole, dt)
    laws = np.array(list(ism.conserved.values()))[:2]
    assert np.abs((whole @ laws.T) / (start @ laws.T) - 1).max() < 1e-12
    assert (whole >= 0).all()
    order = np.random.default_rng(1).permutation(len(dt))
    shuffled = start[order].copy()
    status = model.stepper(rtol=0.1, threads=2).step(shuffled, dt[order]).status
    assert np.array_equal(shuffled, whole[order])
    assert np.array_equal(status, report.status[order])


def test_species_grow_from_nothing(ism, trainer, tmp_path):
    """A net cannot tell zero from a trace: what grows from it is what grows from the floor, in torch and in C."""
    encoding, check = trainer.surrogate.encoding, trainer.check
    k = encoding.names.index("H2")
    start = check.state.clone()
    start[:, k] = 0.0
    cells = start.numpy().copy()
    surrogate.load("ism-molecular").stepper(rtol=1e-4, net=False).step(cells, check.dt.numpy())
    end = torch.from_numpy(cells.copy())
    total = encoding.total_density(start)
    target, _ = encoding.targets(start, check.dt, end)
    got = encoding.apply_change(start, check.dt, target)[:, k]
    much = end[:, k] > 1e-6 * total[:, 0]
    assert much.sum() > 100
    torch.testing.assert_close(got[much].log10(), end[much, k].log10(), rtol=0, atol=1e-3)
    assert torch.equal(encoding.apply_change(start, check.dt * 0, target)[:, k], start[:, k])

    trusting = cal.Calibration(-5.0, 0.5, np.full(13, -1.01), 0.99)
    domain = Domain.of(encoding, start, check.dt)
    cells = start.numpy().copy()
    with trainer._averaged(), torch.no_grad():
        model = surrogate.load(export_model(ism, tmp_path, net=(trainer.surrogate, domain, trusting)))
        ours = trainer.surrogate(start, check.dt)[0]
    taken = model.stepper(rtol=0.1, fallback="none").step(cells, check.dt.numpy()).status == Status.NET
    assert taken.mean() > 0.1
    np.testing.assert_allclose(cells[taken, k], ours[taken, k].numpy(), rtol=1e-3)


def test_linear_part_adds_to_the_change(ism, trainer, tmp_path):
    """In torch, in the model file and in C: the bare net plus x @ slope + offset of the cell's expert."""
    whole, check = trainer.surrogate, trainer.check
    features = whole.encoding.features(check.state, check.dt)
    expert = whole.router(features)
    statistics = {k: getattr(whole, k) for k in ("mean", "std", "out_std")}
    bare = Surrogate(whole.encoding, whole.router, replace(NET, linear=False), statistics)
    bare.load_state_dict(whole.state_dict(), strict=False)
    with torch.no_grad():
        plain, same_error = bare.predict_change(features, expert)
        change, error = whole.predict_change(features, expert)
    x = ((features - whole.mean[expert]) / whole.std[expert]).double()
    expected = torch.einsum("ni,niv->nv", x, whole.slope[expert].double()) + whole.offset[expert, 0]
    assert expected.abs().mean() > 0.1
    torch.testing.assert_close((change - plain).double(), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(error, same_error)

    save_model(tmp_path / "net.h5", whole, system="ism-molecular", system_hash=ism.hash)
    loaded, _ = load_model(tmp_path / "net.h5", ism)
    assert torch.equal(loaded.slope, whole.slope) and torch.equal(loaded.offset, whole.offset)


def test_file_without_the_linear_part_it_promises_is_refused(ism, trainer, tmp_path):
    save_model(tmp_path / "net.h5", trainer.surrogate, system="ism-molecular", system_hash=ism.hash)
    tensors, attributes = read_tensors(tmp_path / "net.h5")
    del tensors["slope"]
    write_tensors(tmp_path / "net.h5", tensors, attributes)
    with pytest.raises(ValueError, match="lacks the linear part"):
        load_model(tmp_path / "net.h5", ism)


def test_linear_fit_is_least_squares_where_it_counts():
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(400, 3, generator=rng, dtype=torch.float64)
    true = torch.randn(3, 2, generator=rng, dtype=torch.float64)
    target, counts = x @ true + 2.0, torch.rand(400, 2, generator=rng) < 0.8
    target[~counts] = 1e6
    slope, offset = fit_linear(x, target, counts)
    torch.testing.assert_close(slope, true, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(offset, torch.full((1, 2), 2.0, dtype=torch.float64), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("width", "batch", "depth"), [(32, 64, 2), (96, 100, 3), (48, 7, 0)])
def test_fused_gradient_is_the_gradient(width, batch, depth):
    torch.manual_seed(0)
    config = NetConfig(width, depth, (2, 2, 1))
    experts, n = Residual(config, 12, 10, 4), 1000
    inputs, target = torch.randn(n, 12), torch.randn(n, 10)
    counts, out_std = (torch.rand(n, 10) > 0.1).float(), 0.1 + torch.rand(4, 10)
    rows = torch.randint(n, (4 * batch,))
    data = inputs, target, counts, out_std, batch, 0.5
    fused = FusedGradient(experts, *data)
    loss = fused(rows)
    got = [p.grad.clone() for p in experts.parameters()]
    two = FusedGradient(experts, *data, threads=2)
    assert two(rows) == pytest.approx(loss, rel=1e-12)
    assert all(torch.equal(p.grad, g) for p, g in zip(experts.parameters(), got))

    out = experts(inputs[rows].view(4, batch, -1))
    error = (out * out_std.unsqueeze(1) - target[rows].view(4, batch, -1)) * counts[rows].view(4, batch, -1)
    expected = losses.robust(error, 0.5) / batch
    for p in experts.parameters():
        p.grad = None
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    for p, g in zip(experts.parameters(), got):
        torch.testing.assert_close(g, p.grad, rtol=1e-4, atol=1e-5 * float(p.grad.abs().max()))


@pytest.mark.parametrize("isa", ["base", "v3", "v4"])
def test_net_gives_the_same_bits_for_any_number_of_cells(library, trainer, isa):
    """Groups of 1 to 4 and of 14 cells of an expert, spans and chunks: all sizes meet the same cells."""
    model, _ = library
    try:
        stepper = model.stepper(rtol=0.1, isa=isa)
    except surrogate.ModelError:
        pytest.skip(f"this CPU cannot run {isa}")
    start, dt = trainer.check.state.numpy()[:1000], trainer.check.dt.numpy()[:1000]
    whole = start.copy()
    taken = stepper.step(whole, dt).status == Status.NET
    assert taken.mean() > 0.3
    for size in (1, 2, 3, 7, 32, 129):
        pieces = start.copy()
        for first in range(0, len(dt), size):
            stepper.step(pieces[first : first + size], dt[first : first + size])
        assert np.array_equal(pieces[taken], whole[taken]), size


def test_cells_that_are_quick_to_solve_are_left_to_the_solver(library, trainer, ism, tmp_path):
    """By the judge's guess of the attempts; nothing else changes, and a net that is all there is takes them."""
    model, domain = library
    start, dt = trainer.check.state, trainer.check.dt
    guess = measure(trainer.surrogate, start, dt, trainer.check.end).attempts
    start, dt = start.numpy(), dt.numpy()
    solved = start.copy()
    needed = model.stepper(rtol=1e-2, net=False).step(solved, dt).cost
    off = np.log10(guess / needed)
    assert abs(off).mean() < 0.15
    limit = float(np.quantile(guess, 0.3))
    calibration = cal.Calibration(-5.0, 0.5, np.full(13, -1.01), 0.99, limit)
    calibration = cal.from_plain(cal.Calibration, json.loads(json.dumps(cal.as_plain(calibration))))
    with trainer._averaged():
        choosy = surrogate.load(export_model(ism, tmp_path, net=(trainer.surrogate, domain, calibration)))
    always, cells, solved = start.copy(), start.copy(), start.copy()
    expected = model.stepper(rtol=0.1).step(always, dt).status.copy()
    model.stepper(rtol=0.1, net=False).step(solved, dt)
    cheap = (guess < limit) & (expected != 1)
    expected[cheap] = 4
    status = choosy.stepper(rtol=0.1).step(cells, dt).status
    assert (status == expected).mean() > 0.998  # single precision at the limit
    assert np.array_equal(cells, np.where((status == Status.SOLVER)[:, None], solved, always))
    alone = choosy.stepper(rtol=0.1, fallback="none").step(start.copy(), dt).status
    assert np.array_equal(alone, model.stepper(rtol=0.1, fallback="none").step(start.copy(), dt).status)
    assert choosy.selftest() < 1e-10


def test_errors_of_short_steps_count_relative_to_the_change(library, trainer, ism, tmp_path):
    """Else many short steps would add up many errors; what minor species do is no change."""
    model, domain = library
    calibration = cal.Calibration(-5.0, 0.001, np.linspace(-5.0, 1.0, 6001), 0.99, change=4.0)  # trusts the judge
    with trainer._averaged():
        careful = surrogate.load(export_model(ism, tmp_path, net=(trainer.surrogate, domain, calibration)))
    start, dt = trainer.check.state.numpy(), trainer.check.dt.numpy()
    dt = dt * np.logspace(-4, 0, len(dt))
    predicted, cells, solved = start.copy(), start.copy(), start.copy()
    taken = model.stepper(rtol=0.1).step(predicted, dt).status == Status.NET
    rtol = 0.5
    model.stepper(rtol=rtol, net=False).step(solved, dt)
    status = careful.stepper(rtol=rtol).step(cells, dt).status
    least = np.where(np.arange(10) < 9, 1e-3 * start[:, :9].sum(1, keepdims=True), 0.0)
    e_folds = np.log1p(abs(predicted - start) / np.maximum(np.minimum(start, predicted), least)).max(1)
    with trainer._averaged():
        expected = measure(trainer.surrogate, *map(torch.from_numpy, (start, dt)), trainer.check.end).predicted
    trusted = taken & (expected * np.maximum(4.0 / e_folds, 1.0) <= rtol)
    assert 0.05 < trusted[taken].mean() < (expected <= rtol)[taken].mean() - 0.05 < 0.9
    assert (status == Status.NET)[trusted].mean() > 0.99 and np.all(
        status[taken & ~trusted] == Status.ERROR
    )  # steps of the table
    assert np.array_equal(cells, np.where((status == Status.NET)[:, None], predicted, solved))
    assert careful.selftest() < 1e-10


def test_outliers_do_not_open_the_domain(ism, trainer):
    """Outside: conditions that one cell in ten thousand had, and the absence of a species that all others had."""
    encoding, (cells, dt) = trainer.surrogate.encoding, (torch.from_numpy(x) for x in wide(ism, 20_000, 8))
    cells[0, :9] *= 1e5 / cells[0, :9].sum()
    cells[1, 8] = 0.0
    domain = Domain.of(encoding, cells, dt)
    assert list(domain.holds(encoding, cells[:3], dt[:3])) == [False, False, True]
    assert domain.holds(encoding, cells, dt).mean() > 0.99


def test_cells_left_to_the_net_are_those_inside_that_are_not_cheap():
    said, attempts = 10 ** np.random.default_rng(1).normal(-3, 1, 3000), np.where(np.arange(3000) < 500, 1.0, 9.0)
    population = Measured(said, said, attempts, np.full(3000, 2.0), said, None, None)
    inside = np.arange(3000) % 2 == 0
    assert [len(p) for p, *_ in fitting.left_to_the_net([population], [inside], 2.5, 1.0)] == [1250]
    assert [len(p) for p, *_ in fitting.left_to_the_net([population], [inside], 0.0, 1.0)] == [1500]


def test_populations_of_which_little_is_accepted_count_together():
    """200 cells that are all right prove nothing, and forbid nothing; 12 wrong ones of them forbid, 1 does not."""

    def population(n, wrong):
        return np.full(n, 1e-3), np.where(np.arange(n) < wrong, 1.0, 1e-4), np.full(n, 1e-3)

    large = population(5000, 10)
    accepts = [fitting.limits([large, population(200, wrong)], [1e-2])[0] > 1e-3 for wrong in (0, 1, 12)]
    assert accepts == [True, True, False]
    assert fitting.limits([population(200, 0)], [1e-2])[0] == 0.0, "alone they are too few"
    assert fitting.limits([large, population(400, 4)], [1e-2])[0] == 0.0, "so many count by themselves"


def test_what_the_judge_expects_to_be_wrong_is_not_accepted_on_any_routes():
    """Half of the cells agree on all routes and are wrong, which the judge knows: without him none may be accepted."""
    n = 20000
    wrong = np.arange(n) % 2 == 0
    cells = np.full(n, 1e-3), np.where(wrong, 1.0, 1e-4), np.where(wrong, 1.0, 1e-4)
    assert fitting.limits([cells], [1e-2])[0] == 0.0 and fitting.limits([cells], [1e-2], hopeless=2.0)[0] > 1e-3


def test_cells_outside_the_domain_go_to_the_solver(library, trainer):
    model, _ = library
    stepper = model.stepper(rtol=0.1)
    plain = model.stepper(rtol=0.1, net=False)
    start, dt = trainer.check.state.numpy()[:200], trainer.check.dt.numpy()[:200]
    shifted = {name: start.copy() for name in ("hot", "dense", "helium")}
    shifted["hot"][:, 9] = 5e7
    shifted["dense"][:, :9] *= 1e6
    shifted["helium"][:, 4:7] *= 1.5  # and the charge is out of balance
    for name, cells in shifted.items():
        mine, theirs = cells.copy(), cells.copy()
        report = stepper.step(mine, dt)
        plain.step(theirs, dt)
        assert (report.status == Status.OUTSIDE).all(), name
        assert np.array_equal(mine, theirs), name
    assert (stepper.step(start.copy(), dt, params={"zeta": 1e-15}).status == Status.OUTSIDE).all()
    assert (stepper.step(start.copy(), 1e-6 * dt).status == Status.OUTSIDE).mean() > 0.9


def test_report_names_what_is_outside(library, trainer):
    model, _ = library
    stepper = model.stepper(rtol=0.1, threads=2)
    start, dt = trainer.check.state.numpy()[:200], trainer.check.dt.numpy()[:200]

    def reasons(cells, dt=dt, params=None):
        report = stepper.step(cells, dt, params=params)
        assert sum(report.outside.values()) == report.counts["outside"]
        return report.outside

    changed = {name: start.copy() for name in ("hot", "dense", "charged")}
    changed["hot"][:, 9] = 5e7
    changed["dense"][:, :9] *= 1e6
    changed["charged"][:, 3] *= 1.001
    assert reasons(changed["hot"]) == {"T": 200}
    assert reasons(changed["dense"]) == {"total density": 200}
    assert reasons(changed["charged"])["proportions"] > 100  # of others a fraction is outside, too
    assert reasons(start.copy(), params={"Z": 0.5}) == {"Z": 200}
    assert reasons(start.copy(), dt=np.full(200, 1e-3)) == {"time step": 200}
    zeta = np.where(np.arange(200) < 50, 1e-15, 3e-17)
    assert reasons(start.copy(), params={"zeta": zeta})["zeta"] == 50


def test_tolerance_audit_and_switch(library, trainer):
    model, _ = library
    start, dt = trainer.check.state.numpy(), trainer.check.dt.numpy()
    assert set(model.stepper(rtol=1e-2).step(start.copy(), dt).status) <= {1, 2}
    assert (model.stepper(rtol=0.1, net=False).step(start.copy(), dt).status == Status.SOLVER).all()
    report = model.stepper(rtol=0.1, audit=0.3).step(start.copy(), dt)
    assert 0.25 < report.counts["audit"] / (report.counts["audit"] + report.counts["net"]) < 0.35
    failed = model.stepper(rtol=1e-2, fallback="none").step(start.copy(), dt)
    assert (failed.status == Status.FAILED).all()


def test_training_goes_on_from_a_model(ism, trainer, tmp_path):
    """With the weights, regions and scales of the model, which the labels must fill."""
    config = TrainConfig(minutes=0.05, batch=128, lr=2e-3)
    whole = _pairs(ism, 8000, 1)
    with trainer._averaged():
        further = Trainer(ism, whole, trainer.check, tmp_path / "further.h5", config=config, start=trainer.surrogate)
        for a, b in zip(further.surrogate.experts.parameters(), trainer.surrogate.experts.parameters()):
            assert torch.equal(a, b)
    assert torch.equal(further.surrogate.mean, trainer.surrogate.mean)
    before = trainer.history[-1]["quantiles"][0]
    assert further.run()["quantiles"][0] < before + 0.1  # from new weights it would not come near in this time
    few = Pairs(whole.state[:1], whole.dt[:1], whole.end[:1])
    with pytest.raises(ValueError, match="hold no training cells"):
        Trainer(ism, few, trainer.check, tmp_path / "few.h5", config=config, start=trainer.surrogate)


# ---- the commands -------------------------------------------------------------------------------------------------


def _advance_decay(cells, dt):
    return cells * np.exp(-dt)[:, None]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Directory with label files of every split and a model trained, and calibrated, on them by the command line."""
    place = tmp_path_factory.mktemp("commands")
    for split, n in (("train", 4000), ("calibrate", 3000), ("test", 500)):
        make_labels(
            "decay-linear",
            place / f"{split}.h5",
            population="box",
            n=n,
            split=split,
            seed=0,
            dt_range=(1e-2, 1.0),
            advance=_advance_decay,
            progress=False,
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert cli.main(_train("net.h5")) == 0
        assert cli.main(["calibrate", "net.h5", "--labels", "calibrate.h5", "--cheap", "0"]) == 0
    return place


def _train(out, **changes):
    options = {
        "labels": "train.h5",
        "check": "calibrate.h5",
        "minutes": "0.02",
        "width": "8",
        "depth": "0",
        "regions": "1x1x1",
        "batch": "64",
        "out": out,
    } | changes
    return ["train", "decay-linear", *(word for name, value in options.items() for word in (f"--{name}", value))]


def test_a_finished_training_is_left_alone(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    before = (trained / "net.h5").read_bytes()
    assert cli.main(_train("net.h5")) == 0
    assert "finished already, nothing is done; calibrated" in capsys.readouterr().out
    assert cli.main([*_train("net.h5", threads="1"), "--device", "cpu"]) == 0  # these make no other net
    for changes in ({"minutes": "0.03"}, {"seed": "1"}, {"labels": "calibrate.h5"}, {"width": "16"}):
        assert cli.main(_train("net.h5", **changes)) == 1
        said = capsys.readouterr().err
        assert "made by another command (surrogate train decay-linear" in said and "--start net.h5" in said
    assert (trained / "net.h5").read_bytes() == before
    assert not (trained / "net.h5.checkpoint").exists()


def test_splits_are_enforced(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    for arguments, split, wanted in (
        (_train("other.h5", labels="test.h5"), "test", "'train'"),
        (_train("other.h5", labels="calibrate.h5"), "calibrate", "'train'"),
        (_train("other.h5", check="test.h5"), "test", "'calibrate' or 'train'"),
        (["calibrate", "net.h5", "--labels", "test.h5"], "test", "'calibrate'"),
        (["calibrate", "net.h5", "--labels", "train.h5"], "train", "'calibrate'"),
    ):
        before = (trained / "net.h5").read_bytes()
        assert cli.main(arguments) == 1
        said = capsys.readouterr().err
        assert f"of the split '{split}', wanted are those of {wanted}" in said and "make them with --split" in said
        assert (trained / "net.h5").read_bytes() == before and not (trained / "other.h5").exists()


def test_evaluation_says_what_was_measured_and_nothing_that_is_no_number(trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    assert cli.main(["evaluate", "net.h5", "--labels", "test.h5", "train.h5"]) == 0
    out = capsys.readouterr().out
    assert "test.h5: 500 cells of decay-linear, split test\n" in out
    assert "split train: they may have been trained on" in out
    assert "none to be within rtol" in out and "nan" not in out


def test_a_net_that_accepts_nothing_is_named(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    arrays, metadata = read_tensors("net.h5")
    metadata["calibration"]["nodes"] = [3.0] * len(metadata["calibration"]["nodes"])
    write_tensors(tmp_path / "poor.h5", arrays, metadata)
    assert cli.main(["export", str(tmp_path / "poor.h5"), "--to", str(tmp_path), "--torch-only"]) == 0
    assert "accepts nothing" in capsys.readouterr().err


@pytest.mark.parametrize("saved", [False, True])
def test_an_interrupt_says_whether_anything_was_saved(saved, trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)

    def interrupt(self, progress):
        if saved:
            self._save()
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "run", interrupt)
    assert cli.main(_train(f"interrupted-{saved}.h5")) == 130
    said = capsys.readouterr().err
    assert ("the same command continues" if saved else "nothing was saved yet") in said
