"""Which way of physics-informed training solves which stiff system, at which error and cost?

    python -m benchmarks.pinn_methods    # half an hour of CPU time, the first time; takes up where it stopped

Scalar stiff equations at C = 1000, freeze-out, two toys and Robertson's reactions; one net, 200 points, 500
iterations of Adam and 700 of a quasi-Newton method in double precision for every method, without labels. Error: mean
over variables and points of |y - y_ref| in units of the largest |y_ref|, the reference SciPy's Radau at 1e-11.
Besides: operators from labels, the posterior of an unknown parameter and its coverage, an unknown term learned from
data, spectra of tangent kernels.
"""

import tempfile

import torch
from surrogate.training.pinn.methods import METHODS, Effort
from surrogate.training.pinn.pictures import draw_methods
from surrogate.training.pinn.problems import PROBLEMS
from surrogate.training.pinn.table import print_studies, print_table, run_all, run_studies, summarise

from .options import finish, make_parser, progress, start
from .timing import RESULTS, ROOT


def main(arguments=None):
    """Train what is missing, print, draw, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="initialisations")
    parser.add_argument("--only", nargs="+", choices=METHODS, metavar="METHOD", default=list(METHODS))
    parser.add_argument("--runs", default=str(ROOT / "build" / "pinn"), metavar="DIR", help="finished runs")
    options = start(parser, arguments, bind=False, seeds=1)
    torch.set_num_threads(1)
    effort = Effort(width=8, points=40, adam=4, quasi_newton=4) if options.quick else Effort()
    sizes = {"draws": 3, "labels": 4, "iterations": 4} if options.quick else {}
    with tempfile.TemporaryDirectory() as scratch:
        directory = scratch if options.quick else options.runs
        problems = ["decay-linear"] if options.quick else list(PROBLEMS)
        rows = run_all(options.only, problems, range(options.seeds), directory, effort, progress)
        studies = run_studies(directory, effort, **sizes, progress=progress)
    summary = summarise(rows)
    print_table(summary)
    print_studies(studies)
    if not options.quick:
        draw_methods(summary, studies["kernels"]).savefig(RESULTS / "pinn_methods.png", dpi=100)
    methods = {name: {**vars(METHODS[name]), "problems": summary[name]} for name in options.only}
    finish("pinn_methods", options, {"effort": vars(effort), "methods": methods, **studies, "runs": rows})


if __name__ == "__main__":
    main()
