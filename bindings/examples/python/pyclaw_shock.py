"""PyClaw as a host: gas runs into a wall, and the shock that comes back cools.

    python pyclaw_shock.py [cells] [kyr]

1-D Euler equations in cgs with nine species, whose number densities are rows of PyClaw's ``q``: ``step_source`` hands
views of these rows to the stepper, no species is copied.
"""

import sys

import numpy as np
from clawpack import pyclaw

import surrogate

GAMMA, K_B, KYR, PC = 5 / 3, 1.380648e-16, 3.15576e10, 3.0857e18  # [erg/K], [s], [cm]
MASS = {
    "e-": 9.10938188e-28,
    "H-": 1.67444345638e-24,
    "H": 1.67353251819e-24,
    "H+": 1.67262158e-24,
    "He": 6.69206503638e-24,
    "He+": 6.69115409819e-24,
    "He++": 6.69024316e-24,
    "H2": 3.34706503638e-24,
    "H2+": 3.34615409819e-24,
}
GAS = {
    "H": 0.9,
    "H+": 0.1,
    "H-": 1e-6,
    "H2": 1e-3,
    "H2+": 1e-6,
    "He": 0.10738,
    "He+": 1e-6,
    "He++": 1e-6,
    "e-": 0.100003,
}  # [cm^-3], neutral, 70 % H and 30 % He by mass
T_GAS, T_FLOOR, SPEED = 3000.0, 10.0, 6e6  # [K], [K], [cm/s]
RHO, MOMENTUM, ENERGY, SPECIES = 0, 1, 2, 3  # rows of q


def primitive(q):
    """Velocity and pressure of the columns of q."""
    velocity = q[MOMENTUM] / q[RHO]
    return velocity, (GAMMA - 1) * (q[ENERGY] - 0.5 * q[RHO] * velocity**2)


def hllc(q_l, q_r, _aux_l, _aux_r, _data):
    """HLLC as three waves (Toro 2009, 10.4); what is advected jumps across the contact alone."""
    (u_l, p_l), (u_r, p_r) = primitive(q_l), primitive(q_r)
    c_l, c_r = np.sqrt(GAMMA * p_l / q_l[RHO]), np.sqrt(GAMMA * p_r / q_r[RHO])
    s_l, s_r = np.minimum(u_l - c_l, u_r - c_r), np.maximum(u_l + c_l, u_r + c_r)
    flow_l, flow_r = q_l[RHO] * (s_l - u_l), q_r[RHO] * (s_r - u_r)
    s_m = (p_r - p_l + flow_l * u_l - flow_r * u_r) / (flow_l - flow_r)

    def star(q, u, p, s, flow):
        state = q * (s - u) / (s - s_m)
        state[MOMENTUM] = state[RHO] * s_m
        state[ENERGY] += state[RHO] * (s_m - u) * (s_m + p / flow)
        return state

    star_l, star_r = star(q_l, u_l, p_l, s_l, flow_l), star(q_r, u_r, p_r, s_r, flow_r)
    waves = np.stack([star_l - q_l, star_r - star_l, q_r - star_r], axis=1)
    speeds = np.stack([s_l, s_m, s_r])
    return waves, speeds, (np.minimum(speeds, 0) * waves).sum(axis=1), (np.maximum(speeds, 0) * waves).sum(axis=1)


def make_source(stepper, names, reports):
    """PyClaw's ``step_source``: chemistry and cooling over `dt`."""

    def step_source(_solver, state, dt):
        q = state.q
        velocity, pressure = primitive(q)
        temp = np.maximum(pressure / (K_B * q[SPECIES:].sum(axis=0)), T_FLOOR)
        reports.append(stepper.step(dict(zip(names, q[SPECIES:])) | {"T": temp}, dt))
        q[ENERGY] = K_B * temp * q[SPECIES:].sum(axis=0) / (GAMMA - 1) + 0.5 * q[RHO] * velocity**2

    return step_source


def run(n_cells=200, kyr=20.0, rtol=0.1, chemistry=True):
    """Run the shock; returns the final state of PyClaw and the reports of all steps."""
    model = surrogate.load("ism-molecular")
    names = [v.name for v in model.variables if v.name != "T"]
    solver = pyclaw.ClawSolver1D(hllc)
    solver.kernel_language, solver.num_eqn, solver.num_waves = "Python", SPECIES + len(names), 3
    solver.fwave, solver.order, solver.max_steps = False, 1, 100_000  # first order keeps densities positive
    solver.bc_lower[0], solver.bc_upper[0] = pyclaw.BC.wall, pyclaw.BC.extrap
    reports = []
    if chemistry:
        solver.step_source, solver.source_split = make_source(model.stepper(rtol=rtol), names, reports), 1

    domain = pyclaw.Domain(pyclaw.Dimension(0.0, 2 * PC, n_cells, name="x"))
    state = pyclaw.State(domain, solver.num_eqn)
    numbers = np.array([GAS[name] for name in names])
    rho = numbers @ [MASS[name] for name in names]
    state.q[SPECIES:] = numbers[:, None]
    state.q[RHO], state.q[MOMENTUM] = rho, -rho * SPEED
    state.q[ENERGY] = K_B * T_GAS * numbers.sum() / (GAMMA - 1) + 0.5 * rho * SPEED**2

    controller = pyclaw.Controller()
    controller.solution, controller.solver = pyclaw.Solution(state, domain), solver
    controller.tfinal, controller.num_output_times, controller.output_format = kyr * KYR, 1, None
    controller.verbosity = 0
    solver.dt_initial = 0.1 * state.grid.delta[0] / SPEED
    controller.run()
    return controller.solution.state, names, reports


def main(n_cells=200, kyr=20.0):
    """Run and print what the shock did, and what the chemistry cost."""
    state, names, reports = run(int(n_cells), float(kyr))
    velocity, pressure = primitive(state.q)
    temp = pressure / (K_B * state.q[SPECIES:].sum(axis=0))
    print(
        f"{len(reports)} steps; T {temp.min():.0f} to {temp.max():.0f} K, compression "
        f"{state.q[RHO].max() / state.q[RHO].min():.1f}"
    )
    cells = sum(r.n_cells for r in reports)
    print(
        f"chemistry {1e6 * sum(sum(r.seconds.values()) for r in reports) / cells:.2f} us/cell, net "
        f"{100 * sum(r.counts['net'] for r in reports) / cells:.1f} %, last step:\n{reports[-1]}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
