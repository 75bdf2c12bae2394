"""The demo's host code: shocks where they should be, budgets closed, the same run on any number of ranks.

The file is its own MPI program, see `main`.
"""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from surrogate.demo import run, scene, state
from surrogate.demo.gas import Alone, Gas
from surrogate.launch import find_mpiexec, run_ranks


def still(_cells, _dt):
    """Chemistry that does nothing."""


def make_tube(n, axis=-1, high=(1.0, 1e4), low=(0.125, 8e3)):
    """Gas at rest, dense and hot in the middle half along `axis`: a shock tube, periodic and thus twice."""
    gas = Gas(n, 1e20)
    inside = np.abs((np.arange(n) + 0.5) / n - 0.5) < 0.25
    inside = np.broadcast_to(inside if axis == -1 else inside[:, None], (n, n))
    density, temperature = (np.where(inside, a, b) for a, b in zip(high, low))
    fractions = {
        "H": np.where(inside, 0.9, 0.2),
        "He": 0.1,
        "H2": np.where(inside, 0.01, 1e-5),
        "H2+": 1e-14,
        "H-": 1e-13,
        "He+": 1e-5,
        "He++": 1e-9,
    }
    fractions["H+"] = 1 - fractions["H"] - 2 * (fractions["H2"] + fractions["H2+"]) - fractions["H-"]
    fractions["e-"] = fractions["H+"] + fractions["H2+"] + fractions["He+"] + 2e-9 - fractions["H-"]
    gas.set_gas({name: x * density for name, x in fractions.items()}, temperature)
    return gas


def shock_tube(x, t, left, right):
    """Exact density of a shock tube (rho, p on either side, at rest) at x/t; Toro 2009, chapter 4."""
    from scipy.optimize import brentq

    g = state.GAMMA

    def speed(p, rho, p_k):
        c = np.sqrt(g * p_k / rho)
        if p > p_k:
            return (p - p_k) * np.sqrt(2 / ((g + 1) * rho) / (p + (g - 1) / (g + 1) * p_k))
        return 2 * c / (g - 1) * ((p / p_k) ** ((g - 1) / (2 * g)) - 1)

    p = brentq(lambda p: speed(p, *left) + speed(p, *right), right[1], left[1], xtol=1e-12 * left[1])
    u, c = -speed(p, *left), np.sqrt(g * left[1] / left[0])
    inner = left[0] * (p / left[1]) ** (1 / g)
    ratio, k = p / right[1], (g - 1) / (g + 1)
    outer = right[0] * (ratio + k) / (k * ratio + 1)
    shock = np.sqrt(g * right[1] / right[0] * ((g + 1) / (2 * g) * ratio + (g - 1) / (2 * g)))
    s = x / t
    fan = left[0] * (2 / (g + 1) - (g - 1) / (g + 1) * s / c) ** (2 / (g - 1))
    tail = u - np.sqrt(g * p / inner)
    return np.select([s < -c, s < tail, s < u, s < shock], [left[0], fan, inner, outer], right[0])


@pytest.mark.parametrize("axis", [-1, -2])
def test_shock_tube(axis):
    gas = make_tube(100, axis)
    pressure = state.pressure_of(gas.own)
    line = (50, slice(50, None)) if axis == -1 else (slice(50, None), 50)
    rho = gas.own[state.RHO][line]
    left, right = ((rho[i], pressure[line][i]) for i in (0, -1))
    while gas.time < 1e13:
        gas.step(still, dt_max=1e13 - gas.time)
    x = (np.arange(50) + 0.5) * gas.dx - 0.25 * gas.size
    expected = shock_tube(x, gas.time, left, right)
    error = np.abs(gas.own[state.RHO][line] - expected).mean() / left[0]
    assert error < 0.018, error  # measured: 0.031, 0.014, 0.008 with 50, 100, 200 cells along a side


def test_budgets_nuclei_and_charge():
    gas = make_tube(48)
    gas.own[state.MY] = 1e6 * gas.own[state.RHO] * np.sin(np.arange(48) / 48 * 2 * np.pi)
    gas.own[state.ENERGY] = state.thermal_energy(gas.own) + state.kinetic_energy(gas.own)
    start = gas.budget()
    per_mass = np.array(state.nuclei(gas.own))[:, 0, 0] / gas.own[state.RHO, 0, 0]

    def cool(cells, _dt):
        cells["T"] *= 0.99

    for _ in range(40):
        gas.step(cool)
    energy, cooled, heated, *nuclei = gas.budget()
    assert cooled > 0.1 * start[0] and energy + cooled - heated == pytest.approx(start[0], rel=1e-12)
    np.testing.assert_allclose(nuclei, start[3:], rtol=1e-12)
    # in every cell: one ratio of nuclei to mass, neutral, nothing negative
    for now, then in zip(state.nuclei(gas.own), per_mass):
        np.testing.assert_allclose(now / gas.own[state.RHO], then, rtol=1e-12)
    species = dict(zip(state.SPECIES, gas.own[state.FIRST :]))
    charge = scene.nuclei_and_charge(species)[2]
    assert np.abs(charge).max() < 1e-12 * species["e-"].max()
    assert all((x > 0).all() for x in species.values())


def test_a_run_goes_on_from_its_snapshot(tmp_path):
    gas, path = make_tube(32), tmp_path / "gas.h5"
    for _ in range(3):
        gas.step(still)
    gas.save(path)
    again = Gas.load(path)
    for _ in range(3):
        gas.step(still), again.step(still)
    np.testing.assert_array_equal(gas.own, again.own)
    assert (gas.time, gas.n_steps) == (again.time, again.n_steps)


def test_species_that_are_not_there_change_nothing(tmp_path):
    gas, more = make_tube(32), Gas(32, 1e20, species=("CO", *state.SPECIES))
    densities = dict(zip(state.SPECIES, gas.own[state.FIRST :]))
    more.set_gas({"CO": 0.0, **densities}, gas.own[state.TEMPERATURE])
    for _ in range(5):
        gas.step(still), more.step(still)
    more.save(tmp_path / "gas.h5")
    again = Gas.load(tmp_path / "gas.h5")
    assert again.species == more.species
    np.testing.assert_array_equal(again.own, more.own)
    np.testing.assert_array_equal(np.delete(more.own, state.FIRST, axis=0), gas.own)
    np.testing.assert_array_equal(more.budget(), gas.budget())


def test_streams_collide():
    start = {"side": 16, "box": 50.0, "density": 1.0, "pressure": 4e3, "temperature": 8e5, "spot": 0.1, "seed": 7}
    gas = scene.make_gas(**start, flow=10.0, advance=still)
    vx = gas.own[state.MX] / gas.own[state.RHO]
    assert (vx[:, 0] < 0).all() and (vx[:, -1] > 0).all() and np.abs(vx).max() == pytest.approx(1e6, rel=0.02)
    rest = scene.make_gas(**start, advance=still)
    assert not rest.own[state.MX].any()
    np.testing.assert_array_equal(rest.own[state.TEMPERATURE], gas.own[state.TEMPERATURE])


def test_too_many_ranks_are_refused():
    class Many(Alone):
        rank, size = 19, 20

    with pytest.raises(ValueError, match="21 rows on 20 ranks"):
        Gas(21, 1.0, Many())


OPTIONS = ["--side", "24", "--steps", "5", "--every", "3", "--quiet", "--rtol", "1e-2"]


def test_demo_restarts_and_tells(tmp_path, capsys):
    assert run.main([*OPTIONS, "--out", str(tmp_path / "a")]) == 0
    said = capsys.readouterr().out
    for word in ("speed-up of the chemistry", "imbalance", "99 %", "budget of energy", "kept"):
        assert word in said
    assert "NOT" not in said
    shorter = ["--side", "24", "--steps", "3", "--every", "3", "--quiet", "--rtol", "1e-2", "--chemistry", "solver"]
    assert run.main([*shorter, "--out", str(tmp_path / "b")]) == 0
    goes_on = [*OPTIONS, "--chemistry", "solver", "--restart", "--out", str(tmp_path / "b")]
    assert run.main(goes_on) == 0
    a, b = (Gas.load(tmp_path / x / "solver.h5") for x in "ab")
    np.testing.assert_array_equal(a.own, b.own)
    assert (tmp_path / "a" / "demo.png").stat().st_size > 10_000


def test_demo_takes_any_model_of_interstellar_gas(tmp_path, capsys):
    shorter = ["--side", "24", "--steps", "3", "--quiet", "--out", str(tmp_path)]
    assert run.main([*shorter, "--model", "ism-atomic"]) == 0
    said = capsys.readouterr().out
    assert "x(H+)" in said and "NOT" not in said
    assert (tmp_path / "demo.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="freeze-out has .*: the demo needs a model of interstellar gas"):
        run.main([*shorter, "--model", "freeze-out"])


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed (apt-get install ffmpeg): no film")
def test_film_shows_the_frames_of_this_run(tmp_path):
    from matplotlib.image import imread

    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "000999.png").write_bytes(b"left by an earlier run")
    assert run.main([*OPTIONS, "--chemistry", "solver", "--movie", "--out", str(tmp_path)]) == 0
    pictures = sorted(frames.iterdir())
    assert [path.stem for path in pictures] == [f"{step:06d}" for step in range(6)]
    drawn = np.array([imread(path)[..., :3] for path in pictures])
    decode = ["ffmpeg", "-loglevel", "error", "-i", tmp_path / "demo.mp4", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    film = np.frombuffer(subprocess.run(decode, check=True, capture_output=True).stdout, np.uint8).reshape(drawn.shape)
    apart = np.abs(film[:, None] / 255 - drawn[None]).mean((2, 3, 4))
    assert apart.diagonal().max() < 0.02 and np.argmin(apart, axis=1).tolist() == list(range(6))


def test_film_without_ffmpeg_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="needs ffmpeg"):
        run.main([*OPTIONS, "--movie", "--out", str(tmp_path)])


@pytest.mark.mpi
def test_demo_is_the_same_on_any_number_of_ranks(tmp_path):
    if find_mpiexec() is None:
        pytest.skip("MPI is not installed: pip install 'stiff-surrogate[mpi]'")
    assert run.main([*OPTIONS, "--out", str(tmp_path / "1")]) == 0
    for n in (2, 3):
        done = run_ranks(n, [__file__, *OPTIONS, "--mpi", "--out", tmp_path / str(n)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        for name in ("surrogate", "solver"):
            one, several = (Gas.load(tmp_path / str(k) / f"{name}.h5") for k in (1, n))
            np.testing.assert_array_equal(one.own, several.own)


if __name__ == "__main__":
    run.main(sys.argv[1:])
