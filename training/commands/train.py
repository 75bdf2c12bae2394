"""``surrogate train``."""

import argparse
import contextlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from ..fit.config import OPTIMIZERS, TrainConfig
from ..fit.decades import HOPS, Decades, Plan
from ..fit.pairs import Pairs, read_pairs
from ..fit.terms import TERMS, LossConfig, find_term
from ..fit.trainer import Trainer
from ..nets.architectures import ARCHITECTURES
from ..nets.experts import NetConfig
from ..nets.model_file import read_arrays
from ..nets.trained import load_model
from ..populations import POPULATION_HELP
from ..systems import SYSTEM_HELP, get_system, system_names


def _regions(text):
    regions = tuple(int(part) for part in text.split("x"))
    if len(regions) > 3:
        raise ValueError(text)
    return regions + (1,) * (3 - len(regions))


def _term(text):
    """TERM=WEIGHT, where a term of one's own is MODULE:NAME."""
    name, _, weight = text.partition("=")
    try:
        find_term(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name, float(weight or 1)


def make_parser():
    """The command line."""
    parser = argparse.ArgumentParser(prog="surrogate train", description=main.__doc__)
    parser.add_argument("system", metavar="SYSTEM", help=SYSTEM_HELP)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--labels", nargs="+", metavar="FILE", help="made with --split train")
    source.add_argument("--unsupervised", action="store_true", help="from the equations alone, on drawn cells")
    source.add_argument(
        "--decades",
        choices=HOPS,
        metavar="HOP",
        help="decade by decade, from the net's own predictions a hop before: solver (to ten times the time) or attempt "
        "(one attempt of the solver, to three times the time, halved where it is refused)",
    )
    parser.add_argument(
        "--population",
        action="append",
        metavar="NAME[,NAME]",
        help=f"what to draw, with --unsupervised or --decades (there, several): {POPULATION_HELP}",
    )
    parser.add_argument("--n", type=int, help="cells to draw (default 500000; 120000 with --decades)")
    parser.add_argument("--times", type=int, default=Plan.times, help="with --decades: targets per cell and decade")
    parser.add_argument(
        "--first", type=float, metavar="SECONDS", help="with --decades: first horizon (default ten shortest time steps)"
    )
    parser.add_argument(
        "--on-the-way",
        action=argparse.BooleanOptionalAction,
        default=Plan.on_the_way,
        help="with --decades: train on what the net predicts before a hop as a start, too",
    )
    parser.add_argument("--dt-range", type=float, nargs=2, metavar=("SHORTEST", "LONGEST"), help="for network and box")
    parser.add_argument("--check", required=True, metavar="FILE", help="labels to watch, made with --split calibrate")
    parser.add_argument("--out", required=True, metavar="FILE", help="model file (HDF5) to write; a picture beside it")
    parser.add_argument("--start", metavar="FILE", help="a trained model (HDF5) to train further as it is built")
    parser.add_argument("--minutes", type=float, default=30.0, help="time budget (default 30)")
    parser.add_argument(
        "--kind",
        default=NetConfig.kind,
        help=f"{', '.join(ARCHITECTURES)}, or your own, MODULE:NAME (default {NetConfig.kind})",
    )
    parser.add_argument("--width", type=int, default=NetConfig.width)
    parser.add_argument("--depth", type=int, default=NetConfig.depth)
    parser.add_argument(
        "--regions",
        type=_regions,
        metavar="AxBxC",
        help="experts along temperature, density * time and time "
        "(default 4x4x2; 8x1x1 with --unsupervised; 4x4x5 with --decades)",
    )
    parser.add_argument(
        "--loss",
        type=_term,
        action="append",
        metavar="TERM=WEIGHT",
        help=f"{', '.join(TERMS)}, or your own, MODULE:NAME; may be repeated "
        "(default supervised=1, or residual=1 with --unsupervised)",
    )
    parser.add_argument("--adaptive", action="store_true", help="rebalance the terms by their gradients")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default=TrainConfig.optimizer)
    parser.add_argument("--lbfgs", type=int, default=0, metavar="N", help="finish with N iterations of L-BFGS")
    parser.add_argument("--batch", type=int, default=TrainConfig.batch, help="cells per expert and iteration")
    parser.add_argument(
        "--beta",
        type=float,
        default=TrainConfig.beta,
        help=f"error [dex] beyond which the loss is linear (default {TrainConfig.beta})",
    )
    parser.add_argument("--lr", type=float, help="peak learning rate (default 1.2e-2 for soap, 3e-3 for adamw)")
    parser.add_argument(
        "--resolution",
        type=int,
        default=TrainConfig.resolution,
        metavar="BITS",
        help="bits of the weights below their rms (default 10; 24 keeps them as they are)",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a surrogate, from label files or from the equations. An interrupted run continues when the same command is
    given again."""
    options = make_parser().parse_args(arguments)
    command = shlex.join(["surrogate", "train", *(sys.argv[2:] if arguments is None else arguments)])
    if is_finished(options):
        return 0
    from tqdm import tqdm

    system = get_system(options.system)
    populations = [name for text in options.population or () for name in text.split(",")]
    if not options.labels and not populations:
        raise ValueError(
            "--population is missing: say what cells to draw, e.g. wide for gas of H and He, network, or box"
        )
    dt_range = options.dt_range and tuple(options.dt_range)
    terms = dict(options.loss or [("residual" if options.unsupervised else "supervised", 1.0)])
    loss = LossConfig.of(terms, options.adaptive)
    config = TrainConfig(
        minutes=options.minutes,
        batch=options.batch,
        lr=options.lr,
        optimizer=options.optimizer,
        beta=options.beta,
        lbfgs=options.lbfgs,
        resolution=options.resolution,
        device=options.device,
        seed=options.seed,
        threads=options.threads,
    )
    regions = options.regions or ((8, 1, 1) if options.unsupervised else (4, 4, 5) if options.decades else None)
    net = NetConfig(options.width, options.depth, regions or NetConfig.regions, not options.unsupervised, options.kind)
    metadata = {"command": command, "system_source": options.system}
    start = load_model(options.start, system)[0] if options.start else None
    train = read_pairs(options.labels, system, ("train",)) if options.labels else None
    check = read_pairs([options.check], system, ("calibrate", "train"))
    if options.decades:
        if start:
            raise ValueError("--start does not go with --decades: each decade fits a net of its own")
        n = options.n or Plan.n
        plan = Plan(
            options.decades,
            tuple(populations),
            n,
            options.times,
            options.first,
            dt_range,
            options.on_the_way,
            options.seed,
        )
        run = Decades(system, plan, check, options.out, net, config, metadata, loss)
    else:
        if options.unsupervised:
            if len(populations) > 1:
                raise ValueError(f"--population names {len(populations)}: give one with --unsupervised")
            train = Pairs.draw(system, populations[0], options.n or 500_000, options.seed, dt_range)
        run = Trainer(system, train, check, options.out, net, config, metadata, loss, start)
    with tqdm(total=round(options.minutes * 60), initial=round(run.seconds), unit="s", unit_scale=True) as bar:

        def show(line):
            bar.write(line)
            bar.update(round(run.seconds) - bar.n)

        try:
            run.run(show)
        except KeyboardInterrupt:
            text = (
                "the same command continues" if run.is_saved else "nothing was saved yet, the same command begins anew"
            )
            print(f"interrupted: {text}", file=sys.stderr)
            return 130
    print(f"{options.out}: {run.n_weights} weights; next: {_next(options)}")
    return 0


def _next(options):
    named = "" if options.system in system_names() else f" --system {options.system}"
    return f"surrogate calibrate {options.out} --labels FILE ...{named}"


#: options that do not change what a command makes
ELSEWHERE = {"threads", "device", "out"}


def is_finished(options):
    """Whether the model file is there already, made by this command; ValueError if another one has made it.

    While a run lasts its checkpoint is there, too, and says what it belongs to.
    """
    out = Path(options.out)
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent} is no directory: make it, or give another --out")
    if Path(f"{out}.checkpoint").exists() or not out.exists():
        return False
    metadata = read_arrays(out)[1]
    before = shlex.split(str(metadata.get("command", "")))
    try:
        with contextlib.redirect_stderr(None):
            made_by = make_parser().parse_args(before[2:])
    except SystemExit:
        made_by = None
    same = made_by is not None and all(
        value == getattr(made_by, name) for name, value in vars(options).items() if name not in ELSEWHERE
    )
    if not same:
        raise ValueError(
            f"{out} is a trained model, made by another command ({shlex.join(before) or 'unknown'}): give "
            f"another --out, or remove it; --start {out} trains it further"
        )
    calibrated = "calibrated" if "calibration" in metadata else f"next: {_next(options)}"
    print(f"{out}: finished already, nothing is done; {calibrated}")
    return True
