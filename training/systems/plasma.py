"""Effective degrees of freedom of the Standard-Model plasma, for the expansion of the early universe.

Entropy density s = (2 pi^2/45) h(T) T^3 and energy density rho = (pi^2/30) g(T) T^4 of

* leptons, photons, weak bosons and the Higgs boson: ideal gases, with masses that follow the Higgs condensate;
* quarks and gluons above the QCD transition: ideal gases of quasi-particles with their asymptotic thermal masses,
  whose entropy is that of QCD to leading order and beyond (Blaizot, Iancu & Rebhan 1999, PRL 83, 2906);
* hadrons below it: an ideal gas of the known mesons and baryons up to 1.7 GeV (hadron resonance gas);
* between the two, from 120 to 450 MeV: lattice QCD, by the published fit of HotQCD;
* neutrinos: coupled, and below 1 MeV cooler as the entropy of e+ e- goes to the photons alone.

Entropies are blended; pressure and energy of QCD follow by integration, so that its thermodynamics is consistent.
Masses: Particle Data Group 2022 [GeV].
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

#: temperatures of the tables, ln(T/GeV)
LN_T = np.arange(-560, 561) / 40
#: where lattice QCD takes over from the hadron gas, and quasi-particles from it [GeV]; half width of both in ln T
LATTICE_T, QUARKS_T, SWITCH_WIDTH = 0.12, 0.45, 0.12
#: temperature of the electroweak crossover (D'Onofrio & Rummukainen 2016, PRD 93, 025003) [GeV]
HIGGS_T = 159.5

BOSON, FERMION = -1, 1
#: (mass [GeV], degrees of freedom, statistics)
CHARGED_LEPTONS = ((0.51099895e-3, 4, FERMION), (0.1056584, 4, FERMION), (1.77686, 4, FERMION))
WEAK_BOSONS = ((80.377, 6, BOSON), (91.1876, 3, BOSON), (125.25, 1, BOSON))
QUARKS = (2.2e-3, 4.7e-3, 0.0934, 1.27, 4.18, 172.7)
MESONS = (
    (0.13957, 2),
    (0.13498, 1),
    (0.49368, 2),
    (0.49761, 2),
    (0.54786, 1),
    (0.6, 1),
    (0.7753, 9),
    (0.7827, 3),
    (0.8917, 6),
    (0.8956, 6),
    (0.9578, 1),
    (0.990, 1),
    (0.980, 3),
    (1.0195, 3),
    (1.166, 3),
    (1.230, 9),
    (1.230, 9),
    (1.253, 12),
    (1.275, 5),
    (1.2818, 3),
    (1.294, 1),
    (1.30, 3),
    (1.318, 15),
    (1.403, 12),
    (1.414, 12),
    (1.427, 20),
    (1.425, 4),
    (1.409, 1),
    (1.4261, 3),
    (1.410, 3),
    (1.465, 9),
    (1.474, 3),
    (1.476, 1),
    (1.506, 1),
    (1.5174, 5),
    (1.67, 3),
    (1.667, 7),
    (1.6888, 21),
    (1.6706, 15),
    (1.72, 9),
    (1.68, 3),
    (1.72, 12),
    (1.718, 12),
)
#: with antiparticles
BARYONS = (
    (0.93827, 4),
    (0.93957, 4),
    (1.11568, 4),
    (1.18937, 4),
    (1.19264, 4),
    (1.19745, 4),
    (1.31486, 4),
    (1.32171, 4),
    (1.232, 32),
    (1.3837, 24),
    (1.4051, 4),
    (1.44, 8),
    (1.515, 16),
    (1.5195, 8),
    (1.5318, 16),
    (1.53, 8),
    (1.57, 32),
    (1.61, 16),
    (1.60, 4),
    (1.63, 12),
    (1.65, 8),
    (1.66, 12),
    (1.67, 4),
    (1.67, 24),
    (1.672, 8),
    (1.685, 24),
    (1.675, 24),
    (1.69, 8),
    (1.69, 16),
    (1.71, 32),
)

_P, _W = np.polynomial.laguerre.laggauss(96)
_W = np.exp(np.log(np.maximum(_W, 1e-300)) + _P)


@dataclass(frozen=True)
class DegreesOfFreedom:
    """Tables over ``ln_t`` = ln(T/GeV): ndarrays of shape (n,).

    Attributes
    ----------
    h, g : ndarray
        Of the entropy and of the energy.
    sqrt_g : ndarray
        h/sqrt(g) (1 + dln h/dln T / 3): what the rate of a freeze-out is proportional to.
    """

    ln_t: np.ndarray
    h: np.ndarray
    g: np.ndarray
    sqrt_g: np.ndarray


def ideal_gas(u, statistics):
    """h and g of one degree of freedom of mass u = m/T, in units of a massless boson; arrays of the shape of `u`."""
    p, u = _P, np.asarray(u, float)[..., None]
    energy = np.sqrt(p**2 + u**2)
    occupation = _W / (np.exp(np.minimum(energy, 700.0)) + statistics)
    rho = 15 / np.pi**4 * (p**2 * energy * occupation).sum(-1)
    pressure = 15 / np.pi**4 * (p**4 / (3 * energy) * occupation).sum(-1)
    return 0.75 * (rho + pressure), rho


def _sum(t, particles, scale=1.0):
    h, g = np.zeros_like(t), np.zeros_like(t)
    for mass, dof, statistics in particles:
        one = ideal_gas(mass * scale / t, statistics)
        h, g = h + dof * one[0], g + dof * one[1]
    return h, g


def strong_coupling(mu):
    """alpha_s at `mu` [GeV]: two loops, five flavours, 0.1179 at 91.19 GeV, bounded where it would diverge."""
    b0, b1 = (33 - 10) / (12 * np.pi), (153 - 95) / (24 * np.pi**2)
    log = 2 * np.log(np.maximum(mu, 1.0) / 91.1876)
    leading = 1 + b0 * 0.1179 * log
    return 0.1179 / (leading + b1 / b0 * 0.1179 * np.log(leading))


def thermal_coupling(t):
    """g^2 of QCD at the scale 2 pi T."""
    return 4 * np.pi * strong_coupling(2 * np.pi * t)


def quark_gluon_plasma(t, condensate):
    """h of quarks and gluons as quasi-particles: m_g^2 = g^2 T^2 (3 + N_f/2)/6, m_q^2 = m^2 + g^2 T^2/3."""
    coupling = thermal_coupling(t)
    flavours = sum(1 / (1 + (mass / (np.pi * t)) ** 2) for mass in QUARKS)
    h = 16 * ideal_gas(np.sqrt(coupling * (3 + flavours / 2) / 6), BOSON)[0]
    for mass in QUARKS:
        h = h + 12 * ideal_gas(np.sqrt((mass * condensate / t) ** 2 + coupling / 3), FERMION)[0]
    return h


def lattice(t):
    """h of QCD about its transition: pressure of 2+1 flavours by HotQCD 2014 (PRD 90, 094503, eq. 16), and charm."""

    def pressure(x):  # over T^4, x = T / 154 MeV
        numerator = 95 * np.pi**2 / 180 - 8.7704 / x + 3.9200 / x**2 + 0.3419 / x**4
        denominator = 1 - 1.2600 / x + 0.8425 / x**2 - 0.0475 / x**4
        return 0.5 * (1 + np.tanh(3.8706 * (x - 0.9761))) * numerator / denominator

    x, step = t / 0.154, 1e-4
    slope = (pressure(x * (1 + step)) - pressure(x * (1 - step))) / (2 * step)
    charm = 12 * ideal_gas(np.sqrt((QUARKS[3] / t) ** 2 + thermal_coupling(t) / 3), FERMION)[0]
    return 45 / (2 * np.pi**2) * (4 * pressure(x) + slope) + charm


@lru_cache(maxsize=1)
def degrees_of_freedom():
    """Tabulate h, g and sqrt_g at the temperatures `LN_T`.

    Returns
    -------
    DegreesOfFreedom
    """
    ln_t, t = LN_T, np.exp(LN_T)
    condensate = np.sqrt(np.maximum(1 - (t / HIGGS_T) ** 2, 0.0))
    h_e, g_e = _sum(t, CHARGED_LEPTONS[:1])
    cooler = ((2 + h_e) / 5.5) ** (1 / 3)  # T_nu/T: the entropy of photons, e+ and e- apart from theirs
    h = 2 + h_e + 5.25 * cooler**3
    g = 2 + g_e + 5.25 * cooler**4
    for particles, scale in ((CHARGED_LEPTONS[1:], 1.0), (WEAK_BOSONS, condensate)):
        extra = _sum(t, particles, scale)
        h, g = h + extra[0], g + extra[1]
    hadrons = [(m, d, BOSON) for m, d in MESONS] + [(m, d, FERMION) for m, d in BARYONS]
    hot = _switch(ln_t, QUARKS_T)
    h_qcd = hot * quark_gluon_plasma(t, condensate)
    cold = _switch(ln_t, LATTICE_T)
    h_qcd += (1 - hot) * (cold * lattice(np.clip(t, 0.08, 1.0)) + (1 - cold) * _sum(np.minimum(t, 1.0), hadrons)[0])
    h, g = h + h_qcd, g + _energy(ln_t, h_qcd)
    slope = np.gradient(np.log(h), ln_t, edge_order=2)
    return DegreesOfFreedom(ln_t, h, g, h / np.sqrt(g) * (1 + slope / 3))


def _switch(ln_t, where):
    return 0.5 * (1 + np.tanh((ln_t - np.log(where)) / SWITCH_WIDTH))


def _energy(ln_t, h):
    """g from h of a part in equilibrium: p = integral of s dT, rho = T s - p."""
    integrand = 4 * h * np.exp(4 * (ln_t - ln_t[-1]))  # of p T_max^-4, in units of pi^2/90
    steps = 0.5 * (integrand[1:] + integrand[:-1]) * np.diff(ln_t)
    p = np.concatenate([[0.0], np.cumsum(steps)]) * np.exp(-4 * (ln_t - ln_t[-1]))
    return (4 * h - p) / 3
