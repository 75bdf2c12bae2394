"""Networks of nuclei from REACLIB (Cyburt et al. 2010), as pynucastro selects them. Needs the extra ``nuclear``.

Variables are Y = X/A [mol/g]; the density [g/cm^3] is a parameter and the temperature is given. No screening; inverse
rates are those of the library, without partition functions beyond those of its fits.
"""

from typing import Any

FORMAT = "nuclear"
HELP = "the REACLIB rates that link some nuclei"


def add_options(parser: Any) -> None:
    """Options of ``surrogate import nuclear``."""
    parser.add_argument("nuclei", nargs="+", metavar="NUCLEUS", help="such as p he4 c12 n13")


def convert(options: Any) -> tuple[dict[str, Any], str]:
    """The network that links some nuclei, in the form of our own files, and a head for its file.

    Raises
    ------
    ValueError
        If a nucleus is unknown, nothing links them, or a rate is no sum of REACLIB's sets.
    """
    import pynucastro

    library = pynucastro.ReacLibLibrary()
    try:
        net = pynucastro.PythonNetwork(libraries=[library.linking_nuclei(options.nuclei)])
    except Exception as error:  # what its classes raise for unknown nuclei and duplicate rates is of many kinds
        reason = str(error) or type(error).__name__
        raise ValueError(f"pynucastro cannot link {' '.join(options.nuclei)}: {reason}") from error
    rates = sorted(net.get_rates(), key=lambda rate: rate.fname)
    if not rates:
        raise ValueError(f"no rate of REACLIB links {' '.join(options.nuclei)}")
    weak = any(rate.weak for rate in rates)
    nuclei = list(net.unique_nuclei)
    captures = any(_is_capture(rate) for rate in rates)
    network = {
        "quantity": "mole-per-mass",
        "temperature": {"floor": 1e6, "upper": 1e10, "lower": 1e6, "sample": [1e7, 5e9], "initial": 1e8},
        "species": [{"name": n.raw, "A": n.A, **({} if weak else {"Z": n.Z}), "mass": float(n.A)} for n in nuclei],
        "parameters": {"density": {"value": 1e3, "unit": "g/cm^3", "lower": 0.0, "upper": 1e12}},
        "definitions": [{"Y_e": " + ".join(f"{n.Z}*n_{n.raw}" for n in nuclei if n.Z)}] if captures else [],
        "reactions": [_reaction(rate) for rate in rates],
    }
    head = (
        f"Rates of REACLIB, by pynucastro {pynucastro.__version__}. Variables Y = X/A [mol/g] at the T that you "
        "give; no screening."
    )
    return network, head


def _is_capture(rate):
    return bool(rate.weak) and getattr(rate, "weak_type", "") == "electron_capture"


def _reaction(rate):
    if not hasattr(rate, "sets"):
        raise ValueError(f"{rate.fname} is a {type(rate).__name__}: rates that are sums of REACLIB's sets are read")
    sets = [f"reaclib({', '.join(repr(float(a)) for a in one.a)})" for one in rate.sets]
    text = sets[0] if len(sets) == 1 else f"({' + '.join(sets)})"
    if rate.prefactor != 1:
        text = f"{float(rate.prefactor)!r}*{text}"
    if rate.dens_exp:
        text += "*density" + (f"**{rate.dens_exp}" if rate.dens_exp != 1 else "")
    if _is_capture(rate):
        text += "*Y_e"
    sides = (" + ".join(n.raw for n in side) for side in (rate.reactants, rate.products))
    return {"id": rate.fname, "equation": " -> ".join(sides), "rate": text}
