"""Networks of nuclei imported from REACLIB have the rates of pynucastro's own network."""

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training.codegen import python_functions

from surrogate import cli

pytestmark = pytest.mark.slow  # reads REACLIB


@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_cno_and_triple_alpha_are_those_of_pynucastro(tmp_path, capsys, monkeypatch):
    """Weak rates, several reactants of a kind, inverse rates: dY/dt to 1e-10 of what cancels."""
    pyna = pytest.importorskip("pynucastro", reason="needs pynucastro: pip install 'stiff-surrogate[nuclear]'")
    library = pyna.ReacLibLibrary()
    monkeypatch.setattr(pyna, "ReacLibLibrary", lambda: library)  # read once
    names = "p he4 c12 c13 n13 n14 n15 o14 o15 o16".split()
    assert cli.main(["import", "nuclear", *names, "--out", str(tmp_path / "cno.yaml")]) == 0
    system = get_system(str(tmp_path / "cno.yaml"))
    assert {*system.names} == {*names, "T"} and [*system.conserved][:1] == ["A"]
    net = pyna.PythonNetwork(libraries=[library.linking_nuclei(names)])
    rhs, gross = python_functions(system, ("rhs", "gross"))
    rng = np.random.default_rng(1)
    for _ in range(10):
        composition = pyna.Composition(net.unique_nuclei)
        composition.set_array(rng.random(len(names)))
        composition.normalize()
        rho, t = 10 ** rng.uniform(0, 7), 10 ** rng.uniform(7.3, 9.6)
        expected = {n.raw: v for n, v in net.evaluate_ydots(rho, t, composition).items()}
        amounts = {n.raw: y for n, y in composition.get_molar().items()}
        y = np.array([*(amounts[name] for name in system.names[:-1]), t])
        f, scale = rhs(0.0, y, np.array([rho])), gross(0.0, y, np.array([rho]))
        theirs = np.array([expected[name] for name in system.names[:-1]])
        assert (abs(f[:-1] - theirs) <= 1e-10 * scale[:-1]).all()
    assert cli.main(["import", "nuclear", "p", "unobtainium", "--out", str(tmp_path / "no.yaml")]) == 1
    assert "pynucastro cannot link p unobtainium" in capsys.readouterr().err
