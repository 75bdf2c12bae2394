"""How long does a vector field learned from one noisy oscillation of a nerve membrane hold, by which way of training?

    python -m benchmarks.hodgkin_huxley                # hours, the first time; takes up where it stopped

Published (PI-NODE-SR, arXiv:2511.11734): RMSE of the voltage 3.12 mV, phase error 0.27 ms, F1 of the spikes 0.98. Each
variant is trained on 14.68 ms, with noise, and followed to 1000 ms; ours from ten initialisations and draws of noise.
Also: three conductances from such windows, how far off and how well the predicted spread says so.
"""

import tempfile

import torch
from surrogate.training.node.__main__ import NAMES
from surrogate.training.node.data import make_window
from surrogate.training.node.fit import Fit
from surrogate.training.node.inverse import infer_conductances, summarise_estimates
from surrogate.training.node.table import AFTER, BAR, print_table, run_all, summarise

from .options import finish, make_parser, progress, start
from .timing import ROOT

#: a run of seconds
SMALL = {"width": 12, "points": 60, "adam": 30, "tube": 2, "orbit": 2}


def main(arguments=None):
    """Train what is missing, print, save."""
    parser = make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="initialisations of ours")
    parser.add_argument("--other-seeds", type=int, default=1, help="of the others")
    parser.add_argument("--epochs", type=int, default=1000, help="of Adam for the published variants")
    parser.add_argument("--end", type=float, default=1000.0, help="of the test [ms]")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="VARIANT", default=NAMES)
    parser.add_argument("--draws", type=int, default=40, help="windows from which conductances are inferred")
    parser.add_argument("--runs", default=str(ROOT / "build" / "node"), metavar="DIR", help="finished runs")
    options = start(parser, arguments, bind=False, draws=2, seeds=1, epochs=2, end=100.0)
    torch.set_num_threads(1)
    changes = SMALL if options.quick else None
    with tempfile.TemporaryDirectory() as scratch:
        directory = scratch if options.quick else options.runs
        rows = run_all(
            options.only,
            lambda name: range(options.seeds if name == "ours" else options.other_seeds),
            directory,
            options.epochs,
            options.end,
            changes,
            progress,
        )
    summary = summarise(rows)
    print_table(summary)
    found = [infer_conductances(make_window(seed), (60.0, 60.0, 0.5)) for seed in progress(range(options.draws))]
    inverse = summarise_estimates(found)
    print(
        "\nconductances [mS/cm^2]\n"
        + "\n".join(f"{key:<10}" + "".join(f"{x:9.3f}" for x in row) for key, row in inverse.items())
    )
    data = {"bar": BAR, "epochs": options.epochs, "variants": summary, "after": AFTER, "inverse": inverse, "runs": rows}
    finish("hodgkin_huxley", options, {**data, "fit": {k: str(v) for k, v in vars(Fit()).items()}})


if __name__ == "__main__":
    main()
