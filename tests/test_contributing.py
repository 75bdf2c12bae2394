"""What CONTRIBUTING.md says about adding things is enough: a toy of each kind, added from outside the package."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training.codegen import numba_functions, python_functions, write_mechanism
from surrogate.training.populations import draw
from surrogate.training.systems.functions import register_function
from surrogate.training.systems.importers import CONVERTERS, READERS, register_reader

import surrogate
from surrogate import cli

ROOT = Path(__file__).resolve().parent.parent
#: carbon and oxygen at constant temperature
NETWORK = """
temperature: {floor: 10.0, upper: 1.0e+4}
species:
  - {name: "C", charge: 0, C: 1, O: 0, mass: 1.9945e-23}
  - {name: "O", charge: 0, C: 0, O: 1, mass: 2.6567e-23}
  - {name: "C+", charge: 1, C: 1, O: 0, mass: 1.9944e-23}
  - {name: "CO", charge: 0, C: 1, O: 1, mass: 4.6512e-23}
  - {name: "e-", charge: -1, C: 0, O: 0, mass: 9.1094e-28}
parameters:
  zeta: {value: 1.0e-16, unit: "1/s", lower: 0.0, upper: 1.0e-10}
reactions:
  - {id: R1, equation: "C + O -> CO", rate: "1.6e-17*sqrt(T/300)", ref: "toy"}
  - {id: R2, equation: "CO -> C + O", rate: "2*zeta", ref: "toy"}
  - {id: R3, equation: "C -> C+ + e-", rate: "zeta", ref: "toy"}
  - {id: R4, equation: "C+ + e- -> C", rate: "2.36e-12*(T/300)**(-0.29)*exp(17.6/T)", ref: "toy"}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory of a user's own, from which modules are imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "carbon.yaml").write_text(NETWORK)
    return tmp_path


def agree(system):
    """All back ends give the same rates at random states."""
    rhs, jacobian, _ = python_functions(system)
    fast, _ = numba_functions(system)
    for y in system.sample(5, 1):
        np.testing.assert_allclose(
            fast(0.0, y, system.parameter_values), rhs(0.0, y, system.parameter_values), rtol=1e-10
        )
        assert np.isfinite(jacobian(0.0, y, system.parameter_values)).all()
    assert "mechanism_rhs" in write_mechanism(system)


def test_a_network_of_other_elements_is_one_file(place, capsys):
    system = get_system("carbon.yaml")
    assert [*system.declared] == ["C", "O", "charge"] and system.names == ("C", "O", "C+", "CO", "e-", "T")
    assert system.conserved["C"] == (1, 0, 1, 1, 0, 0) and get_system(str(place / "carbon.yaml")).hash == system.hash
    agree(system)
    assert cli.main(["export", "carbon.yaml", "--to", "."]) == 0
    model = surrogate.load(place / "carbon.so")
    cells, dt = draw("box", system, 200, 1, dt_range=(1e3, 1e12))
    before = cells.copy()
    assert (model.stepper(rtol=1e-4).step(cells, dt).status == 4).all()
    for law in ("C", "O", "charge"):
        weights = np.array(system.conserved[law])
        scale = before @ abs(weights)
        assert (abs((cells - before) @ weights) < 1e-12 * scale).all(), law
    assert (cells[:, -1] == before[:, -1]).all() and abs(cells / before - 1).max() > 0.1


def test_a_network_that_loses_an_element_is_refused(place):
    (place / "wrong.yaml").write_text(NETWORK.replace('"CO -> C + O"', '"CO -> C"'))
    with pytest.raises(ValueError, match="reaction R2 changes O from 1 to 0"):
        get_system("wrong.yaml")
    with pytest.raises(ValueError, match="cannot be read"):
        get_system("nowhere.yaml")


FUNCTIONS = """
from surrogate.training.systems import load_network
from surrogate.training.systems.expressions import Opaque, number, times
from surrogate.training.systems.functions import register_function


def arrhenius(low):
    return lambda a, n, c: times(a * low.power(low.basis.x / 300, n), low.exp(-c * low.basis.inv))


class toy_cube(Opaque):
    nargs = 1
    code = {"c": "({0})*({0})*({0})", "torch": "{0}**3", "python": "math.pow({0}, 3.0)"}

    def fdiff(self, argindex=1):
        return 3 * self.args[0] ** 2


register_function("toy_arrhenius", arrhenius)
register_function("toy_cube", lambda low: toy_cube)


def make():
    return load_network("carbon", "%s/carbon.yaml", None)
"""


def test_a_rate_form_is_one_file(place):
    rate = 'rate: "1.6e-17*sqrt(T/300)"'
    text = NETWORK.replace(rate, 'rate: "toy_arrhenius(1.6e-17, 0.5, 20)*toy_cube(1 + 1/T)"')
    (place / "carbon.yaml").write_text(text)
    (place / "toy_rates.py").write_text(FUNCTIONS % place)
    system = get_system("toy_rates:make")
    agree(system)
    rhs, *_ = python_functions(system)
    y = np.array([2.0, 3.0, 0.0, 0.0, 0.0, 400.0])
    expected = 6 * 1.6e-17 * (400 / 300) ** 0.5 * np.exp(-20 / 400) * (1 + 1 / 400) ** 3
    assert rhs(0.0, y, np.array([0.0]))[3] == pytest.approx(expected, rel=1e-12)
    assert cli.main(["export", "toy_rates:make", "--to", "."]) == 0
    f, _ = surrogate.load(place / "carbon.so").evaluate(y[None], [0.0])
    assert f[0, 3] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="there is a function 'exp' already"):
        register_function("exp", lambda low: low.exp)


@pytest.mark.torch
def test_a_rate_form_is_known_to_torch(place):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'stiff-surrogate[training]'")
    from surrogate.training.codegen import torch_functions

    (place / "carbon.yaml").write_text(NETWORK.replace('"1.6e-17*sqrt(T/300)"', '"1e-17*toy_torch_cube(1 + 1/T)"'))
    (place / "toy_torch_rates.py").write_text((FUNCTIONS % place).replace("toy_", "toy_torch_"))
    system = get_system("toy_torch_rates:make")
    states = system.sample(5, 1)
    ours = torch_functions(system)[0](torch.from_numpy(states), torch.from_numpy(system.parameter_values))
    rhs, *_ = python_functions(system)
    theirs = [rhs(0.0, y, system.parameter_values) for y in states]
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-10)


POPULATION = """
import numpy as np
from surrogate.training.populations import Population


def draw(system, n, seed, advance, dt_range):
    rng = np.random.default_rng(seed)
    return system.initial * (1 + rng.random((n, 1))), 10.0 ** rng.uniform(-3, 0, n)


twice = Population("twice", draw, lambda system: len(system.names) == 1, dt_range=(1e-3, 1.0))
"""


def test_a_population_is_one_file(place):
    from surrogate.training.labels import load_labels

    (place / "toy_cells.py").write_text(POPULATION)
    cells, dt = draw("toy_cells:twice", get_system("decay-linear"), 100, 3)
    assert cells.shape == (100, 1) and (1 <= cells).all() and (cells <= 2).all() and (1e-3 <= dt).all()
    with pytest.raises(ValueError, match="'twice' is not for robertson: choose box"):
        draw("toy_cells:twice", get_system("robertson"), 10, 3)
    with pytest.raises(ValueError, match="no population 'twice'"):
        draw("twice", get_system("decay-linear"), 10, 3)
    with pytest.raises(ValueError, match="give module:name"):
        draw("toy_cells:none", get_system("decay-linear"), 10, 3)
    assert cli.main(["export", "decay-linear", "--to", "."]) == 0
    command = "labels decay-linear --population toy_cells:twice --n 50 --split test --seed 0 --rtol 1e-6 --quiet"
    assert cli.main([*command.split(), "--model", "./decay-linear.so", "--out", "labels.h5", "--processes", "2"]) == 0
    labels = load_labels("labels.h5")
    assert labels.meta["population"] == "toy_cells:twice" and (labels.status == 4).all()
    np.testing.assert_allclose(labels.end[:, 0, 0], labels.start[:, 0] * np.exp(-100 * labels.dt[:, 0]), atol=1e-6)


NET = """
import torch


class Plain(torch.nn.Module):
    def __init__(self, config, n_in, n_out, n_experts):
        super().__init__()
        self.weight = torch.nn.Parameter(0.1 * torch.randn(n_experts, n_in, n_out))

    def forward(self, x, experts=slice(None)):
        return torch.bmm(x, self.weight[experts])


def small(batch):
    end, _, _ = batch.surrogate.flow(batch.state, batch.dt)
    return 1e-3 * (end - batch.end)
"""


@pytest.fixture
def trainer(place):
    """A trainer with an architecture and a loss term that are not of the package."""
    pytest.importorskip("torch", reason="the nets need PyTorch: pip install 'stiff-surrogate[training]'")
    import torch
    from surrogate.training.fit.config import TrainConfig
    from surrogate.training.fit.pairs import Pairs
    from surrogate.training.fit.terms import LossConfig
    from surrogate.training.fit.trainer import Trainer
    from surrogate.training.nets import NetConfig

    (place / "toy_net.py").write_text(NET)
    system = get_system("decay-linear")
    cells, dt = draw("box", system, 2000, 1, dt_range=(1e-4, 1e-2))
    pairs = Pairs(*map(torch.from_numpy, (cells, dt, cells * np.exp(-100 * dt)[:, None])))
    loss = LossConfig.of({"supervised": 1.0, "toy_net:small": 0.5})
    net = NetConfig(4, 1, (1,), kind="toy_net:Plain")
    return Trainer(system, pairs, pairs, place / "net.h5", net, TrainConfig(minutes=1, batch=64), loss=loss)


@pytest.mark.torch
def test_a_loss_term_is_one_file(trainer):
    for i in range(20):
        trainer.seconds = float(i)
        trainer._iterate()
    assert trainer.sums["toy_net:small"] > 0 and trainer.sums["supervised"] > 0
    assert trainer.metadata["loss"]["toy_net:small"] == 0.5
    from surrogate.training.fit.terms import LossConfig

    with pytest.raises(ValueError, match="'tiny' is no term: give supervised"):
        LossConfig.of({"tiny": 1.0})


@pytest.mark.torch
def test_an_architecture_is_one_file(trainer, place):
    """Its file names it; what a file names is not imported unless the reader names it as well."""
    from surrogate.training.nets.trained import load_model

    trainer._save_model()
    loaded, _ = load_model(place / "net.h5", trainer.system)
    assert type(loaded.experts).__name__ == "Plain"
    code = (
        "import sys\nfrom surrogate.training.nets.trained import load_trained\n"
        "print(type(load_trained('net.h5', **eval(sys.argv[1]))[1].experts).__name__)"
    )
    for given, status in (({}, 1), ({"kind": "toy_net:Plain"}, 0)):
        done = subprocess.run(
            [sys.executable, "-c", code, repr(given)], capture_output=True, text=True, check=False, cwd=place
        )
        assert done.returncode == status, done.stderr
        assert "name it yourself with --kind" in done.stderr if status else done.stdout.strip() == "Plain"


def test_an_import_format_is_one_file(place, monkeypatch):
    monkeypatch.setattr("surrogate.training.systems.importers.READERS", dict(READERS))

    def read(path):
        species = {"A": 1, "B": 2}
        reactions = [line.split(";") for line in path.read_text().split("\n") if line]
        return {
            "temperature": {"floor": 1.0, "upper": 1e4},
            "species": [{"name": s, "charge": 0, "X": n, "mass": n * 1e-24} for s, n in species.items()],
            "reactions": [
                {"id": f"R{i}", "equation": e, "rate": k, "ref": "toy"} for i, (e, k) in enumerate(reactions)
            ],
        }

    (place / "pair.toy").write_text("A + A -> B;1e-9\nB -> A + A;1e-6\n")
    with pytest.raises(ValueError, match="no system 'pair.toy'"):
        get_system("pair.toy")
    register_reader(".toy", read)
    system = get_system("pair.toy")
    assert system.conserved["X"] == (1, 2, 0)
    agree(system)
    with pytest.raises(ValueError, match="give a dot"):
        register_reader("toy", read)


def test_every_format_of_the_package_is_found():
    folder = ROOT / "training" / "systems" / "importers"
    found = [read.__module__ for read in READERS.values()] + [module.__name__ for module in CONVERTERS.values()]
    for path in folder.glob("[a-z]*.py"):
        is_format = re.search(r"^(SUFFIXES|FORMAT) = ", path.read_text(), re.M)
        assert bool(is_format) == any(name.endswith(f".{path.stem}") for name in found), path
    assert {*CONVERTERS} == {"cantera", "krome", "umist", "kida", "kpp", "nuclear"}


def test_contributing_counts_what_these_tests_do():
    """A section for each kind, with the number of files."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    kinds = {"network": 1, "rate form": 1, "population": 1, "architecture": 1, "loss term": 1, "import format": 1}
    for kind, n in kinds.items():
        section = re.search(rf"\*\*To add an? {kind}\*\* \((\d) files?", text)
        assert section and int(section[1]) == n, kind
