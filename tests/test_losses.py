"""Terms of the loss: zero at exact solutions, and not elsewhere; training without labels."""

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training.populations import box
from surrogate.training.systems.mass_action import mass_action

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install 'stiff-surrogate[training]'")

from surrogate.training.commands.train import main  # noqa: E402
from surrogate.training.fit import losses  # noqa: E402
from surrogate.training.fit.config import TrainConfig  # noqa: E402
from surrogate.training.fit.losses import Physics  # noqa: E402
from surrogate.training.fit.pairs import Pairs  # noqa: E402
from surrogate.training.fit.terms import LossConfig  # noqa: E402
from surrogate.training.fit.trainer import Trainer  # noqa: E402
from surrogate.training.fit.weights import LossWeights  # noqa: E402
from surrogate.training.nets.encoding import Encoding  # noqa: E402
from surrogate.training.nets.experts import NetConfig  # noqa: E402

pytestmark = pytest.mark.torch
DT_RANGE = (1e-2, 10.0)
RATES = torch.tensor([[-1e3, 2.0, 0.0], [1e3, -3.0, 0.5], [0.0, 1.0, -0.5]], dtype=torch.float64)


def chain():
    """A -> B -> C with reverse reactions: linear, rates over three decades."""
    reactions = [("A -> B", 1e3), ("B -> A", 2.0), ("B -> C", 1.0), ("C -> B", 0.5)]
    return mass_action("chain", "ABC", reactions, {"A": 1.0}, (1e-3, 1.0))


def exact(state, dt, rates=RATES):
    """The flow of `chain`."""
    return torch.einsum("nij,nj->ni", torch.linalg.matrix_exp(rates * dt[:, None, None]), state), ()


@pytest.fixture(scope="module")
def cells():
    system = chain()
    state, dt = (torch.from_numpy(x) for x in box(system, 300, 3, DT_RANGE))
    return system, Encoding(system, (1e-5, 10.0)), state, dt


def quadratic(state, dt, c=100.0):
    """The flow of the system ``decay-quadratic``, whose variable is signed."""
    return state / (1 + c * state * dt[:, None]), ()


def test_precondition_is_the_inverse_of_an_implicit_step():
    torch.manual_seed(0)
    jacobian, r = torch.randn(5, 3, 3).double(), torch.randn(5, 3).double()
    h = torch.rand(5).double()
    inverse = torch.linalg.inv(torch.eye(3) - h[:, None, None] * jacobian)
    torch.testing.assert_close(losses.precondition(jacobian, h, r), (inverse @ r[..., None])[..., 0])
    c = torch.tensor([1e8]).double()  # one stiff equation: the violation over 1 + h |J|
    assert losses.precondition(-c[:, None, None], c * 0 + 1, c[:, None]) == pytest.approx(1.0)


def test_residual_vanishes_for_the_exact_flow_alone(cells):
    system, encoding, state, dt = cells
    physics = Physics(system)
    error = losses.residual(exact, physics, encoding, state, dt)
    assert error.abs().max() < 1e-9
    slower = RATES * torch.tensor([1.0, 1.1, 1.1])
    error = losses.residual(lambda y, t: exact(y, t, slower), physics, encoding, state, dt)
    true = (exact(state, dt, slower)[0] / exact(state, dt)[0]).log10()
    large = true.abs().amax(1) > 1e-3
    ratio = error.abs().amax(1)[large] / true.abs().amax(1)[large]
    assert large.float().mean() > 0.5
    assert 0.1 < ratio.median() < 3.0  # the residual estimates the error


def test_residual_of_signed_variables_and_bounds():
    system = get_system("decay-quadratic")
    encoding, physics = Encoding(system, (1e-5, 10.0)), Physics(system)
    state, dt = (torch.from_numpy(x) for x in box(system, 300, 3, (1e-4, 10.0)))
    error = losses.residual(quadratic, physics, encoding, state, dt).abs()
    late = dt > losses.EARLY / physics.fastest_rate(state)
    assert error[late].max() < 1e-9
    assert error.max() < 1e-3  # of a step in the first instants
    assert losses.residual(lambda y, t: (y + 0 * t[:, None], ()), physics, encoding, state, dt).abs().max() > 0.1


def test_residual_is_of_order_one_however_wrong_the_prediction(cells):
    system, encoding, state, dt = cells
    physics = Physics(system)
    for factor in (1e-8, 1e8):
        scale = torch.tensor([factor, 1.0, 1.0]).double()
        error = losses.residual(lambda y, t, scale=scale: (exact(y, t)[0] * scale, ()), physics, encoding, state, dt)
        assert 0.05 < error[:, 0].abs().median() < 3.0


def test_first_instants_tell_one_solution_from_another(cells):
    system, encoding, state, dt = cells
    physics = Physics(system)

    def other(y, t):
        return exact(y * torch.tensor([1.0, 1.0, 2.0]), t)

    late = losses.residual(other, physics, encoding, state, dt)
    assert late.abs().max() < 1e-9
    early = losses.residual(other, physics, encoding, state, 5e-5 + 0 * dt)
    torch.testing.assert_close(early[:, 2], torch.full_like(dt, np.log10(2)), rtol=0.03, atol=0)
    assert losses.residual(exact, physics, encoding, state, 5e-5 + 0 * dt).abs().max() < 2e-3


def test_gradient_of_the_residual_is_that_of_the_errors(cells):
    """With frozen equations and preconditioner, an error e of the slow variables has a gradient of order e."""
    system, encoding, state, dt = cells
    shift = torch.zeros_like(state, requires_grad=True)
    error = losses.residual(lambda y, t: (exact(y, t)[0] * (1 + shift), ()), Physics(system), encoding, state, dt)
    (gradient,) = torch.autograd.grad(error[:, 0].sum(), shift)
    torch.testing.assert_close(gradient[:, 0].median(), torch.tensor(1 / np.log(10)), rtol=0.2, atol=0)


def test_semigroup_and_rollout_vanish_for_a_flow_alone(cells):
    _, encoding, state, dt = cells
    assert losses.semigroup(exact, encoding, state, dt, 1e-4).abs().max() < 1e-9
    assert losses.rollout(exact, encoding, state, dt, exact(state, dt)[0], 1e-4).abs().max() < 1e-9

    def lagging(y, t):
        return exact(y, t**0.9)

    assert losses.semigroup(lagging, encoding, state, dt, 1e-4).abs().max() > 0.01
    assert losses.rollout(lagging, encoding, state, dt, exact(state, dt)[0], 1e-4).abs().max() > 0.01
    assert (losses.semigroup(lagging, encoding, state, dt, 20.0) == 0).all()  # no room for two steps


def test_balance_follows_the_statistics_of_the_gradients():
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    balance = LossWeights(LossConfig(supervised=1.0, residual=1.0, adaptive=True))
    terms = {"supervised": (w * torch.tensor([3.0, -8.0])).sum(), "residual": (w * torch.tensor([0.1, 0.3])).sum()}
    loss = balance(terms, [w], 0)
    weight = 0.9 + 0.1 * 8.0 / 0.2
    assert balance.weights == {"supervised": 1.0, "residual": pytest.approx(weight)}
    torch.testing.assert_close(loss, terms["supervised"] + weight * terms["residual"])


@pytest.mark.parametrize("bad", [{"supervised": 0.0}, {"residual": -1.0}])
def test_senseless_weights_are_refused(bad):
    with pytest.raises(ValueError, match="positive weight"):
        LossConfig(**bad)


def _labelled(system, n, seed):
    state, dt = (torch.from_numpy(x) for x in box(system, n, seed, DT_RANGE))
    return Pairs(state, dt, exact(state, dt)[0])


def _trainer(path, loss=None, n_iterations=0, train=None, **config):
    """A trainer of the chain without labels, after some iterations of a schedule that does not look at the clock."""
    system = chain()
    train = Pairs.draw(system, "box", 20000, 0, DT_RANGE) if train is None else train
    loss = loss or LossConfig(supervised=0.0, residual=1.0)
    config = TrainConfig(**{"minutes": 1.0, "batch": 256, "lr": 1e-2, **config})
    trainer = Trainer(system, train, _labelled(system, 500, 7), path, NetConfig(24, 2, (1, 1)), config, loss=loss)
    for i in range(n_iterations):
        trainer.seconds = 60.0 * i / n_iterations
        trainer._iterate()
    return trainer


def test_training_without_labels_solves_the_equations(tmp_path):
    trainer = _trainer(tmp_path / "net.h5", n_iterations=400, lr=3e-2)
    trainer._report()
    result = trainer.history[-1]
    assert result["quantiles"][0] < -1.3  # 5 % where doing nothing is wrong by a factor
    assert result["quantiles"][2] < -0.6
    assert result["loss"].keys() == {"residual"}


def test_terms_combine_and_finish_with_lbfgs(tmp_path, monkeypatch):
    loss = LossConfig(supervised=1.0, residual=0.1, semigroup=0.1, rollout=0.1, adaptive=True)
    train = _labelled(chain(), 5000, 1)
    monkeypatch.setattr("surrogate.training.fit.trainer.LBFGS_BATCH", 1000)
    run = _trainer(tmp_path / "net.h5", loss, 100, train, batch=128, lbfgs=12)
    run._report()
    run.seconds = 61.0
    run._finish()
    run._save()
    again = _trainer(tmp_path / "net.h5", loss, 0, train, batch=128, lbfgs=12)
    assert (again.n_lbfgs, again.weights.weights) == (10, run.weights.weights)
    last = again.run()
    assert again.n_lbfgs == 12
    assert last["quantiles"][0] < run.history[0]["quantiles"][0] - 0.02
    assert (tmp_path / "net.png").exists()
    assert not again.checkpoint.exists()


@pytest.mark.parametrize("optimizer", ["soap", "adamw"])
def test_resumed_run_without_labels_repeats_itself(tmp_path, optimizer):
    run = _trainer(tmp_path / "net.h5", n_iterations=12, optimizer=optimizer)
    run._report()
    run._save()
    again = _trainer(tmp_path / "net.h5", optimizer=optimizer)
    for trainer in (run, again):
        torch.manual_seed(12)
        trainer._iterate()
    assert again.iteration == run.iteration
    for a, b in zip(run.parameters, again.parameters):  # eigenbases come back in another memory layout
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_what_needs_labels_or_ties_to_the_start_is_refused(tmp_path):
    system = chain()
    drawn = Pairs.draw(system, "box", 100, 0, DT_RANGE)
    with pytest.raises(ValueError, match="no labels"):
        Trainer(system, drawn, None, tmp_path / "a.h5")
    with pytest.raises(ValueError, match="a x 1"):
        Trainer(system, drawn, None, tmp_path / "a.h5", loss=LossConfig(supervised=0.0, residual=1.0))
    with pytest.raises(ValueError, match="no such device"):
        _trainer(tmp_path / "a.h5", device="cuda:99")


def test_command_trains_without_labels(tmp_path, monkeypatch, capsys):
    from surrogate.training.labels import make_labels

    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_decay.py").write_text("from surrogate.training.systems.toys import decay_quadratic as make\n")
    (tmp_path / "own_solver.py").write_text("def advance(y, dt):\n    return y / (1 + 100 * y * dt[:, None])\n")
    monkeypatch.syspath_prepend(tmp_path)
    make_labels(
        "own_decay:make",
        "check.h5",
        population="box",
        n=200,
        split="calibrate",
        seed=0,
        dt_range=(1e-2, 1.0),
        advance="own_solver:advance",
        progress=False,
    )
    arguments = [
        "own_decay:make",
        "--unsupervised",
        "--dt-range",
        "1e-2",
        "1",
        "--check",
        "check.h5",
        "--out",
        "net.h5",
        "--minutes",
        "0.02",
        "--n",
        "2000",
        "--width",
        "16",
        "--threads",
        "1",
    ]
    with pytest.raises(ValueError, match="--population is missing"):
        main(arguments)
    assert main([*arguments, "--population", "box", "--loss", "residual", "--loss", "semigroup=0.1"]) == 0
    assert "weights; next: surrogate calibrate net.h5" in capsys.readouterr().out
    assert (tmp_path / "net.h5").exists() and (tmp_path / "net.png").exists()
