"""The report on a calibrated model: tables on the terminal, pictures beside the model."""

from collections.abc import Sequence
from pathlib import Path

from ..labels import load_labels
from ..labels.solver import solver_model
from ..nets.calibration import Calibration, from_plain
from ..nets.domain import Domain
from ..nets.trained import load_trained
from .leave_out import leave_one_out, table
from .measure import check_varied, label_tensors, population_names
from .pictures import draw_errors, draw_histograms, draw_trajectories
from .score import evaluate_file

#: what cells of a split may have been used for
SEEN = {"train": ": they may have been trained on", "calibrate": ": they may have decided what is accepted"}


def report(
    model: str, paths: Sequence[str], plots: str | None = None, system: str | None = None, kind: str | None = None
) -> None:
    """Measure a calibrated model file on label files.

    Parameters
    ----------
    model : path
    paths : sequence of path
        Files of labels.
    plots : path, optional
        Directory of the pictures; that of the model if not given.
    system, kind : str, optional
        As for `load_trained`.
    """
    system, surrogate, metadata = load_trained(model, system, kind)
    if "calibration" not in metadata:
        raise ValueError(f"{model} is not calibrated: run `surrogate calibrate` on it first")
    domain, calibration = from_plain(Domain, metadata["domain"]), from_plain(Calibration, metadata["calibration"])
    files = {path: load_labels(path, system=system) for path in paths}
    check_varied(surrogate.encoding, files)
    plots = Path(plots or Path(model).parent)
    plots.mkdir(parents=True, exist_ok=True)
    solver, names, populations = solver_model(system), population_names(files), {}
    for path, labels in files.items():
        state, dt, end, params = label_tensors(labels, 1)
        if not len(dt):
            print(f"\n{path}: no cell of it was solved, nothing can be measured")
            continue
        result, measured, inside = evaluate_file(surrogate, domain, calibration, state, dt, end, params)
        populations[names[path]] = measured, inside
        split = labels.meta["split"]
        print_result(f"{path}: {len(dt)} cells of {system.name}, split {split}{SEEN.get(split, '')}", result)
        stem = plots / f"{Path(model).stem}-{Path(path).stem}"
        pictures = {
            f"{stem}.png": draw_errors(surrogate, state, measured),
            f"{stem}-species.png": draw_histograms(surrogate, measured),
            f"{stem}-trajectories.png": draw_trajectories(surrogate, solver, domain, state),
        }
        for picture, figure in pictures.items():
            figure.savefig(picture, dpi=120)
        print("  pictures: " + " ".join(pictures))
    if len(populations) > 1:
        print("\n" + table(leave_one_out(populations, calibration)))


def print_result(name, result):
    """Tables of a result of `evaluate_file`."""
    print(f"\n{name}\n  log10 |y/y_ref - 1|      50 %   75 %   90 %   99 % 99.9 %    max")
    for label, key in (("the net", "quantiles"), ("doing nothing", "nothing")):
        print(f"  {label:<20}" + "".join(f"{q:7.2f}" for q in result[key]))
    print("  90 % by variable   " + " ".join(f"{k} {v:.2f}" for k, v in result["variables"].items()))
    print(f"  left to the solver, as it is quick there: {100 * result['cheap']:.1f} %")
    for rtol, share, kept in result["decisions"]:
        within = "none to be within rtol" if kept is None else f"of these within rtol {100 * kept:5.1f} %"
        print(f"  rtol {rtol:<6g} accepted {100 * share:5.1f} %   {within}")
