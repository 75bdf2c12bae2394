"""How good a surrogate is, and how well it knows its errors: ``surrogate evaluate``."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

#: species below this fraction of the total in the reference are not counted
FLOOR = 1e-10
#: what cells of a split may have been used for
SEEN = {"train": ": they may have been trained on", "calibrate": ": they may have decided what is accepted"}
QUANTILES = (0.5, 0.75, 0.9, 0.99, 0.999, 1.0)


def relative_errors(encoding, end, reference):
    """|y/y_ref - 1| and whether it counts, two tensors of shape (n, n_vars)."""
    total = encoding.total_density(reference)
    counts = ~encoding.total | (reference > FLOOR * total)
    return (end / torch.where(reference == 0, 1.0, reference) - 1).abs(), counts


@dataclass(frozen=True, eq=False)
class Measured:
    """What a surrogate predicted for cells, and how good that was.

    Attributes
    ----------
    predicted, attempts : ndarray of shape (n,)
        Expected error, and expected attempts of the solver.
    e_folds : ndarray of shape (n,)
        How far the predictions are from the starts, see `Encoding.e_folds`.
    worst : ndarray of shape (n,)
        Largest relative error among the variables that count.
    errors, counts : Tensor of shape (n, n_vars)
        All relative errors, and which of them count.
    """

    predicted: np.ndarray
    attempts: np.ndarray
    e_folds: np.ndarray
    worst: np.ndarray
    errors: torch.Tensor
    counts: torch.Tensor


def measure(surrogate, state, dt, reference):
    """One evaluation of a surrogate against labels, see `Measured`."""
    state, dt, reference = (x.to(surrogate.mean.device) for x in (state, dt, reference))
    with torch.no_grad():
        end, judgement, good = surrogate.flow(state, dt)
    errors, counts = (x.cpu() for x in relative_errors(surrogate.encoding, end, reference))
    errors = errors.nan_to_num(1e30).clamp_max(1e30)  # what is no number is as wrong as can be
    predicted, attempts = (10.0 ** judgement.double()).cpu().numpy().T
    worst = torch.where(counts, errors, 0.0).max(1).values.numpy()
    e_folds = surrogate.encoding.e_folds(state, end).cpu().numpy()
    return Measured(np.where(good.cpu(), predicted, np.inf), attempts, e_folds, worst, errors, counts)


def score(encoding, measured, rtol=1e-2):
    """Errors of predictions against labels, from what was `Measured`.

    Returns
    -------
    dict
        ``quantiles`` (log10, at `QUANTILES`) over all counted variables, ``variables`` (90 % per variable, by name),
        ``within`` (share of cells with every variable within `rtol`), ``ranking`` (share of cells that could be
        accepted with 99 % of them within `rtol`, by the predicted error).
    """
    errors, counts = measured.errors, measured.counts
    stacked = errors[counts].numpy()
    with np.errstate(divide="ignore"):
        logs = np.log10(np.quantile(stacked, QUANTILES))
        per_variable = {
            name: float(np.log10(np.quantile(errors[counts[:, k], k].numpy(), 0.9)))
            for k, name in enumerate(encoding.names)
            if counts[:, k].any()
        }
    return {
        "quantiles": [round(float(q), 3) for q in logs],
        "variables": per_variable,
        "within": float((measured.worst <= rtol).mean()),
        "ranking": accepted_share(measured.predicted, measured.worst, rtol),
    }


def accepted_share(predicted, incurred, rtol, coverage=0.99):
    """Largest share of cells, taken by ascending predicted error, of which `coverage` are within `rtol`."""
    order = np.argsort(predicted)
    good = np.cumsum(incurred[order] <= rtol) / np.arange(1, len(order) + 1)
    passing = np.flatnonzero(good >= coverage)
    return float((passing[-1] + 1) / len(order)) if len(passing) else 0.0


def evaluate_file(surrogate, domain, calibration, state, dt, end, rtols=(0.1, 3e-2, 1e-2, 1e-3)):
    """`score` plus what the calibrated model would do at some tolerances.

    Returns
    -------
    result : dict
        With ``nothing``, the log10 quantiles of the error of doing nothing; ``cheap``, the share of cells left to the
        solver because it is quick there; ``decisions``, rows of (rtol, share accepted, share of the accepted with every
        variable within rtol, None where none is).
    measured : Measured
    """
    measured = measure(surrogate, state, dt, end)
    worst, counts = measured.worst, measured.counts
    result = score(surrogate.encoding, measured)
    nothing = relative_errors(surrogate.encoding, state, end)[0][counts].numpy()
    with np.errstate(divide="ignore"):
        result["nothing"] = [round(float(q), 2) for q in np.log10(np.quantile(nothing, QUANTILES))]
    inside, cheap = domain.holds(surrogate.encoding, state, dt), measured.attempts < calibration.cheap
    result["cheap"] = float((inside & cheap).mean())
    bound = np.where(inside, calibration.bound(measured), np.inf)
    result["decisions"] = []
    for rtol in rtols:
        accepted = bound <= rtol
        kept = float((worst[accepted] <= rtol).mean()) if accepted.any() else None
        result["decisions"].append((rtol, float(accepted.mean()), kept))
    return result, measured


def _print(name, result):
    print(f"\n{name}\n  log10 |y/y_ref - 1|      50 %   75 %   90 %   99 % 99.9 %    max")
    for label, key in (("the net", "quantiles"), ("doing nothing", "nothing")):
        print(f"  {label:<20}" + "".join(f"{q:7.2f}" for q in result[key]))
    print("  90 % by variable   " + " ".join(f"{k} {v:.2f}" for k, v in result["variables"].items()))
    print(f"  left to the solver, as it is quick there: {100 * result['cheap']:.1f} %")
    for rtol, share, kept in result["decisions"]:
        within = "none to be within rtol" if kept is None else f"of these within rtol {100 * kept:5.1f} %"
        print(f"  rtol {rtol:<6g} accepted {100 * share:5.1f} %   {within}")


def main(arguments=None):
    """Measure a calibrated model on test labels: tables on the terminal, pictures beside the model."""
    from ..codegen.library import solver_model
    from ..labels.file import load_labels
    from ..nets.calibration import Calibration, Domain, from_plain, label_tensors, load_trained
    from ..systems import SYSTEM_OPTION
    from .pictures import draw_errors, draw_histograms, draw_trajectories

    parser = argparse.ArgumentParser(prog="surrogate evaluate", description=main.__doc__)
    parser.add_argument("model", help="model file")
    parser.add_argument("--labels", required=True, nargs="+", metavar="FILE", help="made with --split test --dts 1")
    parser.add_argument("--plots", metavar="DIR", help="where pictures go (default: beside the model)")
    parser.add_argument("--system", **SYSTEM_OPTION)
    options = parser.parse_args(arguments)
    system, surrogate, metadata = load_trained(options.model, options.system)
    if "calibration" not in metadata:
        raise ValueError(f"{options.model} is not calibrated: run `surrogate calibrate` on it first")
    domain, calibration = from_plain(Domain, metadata["domain"]), from_plain(Calibration, metadata["calibration"])
    files = {path: load_labels(path, system=system) for path in options.labels}
    plots = Path(options.plots or Path(options.model).parent)
    plots.mkdir(parents=True, exist_ok=True)
    solver = solver_model(system)
    for path, labels in files.items():
        state, dt, end = label_tensors(labels, 1)
        if not len(dt):
            print(f"\n{path}: no cell of it was solved, nothing can be measured")
            continue
        result, measured = evaluate_file(surrogate, domain, calibration, state, dt, end)
        split = labels.meta["split"]
        _print(f"{path}: {len(dt)} cells of {system.name}, split {split}{SEEN.get(split, '')}", result)
        stem = plots / f"{Path(options.model).stem}-{Path(path).stem}"
        pictures = {
            f"{stem}.png": draw_errors(surrogate, state, measured),
            f"{stem}-species.png": draw_histograms(surrogate, measured),
            f"{stem}-trajectories.png": draw_trajectories(surrogate, solver, domain, state),
        }
        for picture, figure in pictures.items():
            figure.savefig(picture, dpi=120)
        print("  pictures: " + " ".join(pictures))
    return 0
