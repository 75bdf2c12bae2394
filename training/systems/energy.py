"""Equations of the temperature: one function for each value of ``energy`` in a network's file."""

import sympy as sp

from .expressions import number
from .system import symbol


def constant(builder, photo, heat, metals):
    """dT/dt = 0: the temperature is the host's."""
    return sp.Integer(0)


def thermal(builder, photo, heat, metals):
    """dT/dt = (gamma - 1) (heating - cooling) / (k_B n_total), from the terms of a section ``thermal``."""
    builder.add_definitions(heat["definitions"])
    losses = (*heat["cooling"], *(heat["metals"][metals] if heat["metals"] is not None else ()))
    if photo == 0 and not heat["heating"] and not losses:
        return sp.Integer(0)
    what = "the section thermal"
    factor = (builder.constant("gamma", what) - 1) / builder.constant("k_boltzmann", what)
    total = builder.name("n_total", sp.Add(*(symbol(s) for s in builder.kept)))
    per_cell = builder.name("kelvin_per_erg", factor / total)
    terms = [(1, {"photo": photo}), *((1, term) for term in heat["heating"])]
    terms += [(-1, term) for term in losses]
    rhs = sp.Integer(0)
    for sign, term in terms:
        for name, text in term.items():
            power = text if isinstance(text, sp.Expr) else builder.rate(text, f"the thermal term {name}")
            if power != 0:
                rhs += sign * per_cell * builder.name(f"E_{name}", power)
    return rhs


def constant_volume(builder, photo, heat, metals):
    """Ideal gases in a rigid, closed vessel: sum of x_i cv_i dT/dt = -sum of u_i dx_i/dt."""
    return _adiabatic(builder, heat, number(1))


def constant_pressure(builder, photo, heat, metals):
    """Ideal gases at a given pressure: sum of x_i cp_i dT/dt = -sum of h_i dx_i/dt."""
    if builder.quantity != "mass-fraction" or "pressure" not in builder.net["parameters"]:
        raise ValueError(
            "constant-pressure is for quantity mass-fraction with a parameter 'pressure' [Pa]: the volume changes, and "
            "with it all concentrations"
        )
    return _adiabatic(builder, heat, sp.Integer(0))


def _adiabatic(builder, heat, work):
    """`work` in units of RT per mole: 1 where the volume is fixed, 0 where the gas expands."""
    if builder.quantity not in ("concentration", "mass-fraction"):
        raise ValueError(
            "constant-volume is for concentrations [kmol/m^3] and mass fractions: set quantity to one of them"
        )
    if any(heat[key] for key in ("heating", "cooling")):
        raise ValueError("heating and cooling belong to energy: thermal; a closed vessel has none")
    capacity, release = sp.Integer(0), sp.Integer(0)
    change = dict.fromkeys(builder.kept, sp.Integer(0))
    for reaction in builder.reactions:
        net = sp.Symbol(f"R_{reaction.id}", real=True)
        if reaction.reversible:
            net -= sp.Symbol(f"R_{reaction.id}_reverse", real=True)
        for s, c in reaction.net.items():
            change[s] += c * net
    for s, amount in builder.amounts.items():
        gas = builder.gas(s)
        capacity += amount * (gas.cp - work)
        if change[s] != 0:
            release -= (gas.h - work) * builder.name(f"w_{symbol(s).name}", change[s])
    capacity, release = builder.name("heat_capacity", capacity), builder.name("heat_release", release)
    return builder.name("warming", builder.basis.x * release / capacity)


#: by the value of ``energy``
ENERGIES = {
    "constant": constant,
    "thermal": thermal,
    "constant-volume": constant_volume,
    "constant-pressure": constant_pressure,
}
