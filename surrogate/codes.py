"""Codes of the engine as enumerations; written by bindings/generate.py, do not edit."""

from enum import IntEnum


class ReturnCode(IntEnum):
    """What a function of the engine returns: below 0 nothing was done."""

    OK = 0
    FLAGGED = 1  #: status 33 and above: left as it was
    E_ARG = -1  #: NULL, negative count, value out of range
    E_ABI = -2
    E_IO = -3
    E_FORMAT = -4  #: or a damaged one
    E_CHECKSUM = -5  #: the stored test vectors are not reproduced
    E_NOMEM = -6
    E_FIELD = -7
    E_UNITS = -8  #: between the host's and the model's
    E_STATE = -9
    E_CELLS = -10  #: "on_failure" is "error"
    E_MPI = -11
    E_BUSY = -12
    E_UNSUPPORTED = -13  #: by this machine, build or model


class Status(IntEnum):
    """Status of a cell: below 32 it holds a valid state at the end of the step, else it was left as it was."""

    NET = 0  #: net, accepted
    OUTSIDE = 1  #: solver: outside the trained domain
    ERROR = 2  #: solver: predicted error above rtol
    AUDIT = 3  #: solver: drawn for the audit
    SOLVER = 4  #: solver: cheaper here than the net, or the model has none
    MASKED = 32  #: the host's mask said so
    BAD_INPUT = 33  #: non-finite, negative or absurd input
    FAILED = 34  #: the solver too: "max_solver_steps", or no step is short enough
    QUEUED = 35  #: waits for surr_flush, which gives it its status
    STALLED = 36  #: the solver made no progress, long before "max_solver_steps"


class Quantity(IntEnum):
    """What a field of a host holds."""

    NUMBER_DENSITY = 1  #: n_i (KROME)
    MASS_DENSITY = 2  #: rho X_i (Grackle, Quokka, AMReX)
    MASS_FRACTION = 3  #: X_i (Phantom, Castro)
    PER_H = 4  #: n_i / n_H (Athena++ r)
    PER_H_TIMES_RHO = 5  #: rho n_i / n_H (Athena++ s)
    TEMPERATURE = 10  #: T [K] (KROME)
    T_OVER_MU = 11  #: T / mu [K] (RAMSES T2)
    EINT_MASS = 12  #: u (Grackle, Phantom, GIZMO)
    EINT_VOLUME = 13  #: rho u (Athena++, AMReX, pyro)
    STATE = 15
    DENSITY = 20  #: rho; without it rho = sum of m_i n_i
    NH = 21  #: hydrogen nuclei per volume; without it from rho
    PARAM = 30  #: a model parameter by name, in the model's own unit
    DT = 31  #: time step of each cell: overrides the dt argument
    MASK = 32  #: not zero: leave this cell alone
    MAX_STEP = 34  #: longest step of the solver here: overrides "max_step"
    COST = 33  #: step attempts of the solver, 0 where it did nothing


class Stat(IntEnum):
    """What a call counts."""

    CELLS = 0
    NET = 1  #: of SURR_CELL_NET, and so on
    OUTSIDE = 2
    ERROR = 3
    AUDIT = 4
    SOLVER = 5
    UNTOUCHED = 6  #: of status 32 and above
    STEPS = 7  #: step attempts of the solver, all cells together


class Phase(IntEnum):
    """Phases of a call whose seconds are told."""

    GATHER = 0  #: read, convert and check
    NET = 1
    SOLVER = 2
    SCATTER = 3  #: convert and write


#: status of a cell in words
STATUS_WORDS = {
    0: "net",
    1: "outside",
    2: "error",
    3: "audit",
    4: "solver",
    32: "masked",
    33: "bad input",
    34: "failed",
    35: "queued",
    36: "stalled",
}
#: phases of a call, in their order
PHASES = ("gather", "net", "solver", "scatter")
