"""Systems as data: content of the networks, conservation laws, error messages of the loader."""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import sympy as sp
import yaml
from surrogate.training import System, Variable, get_system, system_names
from surrogate.training.codegen import python_functions
from surrogate.training.systems import system as system_module
from surrogate.training.systems.expressions import Basis, Lowering, fexp
from surrogate.training.systems.network import DATA, load_network
from surrogate.training.systems.parser import Parser
from surrogate.training.systems.tables import Table

NETWORK = yaml.safe_load((DATA / "ism_network.yaml").read_text())


def test_every_reaction_has_a_reference():
    assert all(len(r["ref"]) > 5 for r in NETWORK["reactions"])


@pytest.mark.parametrize(
    ("options", "n_species", "n_reactions"),
    [({}, 9, 46), ({"cosmic_rays": False}, 9, 40), ({"species": ("e-", "H-", "H", "H+", "He", "He+", "He++")}, 7, 22)],
)
def test_network_has_the_published_number_of_reactions(options, n_species, n_reactions):
    system = load_network("test", **options)
    assert len(system.variables) == n_species + 1
    assert sum(name.name.startswith("R_") for name, _ in system.definitions) == n_reactions


def test_species_jacobian_has_the_published_pattern():
    """62 non-zero entries: the count given by Branca & Pallottini for this network."""
    entries = load_network("test", preset="literal").derived.jacobian
    assert sum(i < 9 and j < 9 for i, j in entries) == 62


@pytest.mark.parametrize("name", ["ism-molecular", "ism-atomic"])
def test_networks_conserve_nuclei_and_charge(name):
    assert list(get_system(name).conserved) == ["H", "He", "charge"]


def test_conservation_laws_are_found_without_being_declared():
    assert len(get_system("robertson").conserved) == 1
    (weights,) = get_system("robertson").conserved.values()
    assert np.ptp(weights) == 0
    laws = np.array(list(get_system("pollu").conserved.values()))
    sulphur = np.array([name in ("SO2", "SO4") for name in get_system("pollu").names], float)
    coefficients = np.linalg.lstsq(laws.T, sulphur, rcond=None)[0]
    np.testing.assert_allclose(coefficients @ laws, sulphur, atol=1e-12)


def test_declared_law_that_the_equations_break_is_refused():
    x, y = sp.symbols("x y", real=True)
    system = System("leak", (Variable("x"), Variable("y")), (-x, x / 2), declared={"mass": (1.0, 1.0)})
    with pytest.raises(ValueError, match="do not conserve mass"):
        _ = system.conserved


@pytest.mark.parametrize("name", system_names())
def test_production_minus_loss_is_the_rhs(name):
    system = get_system(name)
    for rhs, production, loss in zip(system.rhs, system.production, system.loss):
        assert sp.expand(rhs - production + loss) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "krome"}, "no preset 'krome'; choose from literal, krome2016, corrected"),
        ({"metals": "uvb"}, "no metal model 'uvb'; choose from none, fs_cie"),
        ({"species": ("H", "D")}, "no species 'D'"),
    ],
)
def test_unknown_choices_are_named_with_the_alternatives(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_network("test", **arguments)


def test_reaction_that_creates_charge_is_refused(tmp_path):
    text = (DATA / "ism_network.yaml").read_text().replace('"H + e- -> H+ + e- + e-"', '"H + e- -> H+ + e-"')
    (tmp_path / "network.yaml").write_text(text)
    with pytest.raises(ValueError, match="reaction G01 changes charge from -1 to 0"):
        load_network("test", network=tmp_path / "network.yaml")


def test_unknown_system_is_refused_with_the_list():
    with pytest.raises(ValueError, match="no system 'ism'; choose from ism-molecular"):
        get_system("ism")


def test_fits_are_not_rewritten_into_overflowing_products():
    """SymPy turns exp(c + a log T) into e^c T^a; G11's published fit then becomes 0 * inf."""
    temperature = sp.Symbol("T", real=True)
    parse = Parser({"T": temperature}, Lowering(Basis(temperature, 3.0, 1e9)))
    expr = parse("10**(-8.8755774e3 + 1.0081246e4*log10(T))")
    assert isinstance(expr, fexp)
    assert isinstance(parse("T**0.5*T**1.3*exp(-30/T)*2"), sp.Mul)
    assert len(parse("T**1.3*exp(-30/T)*T**0.2").atoms(fexp)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("T*foo", "unknown name 'foo'"), ("T @ 2", "cannot read"), ("__import__('os')", "cannot read")],
)
def test_expressions_cannot_run_code_and_name_what_they_do_not_know(text, message):
    with pytest.raises(ValueError, match=message):
        Parser({"T": sp.Symbol("T")}, Lowering())(text)


def test_table_is_monotone_and_meets_its_nodes():
    x = np.array([0.0, 1.0, 2.0, 4.0, 5.0])
    y = np.array([0.0, 0.0, 1.0, 5.0, 5.0])
    table = Table.monotone(x, y)
    np.testing.assert_allclose(table(x), y, atol=1e-14)
    fine = np.linspace(0, 5, 1001)
    assert (np.diff(table(fine)) > -1e-14).all()
    inner = fine[1:-1]
    np.testing.assert_allclose(table(inner + 1e-7, 1), table(inner - 1e-7, 1), atol=2e-6)
    with pytest.raises(ValueError, match="whole multiples"):
        Table.monotone([0.0, 1.0, 1.7], [0, 1, 2])


ZOO = Path(system_module.__file__).parent.parent / "zoo"


@pytest.mark.parametrize("path", sorted(ZOO.glob("*.h5")), ids=lambda path: path.stem)
def test_shipped_models_are_of_these_systems(path):
    """Else the package cannot be built: their hash must not depend on the version of SymPy at hand."""
    with h5py.File(path) as file:
        assert json.loads(file.attrs["system_hash"]) == get_system(json.loads(file.attrs["system"])).hash


def test_hash_knows_doubles_and_no_order():
    """Versions of SymPy differ in the last of the 40 digits, and may in the order of terms."""
    x, y, f = sp.Symbol("x", real=True), sp.Symbol("y", real=True), sp.Function("f")

    def digest(number, *terms):
        rhs = sp.Add(*terms, sp.Float(number, 40) * f(x), evaluate=False), x
        return System("own", (Variable("x"), Variable("y")), rhs)

    one = digest("1.5746493913880000000000000000000000001", x, y)
    assert one.hash == digest("1.5746493913880000000000000000000000009", y, x).hash
    assert one.hash != digest("1.574649391388001", x, y).hash
    assert one.hash != digest("1.5746493913880000000000000000000000001", x, x).hash
    assert one.has_hash(one.hash) and not one.has_hash(digest("1.5", x, y).hash) and not one.has_hash(None)


def test_files_made_before_are_still_of_their_systems():
    """Their hash was that of SymPy's own text."""
    system = get_system("robertson")
    text = repr((system.name, system.variables, system.parameters, system.dt_range))
    text += sp.srepr((tuple(system.rhs), tuple(e for _, e in system.definitions)))
    assert system.has_hash(hashlib.sha256(text.encode()).hexdigest())


def test_toys_match_the_printed_equations():
    """Branca & Pallottini eq. 14 at (1, 1e-3, 0.1): hand-evaluated rows of the matrix."""
    rhs, *_ = python_functions(get_system("toy-constant"))
    n1, n2, n3, k1, k2, k3 = 1.0, 1e-3, 0.1, 0.8, 0.5, 0.2
    expected = [
        -(k1 + k3 * n3) * n1 + k3 * n1 * n3,
        (k1 + 2 * k3 * n3) * n1 - k2 * n2 + 2 * k3 * n1 * n3,
        -k3 * n1 * n1 + k1 * n2 - k3 * n1 * n3,
    ]
    np.testing.assert_allclose(rhs(0.0, np.array([n1, n2, n3]), np.zeros(0)), expected, rtol=1e-14)


def test_hodgkin_huxley_rates_are_smooth_at_their_removable_singularities():
    rhs, *_ = python_functions(get_system("hodgkin-huxley"))
    for v in (-55.0, -40.0):
        near = [rhs(0.0, np.array([v + d, 0.3, 0.1, 0.6]), np.array([10.0])) for d in (-1e-9, 0.0, 1e-9)]
        np.testing.assert_allclose(near[0], near[1], rtol=1e-6)
        np.testing.assert_allclose(near[2], near[1], rtol=1e-6)
