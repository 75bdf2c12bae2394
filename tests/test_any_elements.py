"""Population `network`: neutral cells of any elements, in proportions and ranges that the network names."""

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training import populations as pop
from surrogate.training.populations.composition import proportioned

#: of four elements at constant temperature, where nitrogen has no start and hydrogen no species of its own
NETWORK = """
temperature: {floor: 10.0, upper: 1.0e+4}
sample: {density: [1.0e+2, 1.0e+6], T: [10, 300]}
species:
  - {name: "C", charge: 0, C: 1, mass: 1.9945e-23, initial: 1.0e-4}
  - {name: "O", charge: 0, O: 1, mass: 2.6567e-23, initial: 2.0e-4}
  - {name: "CO", charge: 0, C: 1, O: 1, mass: 4.6512e-23, initial: 1.0e-4}
  - {name: "C+", charge: 1, C: 1, mass: 1.9944e-23}
  - {name: "O-", charge: -1, O: 1, mass: 2.6567e-23}
  - {name: "N2", charge: 0, N: 2, mass: 4.6517e-23}
  - {name: "NO", charge: 0, N: 1, O: 1, mass: 4.9826e-23}
  - {name: "H2", charge: 0, H: 2, mass: 3.347e-24, initial: 0.5}
  - {name: "H2O", charge: 0, H: 2, O: 1, mass: 2.9915e-23}
  - {name: "e-", charge: -1, mass: 9.1094e-28}
reactions:
  - {id: R1, equation: "C + O -> CO", rate: 1.0e-17, ref: "toy"}
  - {id: R2, equation: "CO -> C + O", rate: 1.0e-15, ref: "toy"}
  - {id: R3, equation: "C -> C+ + e-", rate: 1.0e-15, ref: "toy"}
  - {id: R4, equation: "C+ + e- -> C", rate: 1.0e-12, ref: "toy"}
  - {id: R5, equation: "O + e- -> O-", rate: 1.0e-15, ref: "toy"}
  - {id: R6, equation: "O- + C+ -> C + O", rate: 1.0e-9, ref: "toy"}
  - {id: R7, equation: "N2 + O + O -> NO + NO", rate: 1.0e-25, ref: "toy"}
  - {id: R8, equation: "H2 + O -> H2O", rate: 1.0e-16, ref: "toy"}
"""


def own(text, tmp_path):
    (tmp_path / "own.yaml").write_text(text)
    return get_system(str(tmp_path / "own.yaml"))


def test_network_draws_cells_of_any_elements(tmp_path):
    system = own(NETWORK, tmp_path)
    asked = []

    def advance(cells, dt):
        asked.append(dt.copy())
        cells[:, 0] *= 0.5  # something happens, and neutrality is lost
        cells[:, 3] *= 1.001
        cells[:, -1] = 5.0

    cells, dt = pop.draw("network", system, 3000, 4, advance, (1e3, 1e9))
    charge = np.array(system.conserved["charge"])
    assert np.all(abs(cells @ charge) <= 1e-14 * (cells @ abs(charge))) and np.all(cells > 0)
    assert np.all(cells[1::2, -1] == 5)  # the half that has been advanced
    start = cells[::2]
    density, temperature = start[:, :-1].sum(1), start[:, -1]
    for values, low, high in ((density, 1e2, 1e6), (temperature, 10, 300), (dt, 1e3, 1e9), (asked[0], 1e3, 1e9)):
        share = np.log(values / low) / np.log(high / low)
        np.testing.assert_allclose(np.quantile(share, [0, 0.5, 1]), [0, 0.5, 1], atol=0.03)
    totals = {name: start @ np.array(system.conserved[name]) for name in "CONH"}
    assert [*pop.elements_of(system)] == ["C", "O", "N", "H"]
    for name, proportion in (("O", 1.5), ("H", 5e3)):  # of the start, to carbon
        ratio = totals[name] / totals["C"] / proportion
        assert 1 / 9 < ratio.min() < 1 / 6 and 6 < ratio.max() < 9
        assert np.mean(abs(ratio - 1) < 1e-9) == pytest.approx(0.125, abs=0.03)
    ratio = totals["N"] / (totals["H"] + totals["O"])
    assert ratio.min() < 1e-3 and ratio.max() > 0.1
    carbon = start[:, [0, 2, 3]] / totals["C"][:, None]
    assert np.all(np.quantile(carbon, 0.95, axis=0) > 0.5) and np.all(np.quantile(carbon, 0.05, axis=0) < 1e-3)
    first, again, other = (pop.network(system, 20, seed, advance, (1e3, 1e9)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.any(first[0][:, :-1] == other[0][:, :-1])


@pytest.mark.parametrize("charged", ["none", "ions"])
def test_network_without_charge_or_electrons(charged, tmp_path):
    lines = NETWORK.split("\n")
    keep = [
        line
        for line in lines
        if not ('e-"' in line or "e- " in line or charged == "none" and ("C+" in line or "O-" in line))
    ]
    system = own("\n".join(keep), tmp_path)
    cells, _ = pop.draw("network", system, 200, 4, lambda cells, dt: None, (1e3, 1e9))
    assert ("charge" in system.conserved) == (charged == "ions") and np.all(cells > 0) and np.isfinite(cells).all()
    if charged == "ions":
        charge = np.array(system.conserved["charge"])
        assert np.all(abs(cells @ charge) <= 1e-14 * (cells @ abs(charge)))


def test_mixtures_have_the_least_relative_entropy():
    """Against SciPy, and none where there is none."""
    from scipy.optimize import minimize

    laws = np.array([[1.0, 0, 1, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, -1]])
    weights = 10.0 ** np.random.default_rng(0).uniform(-3, 0, (4, 5))
    totals = np.array([[1.0, 2, 0], [1.0, 0.01, 0], [0.01, 1.0, 0], [1.0, -1.0, 0]])
    mixtures, good = proportioned(weights, laws, totals)
    assert good.tolist() == [True, True, True, False]
    np.testing.assert_allclose(mixtures[:3] @ laws.T, totals[:3], rtol=1e-9, atol=1e-11)
    for w, total, mixture in zip(weights, totals[:3], mixtures):

        def entropy(x, w=w):
            return (np.exp(x) * (x - np.log(w) - 1)).sum()

        def gap(x, total=total):
            return laws @ np.exp(x) - total

        options = {"ftol": 1e-14, "maxiter": 500}
        found = minimize(entropy, np.log(mixture) + 0.05, constraints={"type": "eq", "fun": gap}, options=options)
        np.testing.assert_allclose(np.exp(found.x), mixture, rtol=1e-3, atol=1e-7)


def test_network_says_what_cannot_be(tmp_path):
    with pytest.raises(ValueError, match="'network' is not for robertson: choose box"):
        pop.draw("network", get_system("robertson"), 4, 0, None, (1, 2))
    text = NETWORK.replace("T: [10, 300]", "T: [1, 300]")
    with pytest.raises(ValueError, match="sample: T is of 1..300"):
        own(text, tmp_path)
    with pytest.raises(ValueError, match="sample has no 'n'; it may have density, T"):
        own(NETWORK.replace("density:", "n:"), tmp_path)
    fixed = """
temperature: {floor: 10.0, upper: 1.0e+4}
species: [{name: "X", charge: 0, A: 1, B: 1, mass: 1.0e-24}, {name: "Y", charge: 0, A: 101, B: 100, mass: 1.0e-22}]
reactions: [{id: R1, equation: "X + Y -> X + Y", rate: 1.0, ref: "toy"}]
"""
    with pytest.raises(ValueError, match="compositions drawn for own only . can be mixed of its species"):
        pop.draw("network", own(fixed, tmp_path), 5, 0, lambda cells, dt: None, (1, 2))
