"""Training by decades: targets by hops from the net's own predictions, against the exact solution."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from surrogate.training import get_system

import surrogate
from surrogate import Status, cli

pytest.importorskip("h5py", reason="training needs h5py: pip install 'stiff-surrogate[training]'")
torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install 'stiff-surrogate[training]'")

from surrogate.training.codegen.library import export_model  # noqa: E402
from surrogate.training.fit import decades, predictors, trainer  # noqa: E402
from surrogate.training.fit.config import TrainConfig  # noqa: E402
from surrogate.training.fit.decades import HOPS, Decades, Plan, Starts, hop_to, next_targets  # noqa: E402
from surrogate.training.fit.pairs import Pairs  # noqa: E402
from surrogate.training.nets.experts import NetConfig  # noqa: E402
from surrogate.training.nets.trained import load_model  # noqa: E402
from surrogate.training.systems.mass_action import mass_action  # noqa: E402

pytestmark = pytest.mark.torch
#: from a seventh of the time scale to fifteen of them
RANGE = (1e-3, 0.1)
NET, CONFIG = NetConfig(16, 1, (1, 1, 2)), TrainConfig(minutes=0.05, batch=128)


def decay(y, t):
    return y * np.exp(-100 * t)[:, None]


def exact(y, t):
    """The flow of `system`."""
    rest = y.sum(1)[:, None] * np.array([1, 2]) / 3
    return rest + (y - rest) * np.exp(-150 * t)[:, None]


@pytest.fixture(scope="module")
def system():
    return mass_action("pair", "AB", [("A -> B", 100.0), ("B -> A", 50.0)], {"A": 1.0}, (1e-3, 1.0))


@pytest.fixture(scope="module")
def solver(system, tmp_path_factory):
    return surrogate.load(export_model(system, tmp_path_factory.mktemp("solver")))


@pytest.fixture(scope="module")
def check():
    rng = np.random.default_rng(5)
    y, t = 10 ** rng.uniform(-3, 0, (2000, 2)), RANGE[0] * (RANGE[1] / RANGE[0]) ** rng.random(2000)
    return Pairs(*(torch.from_numpy(x) for x in (y, t, exact(y, t))))


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Budgets are CPU time, whatever else the machine does, and gauge and judge learn little."""
    monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=time.process_time))
    monkeypatch.setattr(predictors, "ITERATIONS", 20)


@pytest.fixture
def asked(solver, monkeypatch):
    """Options of every stepper that the training makes, and the attempts of every call."""
    found = {"options": [], "cost": []}

    class Spy:
        def stepper(self, **options):
            found["options"].append(options)
            stepper = solver.stepper(**options)

            class Watched:
                def step(self, cells, dt):
                    report = stepper.step(cells, dt)
                    found["cost"].append(report.cost[report.status == Status.SOLVER])
                    return report

            return Watched()

    monkeypatch.setattr(decades, "solver_model", lambda system: Spy())
    return found


def plan_of(hop, n=1500, **changes):
    return Plan(hop, ("box",), n, dt_range=RANGE, **changes)


def test_a_refused_hop_is_halved_until_it_is_taken():
    y, horizon = np.linspace(0.1, 1, 7)[:, None], np.full(7, 0.01)
    t, longest = np.linspace(0.011, 0.03, 7), 0.005

    def advance(cells, h):
        cells *= np.exp(-100 * h)[:, None]
        return np.where((h <= longest) & (cells[:, 0] > 0), Status.SOLVER, Status.FAILED)

    s, h, between, end = hop_to(decay, advance, y, t, horizon, 3.0)
    assert (s <= horizon * (1 + 1e-12)).all() and (h <= longest).all() and (h > 0.2 * longest).all()
    assert (s + h > horizon).all() and (s + h <= t * (1 + 1e-12)).all()
    np.testing.assert_allclose(between, decay(y, s), rtol=1e-12)
    np.testing.assert_allclose(end, decay(y, s + h), rtol=1e-12)
    assert np.isnan(hop_to(decay, lambda cells, h: np.full(len(h), Status.FAILED), y, t, horizon, 3.0)[3]).all()
    lost = hop_to(lambda y, s: np.full_like(y, np.nan), advance, y, t, horizon, 3.0)
    assert np.isnan(lost[3]).all(), "from where the net knows nothing there is no target"


def test_horizons_go_as_far_as_hops_were_taken():
    n = 200
    starts = Starts(np.ones((n, 1)), *(np.full(n, x) for x in (1e-3, 0.01, 0.1)))

    def advance(cells, h):
        refused = (h > 0.004) & (cells[:, 0] < 1)  # whatever is on its way
        cells *= np.exp(-100 * h)[:, None]
        return np.where(refused, Status.FAILED, Status.SOLVER)

    rng = np.random.default_rng(0)
    kept = next_targets(decay, advance, starts, np.full(n, 0.01), HOPS["attempt"], 2, rng)
    latest = np.zeros(n)
    np.maximum.at(latest, kept["rows"], kept["s"] + kept["h"])
    np.testing.assert_array_equal(kept["horizon"], latest)
    assert ((latest > 0.01) & (latest <= 0.014 * (1 + 1e-12))).all()
    free = next_targets(decay, lambda c, h: np.full(len(h), Status.SOLVER), starts, latest, HOPS["solver"], 2, rng)
    np.testing.assert_array_equal(free["horizon"], np.full(n, 0.1))


@pytest.mark.parametrize("hop", HOPS)
def test_a_net_learns_what_nobody_has_integrated(hop, system, check, asked, tmp_path):
    run = Decades(system, plan_of(hop), check, tmp_path / "net.h5", NET, CONFIG)
    lines = []
    run.run(lines.append)
    surrogate_, metadata = load_model(tmp_path / "net.h5", system)
    end = decades.predict(surrogate_, check.state.numpy(), check.dt.numpy())
    error, late = np.abs(end / check.end.numpy() - 1), check.dt.numpy() > 0.05
    assert np.quantile(error, 0.5) < 0.02 and np.quantile(error[late], 0.9) < 0.05, "against the exact solution"
    assert metadata["decades"]["hop"] == hop
    assert all(o["rtol"] == HOPS[hop].rtol and not o["net"] for o in asked["options"])
    if hop == "attempt":
        assert asked["options"][0]["max_solver_steps"] == 1 and max(c.max(initial=0) for c in asked["cost"]) == 1
        assert sum("stage" in line for line in lines) > 3, "three times the time at most"
    assert not run.directory.exists()


def test_interrupted_run_goes_on_and_repeats_nothing(system, check, asked, tmp_path):
    def run(until=None):
        lines = []

        def progress(line):
            lines.append(line)
            if until and until in line:
                raise KeyboardInterrupt

        training = Decades(system, plan_of("solver", 600), check, tmp_path / "net.h5", NET, TrainConfig(minutes=0.01))
        training.run(progress)
        return lines

    with pytest.raises(KeyboardInterrupt):
        run("stage 2")
    directory = tmp_path / "net.h5.decades"
    before = {path.name: path.read_bytes() for path in directory.glob("*.h5")}
    assert before.keys() == {"starts.h5", "targets-0.h5", "net-0.h5", "targets-1.h5"}
    calls = len(asked["cost"])
    (directory / "targets-1.h5").unlink()
    with pytest.raises(KeyboardInterrupt):
        run("stage 2")
    assert {path.name: path.read_bytes() for path in directory.glob("*.h5")} == before
    assert len(asked["cost"]) == calls + 1, "one call for the targets that were lost"
    other = Decades(system, plan_of("solver", 600, seed=1), check, tmp_path / "net.h5", NET, TrainConfig(minutes=0.01))
    with pytest.raises(ValueError, match="belongs to another run"):
        other.run()
    assert sum(" it  log10" in line for line in run()) == 1, "the last net alone is trained"
    assert not directory.exists() and (tmp_path / "net.h5").exists()


def test_bad_plans_are_refused(check, tmp_path):
    for changes, said in (({"hop": "jump"}, "jump"), ({"n": 0}, "n is 0"), ({"first": -1.0}, "first is -1")):
        with pytest.raises(ValueError, match=said):
            Plan(**({"populations": ("box",)} | changes))
    with pytest.raises(ValueError, match="depends on time explicitly"):
        Decades(get_system("relax-forced"), plan_of("solver"), check, tmp_path / "net.h5")
    with pytest.raises(ValueError, match="not for robertson"):
        Decades(get_system("robertson"), Plan(populations=("wide",)), check, tmp_path / "net.h5")


def test_command_takes_several_populations(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(Decades, "run", lambda self, progress: seen.append((self.plan, self.net)))
    monkeypatch.setattr("surrogate.training.commands.train.read_pairs", lambda *_: None)
    words = ["train", "ism-atomic", "--check", "none.h5", "--out", str(tmp_path / "net.h5"), "--decades", "attempt"]
    assert cli.main([*words, "--population", "wide,relaxed", "--population", "aged", "--no-on-the-way"]) == 0
    plan, net = seen[0]
    assert plan == Plan("attempt", ("wide", "relaxed", "aged"), 120_000, on_the_way=False) and net.regions == (4, 4, 5)
    assert cli.main(words) == 1 and "--population is missing" in capsys.readouterr().err
