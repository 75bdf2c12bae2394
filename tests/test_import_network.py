"""Networks of KROME, UMIST, KIDA and KPP: each construct against its formula, and what is refused."""

import math
import re

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training.codegen import python_functions

from surrogate import cli

KROME = """
# rates of one of each kind
@common: user_crate, user_Av
@var: Hnuclei = get_Hnuclei(n(:))
@var: ncrit = 1d4*T32**(-.5)   ! where density matters
@ghost: C+
/* a block
1,H,E,,H+,E,E,,NONE,NONE,1d0
*/
1,H,E,,H+,E,E,,NONE,NONE,dexp(-32.7d0 + 1.5d0*lnTe)*invTe   ! ionisation
2,H+,E,,H,g,,,N,.LE.5.5e3,3.92d-13*invTe**0.6353
3,H+,E,,H,g,,,>5.5e3,,1.d-12*(Tgas/1d4)**-0.7
4,H,H,,H2,,,,10,1e4,3d-17*sqrTgas
@noTabNext
@format:idx,R,R,P,P,P,rate
5,H2,H2,H2,H,H,min(Hnuclei, sum(n(1:nmols)))*1d-30/(1d0 + n(idx_Hj)/ncrit)
6,H2,{He},H2,He+,E,if(Tgas.GE.1d3 .and. Tgas<2d3):1d-10
7,H2,,H,H,,merge(1d-11, 2d-11, Tgas < 500.)
@CR_start
@format:R,P,P,k
H,H+,E,0.46*user_crate*exp(-2.5*user_av)
@CR_stop
@photo_start
H2,H,H,2.3d-18*(energy_eV/15.4)**-3
@photo_stop
"""
UMIST = """
1:CR:C:CRPHOT:C+:e-:::1:1.3e-17:0.5:510.0:10:41000:L:C:"a:b":note
2:RR:C+:e-:C:PHOTON:::2:4.5e-12:-0.7:-5.0:10:300:M:A:ref:::4.0e-12:-0.6:0.0:300:41000:M:A::
3:PH:C:PHOTON:C+:e-:::1:3.1e-10:0.0:3.3:10:41000:L:A::
4:CP:He:CRP:He+:e-:::1:6.5e-18:0.0:0.0:10:41000:L:A::
5:CE:He+:C:C+:He:::1:6.3e-15:0.75::10:41000:L:A::
"""


def _kida(reactants, products, numbers):
    text = "".join(x.ljust(11) for x in (*reactants, *[""] * (3 - len(reactants)))) + " "
    return text + "".join(x.ljust(11) for x in (*products, *[""] * (5 - len(products)))) + f" {numbers}"


KIDA = "\n".join(
    [
        "! formulas 1 to 5",
        _kida(["H2", "CR"], ["H2+", "e-"], "9.3e-01 0 0 2.0 0.0 logn 1 -9999 9999 1 1 1 1"),
        _kida(["H2+", "H2"], ["H3+", "H"], "2.08e-09 0.5 100.0 2.0 0.0 logn 4 10 280 3 2 1 2"),
        _kida(["H2+", "H2"], ["H3+", "H"], "2.0e-09 1.0 3.0 2.0 0.0 logn 4 300 800 4 2 2 3"),
        _kida(["H3+", "e-"], ["H2", "H"], "2.0e-09 0.7 3.0 2.0 0.0 logn 4 10 800 5 3 1 3"),
        _kida(["H2", "Photon"], ["H", "H"], "3.4e-11 0 2.5 2.0 0.0 logn 3 -9999 9999 2 4 1 3"),
        _kida(["H3+", "e-"], ["H", "H", "H"], "9.9e-09 0 0 2.0 0.0 logn 4 10 800 3 5 1 0"),
    ]
)
KPP = """
#INCLUDE atoms
#LANGUAGE Fortran90
#DEFVAR
O = O; {an atom} O3 = 3O;
NO = N + O; NO2 = N + 2O; OP = IGNORE;
#DEFFIX
O2 = 2O;
#INITVALUES
CFACTOR = 2.5d13;
O3 = 1d-2; O2 = 2.1e5; ALL_SPEC = 0.;
#EQUATIONS {small}
<R1> O2 + hv = 2O : 2.6e-10*SUN**3;
<R2> O + O2 = O3 : ARR_ac(6.0d-34, -2.3)*2.5d19;
// nothing here
<R3> O3 + NO = NO2 + .75 OP - 0.1 O
   + PROD : ARR_ab(1.8e-12, 1370.0);
<R4> NO2 + hv = NO + O : J(4);
<R5> NO2 + O = 0.61NO + O3 : FALL(9.0e-32, 10.0, -1.5, 3.0e-11, 20.0, 0.5, 0.6);
<R6> O + 2 NO = NO2 + NO : GCARR_abc(1e-20, 1.5, -200.0) + k9;
<R7> OP = O : EP2(2.4e-14, -460.0, 2.7e-17, -2199.0, 6.5e-34, -1335.0) + ARR(1e-3, 200.0, 0.5);
#INLINE F90_RCONST
k9 = EP3(1.0e-30, 100.0, 1e-40, 50.0) ! both
#ENDINLINE
"""
OPTIONS = {
    "krome": ["--param", "user_crate=2e-17", "--param", "user_Av=0.5"],
    "umist": [],
    "kida": [],
    "kpp": ["--param", "SUN=0.8", "--param", "J_4=1e-2"],
}
FILES = {"krome": KROME, "umist": UMIST, "kida": KIDA, "kpp": KPP}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def imported(place, kind, text=None, options=None):
    (place / "net").write_text(FILES[kind] if text is None else text)
    words = ["import", kind, "net", *(OPTIONS[kind] if options is None else options), "--out", "mine.yaml"]
    return cli.main(words)


def check(system, rates, temperature, seed=1):
    """`rates`: (change by species, rate as a function of densities, T and parameters) of every reaction."""
    rng = np.random.default_rng(seed)
    n = dict(zip(system.names[:-1], 10.0 ** rng.uniform(-2, 3, len(system.names) - 1)))
    p = {parameter.name: 0.3 * (parameter.value or 1.0) for parameter in system.parameters}
    expected = dict.fromkeys(n, 0.0)
    for change, rate in rates:
        for name, c in change.items():
            expected[name] += c * rate(n, temperature, p)
    (rhs,) = python_functions(system, ("rhs",))
    f = rhs(0.0, np.array([*n.values(), temperature]), np.array([*p.values()]))
    np.testing.assert_allclose(f[:-1], [*expected.values()], rtol=1e-11, atol=1e-300)
    assert f[-1] == 0


def te(t):
    return t * 8.617343e-5


def collisional(n, t, p):
    few = min(n["H"] + n["H+"] + 2 * n["H2"], sum(n.values()))
    return few * 1e-30 / (1 + n["H+"] / (1e4 * (t / 300) ** -0.5)) * n["H2"] ** 2


@pytest.mark.parametrize("temperature", [5.0, 300.0, 1500.0, 8000.0, 3e4])
def test_rates_of_krome(temperature, place):
    """Variables, limits and their operators, conditions, what is consumed and not in the rate, densities in rates."""
    assert imported(place, "krome") == 0
    system = get_system("mine.yaml")
    assert system.names == ("C+", "H", "E", "H+", "H2", "HE", "HE+", "T")
    slow = 3.92e-13 * te(temperature) ** -0.6353
    rates = [
        ({"H": -1, "H+": 1, "E": 1}, lambda n, t, p: math.exp(-32.7) * te(t) ** 0.5 * n["H"] * n["E"]),
        (
            {"H+": -1, "E": -1, "H": 1},
            lambda n, t, p: (slow if t <= 5500 else 1e-12 * (t / 1e4) ** -0.7) * n["H+"] * n["E"],
        ),
        ({"H": -2, "H2": 1}, lambda n, t, p: 3e-17 * math.sqrt(t) * n["H"] ** 2 if 10 <= t < 1e4 else 0.0),
        ({"H2": -1, "H": 2}, collisional),
        ({"HE": -1, "HE+": 1, "E": 1}, lambda n, t, p: 1e-10 * n["H2"] if 1e3 <= t < 2e3 else 0.0),
        ({"H2": -1, "H": 2}, lambda n, t, p: (1e-11 if t < 500 else 2e-11) * n["H2"]),
        ({"H": -1, "H+": 1, "E": 1}, lambda n, t, p: 0.46 * p["user_crate"] * math.exp(-2.5 * p["user_av"]) * n["H"]),
        ({"H2": -1, "H": 2}, lambda n, t, p: p["photo_R9"] * n["H2"]),
    ]
    check(system, rates, temperature)


@pytest.mark.parametrize("temperature", [5.0, 200.0, 3000.0, 1e5])
def test_rates_of_umist(temperature, place):
    """T is held within the range of a fit, and the ranges of a reaction follow each other."""
    assert imported(place, "umist") == 0
    clamp, c, e = min(max(temperature, 10), 41000), "C", "e-"
    low = min(max(temperature, 10), 300)
    recombination = (
        4.5e-12 * (low / 300) ** -0.7 * math.exp(5 / low) if temperature < 300 else 4e-12 * (clamp / 300) ** -0.6
    )
    rates = [
        (
            {c: -1, "C+": 1, e: 1},
            lambda n, t, p: 1.3e-17 * (clamp / 300) ** 0.5 * 510 / (1 - p["omega"]) * p["zeta"] / 1.3e-17 * n[c],
        ),
        ({c: 1, "C+": -1, e: -1}, lambda n, t, p: recombination * n["C+"] * n[e]),
        ({c: -1, "C+": 1, e: 1}, lambda n, t, p: 3.1e-10 * p["G0"] * math.exp(-3.3 * p["Av"]) * n[c]),
        ({"He": -1, "He+": 1, e: 1}, lambda n, t, p: 6.5e-18 * p["zeta"] / 1.3e-17 * n["He"]),
        ({"He+": -1, "He": 1, c: -1, "C+": 1}, lambda n, t, p: 6.3e-15 * (clamp / 300) ** 0.75 * n["He+"] * n[c]),
    ]
    system = get_system("mine.yaml")
    check(system, rates, temperature)
    assert [*system.conserved][:3] == ["C", "He", "charge"]  # and T


@pytest.mark.parametrize("temperature", [5.0, 285.0, 295.0, 3000.0])
def test_rates_of_kida(temperature, place):
    """Between two ranges each takes half of the gap; a rate of recommendation 0 is not used."""
    assert imported(place, "kida") == 0
    low, high, wide = min(max(temperature, 10), 280), min(max(temperature, 300), 800), min(max(temperature, 10), 800)
    if temperature < 290:
        exchange = 2.08e-9 * (low / 300) ** 0.5 * math.exp(-100 / low)
    else:
        exchange = 2e-9 * (0.62 + 0.4767 * 3 * (300 / high) ** 0.5)
    dissociation = 2e-9 * 0.7 * (1 + 0.0967 * 3 * (300 / wide) ** 0.5 + 9 / 10.526 * 300 / wide)
    rates = [
        ({"H2": -1, "H2+": 1, "e-": 1}, lambda n, t, p: 0.93 * p["zeta"] * n["H2"]),
        ({"H2": -1, "H2+": -1, "H3+": 1, "H": 1}, lambda n, t, p: exchange * n["H2"] * n["H2+"]),
        ({"H3+": -1, "e-": -1, "H2": 1, "H": 1}, lambda n, t, p: dissociation * n["H3+"] * n["e-"]),
        ({"H2": -1, "H": 2}, lambda n, t, p: 3.4e-11 * p["G0"] * math.exp(-2.5 * p["Av"]) * n["H2"]),
    ]
    check(get_system("mine.yaml"), rates, temperature)


def test_tables_may_be_cut_to_species_and_elements(place):
    assert imported(place, "umist", options=["--species", "He", "He+", "e-"]) == 0
    assert get_system("mine.yaml").names == ("He", "He+", "e-", "T")
    assert imported(place, "umist", options=["--elements", "C"]) == 0
    assert get_system("mine.yaml").names == ("C", "C+", "e-", "T")


@pytest.mark.parametrize("temperature", [220.0, 298.0])
def test_rates_of_kpp(temperature, place):
    """Coefficients glued to names, negative products, fixed species, what the host sets, and the functions of rates."""
    assert imported(place, "kpp") == 0
    system, air, warm = get_system("mine.yaml"), 2.5e19, temperature / 300
    k0 = 9e-32 * math.exp(-10 / temperature) * warm**-1.5 * air
    kinf = 3e-11 * math.exp(-20 / temperature) * warm**0.5
    fall = k0 / (1 + k0 / kinf) * 0.6 ** (1 / (1 + math.log10(k0 / kinf) ** 2))
    k9 = 1e-30 * math.exp(-100 / temperature) + 1e-40 * math.exp(-50 / temperature) * air
    gc = 1e-20 * math.exp(-200 / temperature) * warm**-1.5
    one, two, three = (a * math.exp(-c / temperature) for a, c in ((2.4e-14, -460), (2.7e-17, -2199), (6.5e-34, -1335)))
    ep2 = one + three * air / (1 + three * air / two)
    rates = [
        ({"O": 2}, lambda n, t, p: 2.6e-10 * p["sun"] ** 3 * p["O2"]),
        ({"O": -1, "O3": 1}, lambda n, t, p: 6e-34 * warm**-2.3 * 2.5e19 * p["O2"] * n["O"]),
        (
            {"O3": -1, "NO": -1, "NO2": 1, "OP": 0.75, "O": -0.1},
            lambda n, t, p: 1.8e-12 * math.exp(-1370 / t) * n["O3"] * n["NO"],
        ),
        ({"NO2": -1, "NO": 1, "O": 1}, lambda n, t, p: p["j_4"] * n["NO2"]),
        ({"NO2": -1, "O": -1, "NO": 0.61, "O3": 1}, lambda n, t, p: fall * n["NO2"] * n["O"]),
        ({"O": -1, "NO": -1, "NO2": 1}, lambda n, t, p: (gc + k9) * n["O"] * n["NO"] ** 2),
        ({"OP": -1, "O": 1}, lambda n, t, p: (ep2 + 1e-3 * math.exp(-200 / t) * warm**0.5) * n["OP"]),
    ]  # fmt: skip
    check(system, rates, temperature)
    assert system.initial[system.names.index("O3")] == pytest.approx(2.5e11)
    assert {p.name: p.value for p in system.parameters}["O2"] == pytest.approx(2.1e5 * 2.5e13)


BROKEN = {
    "krome": [
        ("@ice: CO,freezeout,1d0", "line 3.*the directive @ice is not read: '@ice: CO"),
        ("@var: x = 2/3*Tgas", "Fortran divides the whole numbers 2 / 3"),
        ("@var: x = 10**(-3)*Tgas", r"10 \*\* \(-3\) is 0"),
        ("@var: x = Tgas**-2*3d0", "compilers differ, write brackets"),
        ("@var: x = 1d0\n@var: x = 2d0", "line 4.*x is defined twice"),
        ("@var: x(3) = 1d0", "without an index"),
        ("@common: user_x\n1,H,E,,H+,E,E,,,,user_x", "line 3.*give one with --param user_x=VALUE"),
        ("1,H,E,,H+,E,E,,,,fselfH2(1d0)*1d-9", "line 3.*'fselfh2' is neither a variable of the file nor a function"),
        ("1,H,E,,H+,E,E,,,,k(5)*2d0", "depends on KROME's order"),
        ("1,H,E,,H+,E,E,,,,merge(1d0,2d0)", "merge takes two values and a condition"),
        ("1,H,E,,H+,E,E,,,,if(Tgas<1d0.or.Tgas>2d0):1d0", "line 3"),
        ("1,H,E,H+,E", "line 3, 5 columns|line 3: 5 columns"),
        ("1,H,Q,,H+,E,E,,,,1d0", "line 3: the atoms of 'Q' cannot be read"),
        ("1,H,E,,H+,E,,,,,1d0", "reaction R1 changes charge from -1 to 0"),
        ("@format:idx,R,P,qeff,rate", "columns qeff are not read"),
    ],
    "umist": [
        ("1:NN:H:CRP", "line 3: 4 fields, 14 and more"),
        ("1:NN:H:CRP:H+:e-:::2:1e-17:0:0:10:41000:L:A::", "line 3: 1 ranges .* not 2"),
        ("1:NN:Qx:CRP:H+:e-:::1:1e-17:0:0:10:41000:L:A::", "line 3|the atoms of 'Qx'"),
    ],
    "kida": [
        (_kida(["H", "CR"], ["H+", "e-"], "1.0 0 0 2 0 logn 1 -9999 9999 10 1 1 1"), "line 3: formula 10 is not read"),
        (_kida(["H", "CR"], ["H+", "e-"], "1.0 0"), "line 3: names in columns of 11 characters"),
    ],
    "kpp": [
        ("#FAMILIES\nx: y;", "line 3: the directive #families is not read"),
        ("#EQUATIONS\nA = B : 1d0;", "line 4: A is neither in #DEFVAR nor in #DEFFIX"),
        ("#DEFVAR\nA = IGNORE;\n#EQUATIONS\nA = 2A : K31(1.0);", "line 6: the function k31 is not read"),
        ("#DEFVAR\nA = IGNORE;\n#EQUATIONS\nA = 2A : SUN;", "line 6: the host sets sun.*--param sun=VALUE"),
        ("#DEFVAR\nA = IGNORE;\n#EQUATIONS\nA = 2A", "line 6: this is never ended by ;"),
        ("#DEFVAR\nA = IGNORE;\n#EQUATIONS\nA = 2A : ARR_ab(1.0);", "arr_ab takes 2 arguments, not 1"),
        ("#INLINE F90_RATES\nREAL FUNCTION F(X)\n#ENDINLINE", "line 4: code in #INLINE F90_RATES is not read"),
        ("#INCLUDE nowhere.eqn", "line 3: there is no file nowhere.eqn"),
    ],
}


@pytest.mark.parametrize(("kind", "text", "message"), [(k, *row) for k, rows in BROKEN.items() for row in rows])
def test_what_cannot_be_expressed_is_refused_with_its_line(kind, text, message, place, capsys):
    comment = {"krome": "#", "umist": "#", "kida": "!", "kpp": "//"}[kind]
    assert imported(place, kind, f"{comment} broken\n{comment}\n{text}\n", []) == 1
    said = capsys.readouterr().err
    assert re.search(message, said) and said.count("\n") == 1, said
