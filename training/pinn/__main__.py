"""Command line: ``python -m surrogate.training.pinn stiffness|forward|inverse|methods|single``."""

import argparse
import sys

import numpy as np
import torch

from . import single, stiffness
from .equations import COSMOLOGIES, STIFF
from .methods import METHODS, Effort
from .pictures import draw_methods
from .problems import PROBLEMS
from .residuals import RULES
from .solve import PUBLISHED, Config, solve_forward, solve_inverse
from .table import print_studies, print_table, run_all, run_studies, summarise


def run_stiffness(options):
    """Largest Hessian eigenvalue and error against C, and the exponent of the former."""
    config = stiffness.Config(adam=options.adam or 500_000) if options.published else stiffness.QUICK
    c = np.logspace(0, np.log10(options.c_max), options.values)
    for name in STIFF:
        for rule in ("vanilla", "jacobian"):
            study = stiffness.study_stiffness(name, rule, c, config, options.seed, _progress(f"{name} {rule}"))
            print(f"{name}, {rule}: eigenvalue ~ C^{study.slope:.2f}")
            print(
                "\n".join(
                    f"  C {ck:9.1f}  eigenvalue {e:9.2e}  error {d:8.1e}  loss {v:8.1e}"
                    for ck, e, d, v in zip(c, study.eigenvalue, study.error, study.loss)
                )
            )


def run_forward(options):
    """Error of the solution of freeze-out for the published interaction strengths."""
    for name in options.cosmology or COSMOLOGIES:
        for seed in range(options.seed, options.seed + options.repeats):
            s = solve_forward(name, COSMOLOGIES[name][1], _config(options), seed, _progress(name))
            print(
                f"{name}, seed {seed}: mean relative squared error {s.error:.1e}, loss {s.loss:.1e}, "
                f"{s.seconds:.0f} CPU s"
            )


def run_inverse(options):
    """Interaction strength for the observed relic density, from several guesses."""
    for name in options.cosmology or COSMOLOGIES:
        exact, found = COSMOLOGIES[name][1], []
        for seed in range(options.seed, options.seed + options.repeats):
            s = solve_inverse(name, _config(options), seed, _progress(name))
            found.append(s.c)
            print(
                f"{name}, seed {seed}: C {s.c:.7f} (off by {s.c - exact:+.1e}), mean relative squared error "
                f"{s.error:.1e}, {s.seconds:.0f} CPU s"
            )
        print(f"{name}: C {np.mean(found):.7f}, spread {np.std(found):.1e} over {len(found)} initialisations")


def run_methods(options):
    """Error and CPU time of every method on every problem, and a picture; takes up where it stopped."""
    from tqdm import tqdm

    def bar(jobs):
        return tqdm(jobs, disable=None, leave=False)

    effort = Effort() if options.adam is None else Effort(adam=options.adam, quasi_newton=options.adam)
    seeds = range(options.seed, options.seed + options.seeds)
    summary = summarise(run_all(options.only, options.problem, seeds, options.to, effort, bar))
    print_table(summary)
    studies = {} if options.no_studies else run_studies(options.to, effort, progress=bar)
    if studies:
        print_studies(studies)
    picture = f"{options.to}/methods.png"
    draw_methods(summary, studies.get("kernels", {})).savefig(picture, dpi=100)
    print(f"\npicture: {picture}")


def run_single(options):
    """Solve one start for all times without labels, and compare with SciPy's Radau at 1e-11."""
    for name in options.system:
        solution = single.solve_single(name, options.accuracy, options.ratio, seed=options.seed)
        m = single.measure(name, solution)
        print(f"{name}: {m['windows']} windows, {m['weights']} weights, {m['cpu_s']:.1f} CPU s")
        print("  log10 relative error at 50/75/90/99/100 %: " + "/".join(f"{q:.2f}" for q in m["quantiles"]))
        print(
            f"  mean error over the largest value {m['mean']:.1e}"
            + f"; published: {m['published']}" * bool(m["published"])
        )


def _config(options):
    published = PUBLISHED if options.published else Config()
    given = {"rule": options.rule, "output": options.output, "adam": options.adam}
    return type(published)(**{**vars(published), **{k: v for k, v in given.items() if v is not None}})


def _progress(title):
    if not sys.stderr.isatty():
        return None
    return lambda *state: print(f"\r{title}: {' '.join(map(str, state)):<60}", end="\r", file=sys.stderr)


def main(arguments=None):
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m surrogate.training.pinn", description=__doc__)
    parser.add_argument("--published", action="store_true", help="net, points and optimiser of arXiv:2602.21988: hours")
    parser.add_argument("--adam", type=int, metavar="N", help="iterations of AdamW")
    parser.add_argument("--seed", type=int, default=0)
    commands = parser.add_subparsers(dest="command", required=True)
    stiff = commands.add_parser("stiffness", help=run_stiffness.__doc__)
    stiff.add_argument("--values", type=int, default=20, help="of C (default 20)")
    stiff.add_argument("--c-max", type=float, default=1e4)
    for name, run in (("forward", run_forward), ("inverse", run_inverse)):
        command = commands.add_parser(name, help=run.__doc__)
        command.add_argument("--cosmology", nargs="+", choices=COSMOLOGIES)
        command.add_argument("--rule", choices=RULES, help="weights of the residuals (default jacobian)")
        command.add_argument("--output", choices=("hard", "linear", "sigmoid"))
        command.add_argument("--repeats", type=int, default=1, help="initialisations")
    _add_methods(commands)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    runs = (run_stiffness, run_forward, run_inverse, run_methods, run_single)
    {run.__name__.removeprefix("run_"): run for run in runs}[options.command](options)
    return 0


def _add_methods(commands):
    methods = commands.add_parser("methods", help=run_methods.__doc__)
    methods.add_argument("--only", nargs="+", choices=METHODS, metavar="METHOD", default=list(METHODS))
    methods.add_argument("--problem", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    methods.add_argument("--seeds", type=int, default=3, help="initialisations")
    methods.add_argument("--to", default="build/pinn", metavar="DIR", help="finished runs (default build/pinn)")
    methods.add_argument("--no-studies", action="store_true", help="the table alone")
    one = commands.add_parser("single", help=run_single.__doc__)
    one.add_argument("system", nargs="+", choices=single.CASES)
    one.add_argument("--accuracy", type=float, default=3e-7, help="residual to be left in a window, at most")
    one.add_argument("--ratio", type=float, default=10.0, help="of the times between which a window is, at most")


if __name__ == "__main__":
    sys.exit(main())
