"""A learned vector field as a `System`: the solver integrates it in C, with the exact Jacobian of the net."""

from pathlib import Path

import h5py
import sympy as sp
import torch

from ..systems.expressions import fexp, minimum
from ..systems.system import Parameter, System, Variable, symbol
from .net import Net

#: beyond this, tanh is 1 to the last digit, and its exponential is still far from overflowing
SATURATED = sp.Integer(40)


def save_net(path, net, theta, **attributes):
    """Write a net and its parameters, HDF5; under the final name only once complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    with h5py.File(scratch, "w") as file:
        for key in ("centre", "scale", "slope"):
            file[key] = getattr(net, key)
        file["theta"] = theta.numpy()
        file.attrs.update({key: getattr(net, key) for key in ("width", "depth", "layer_norm", "drift")}, **attributes)
    scratch.replace(path)


def load_net(path):
    """(Net, theta, attributes) of a file by `save_net`."""
    with h5py.File(path, "r") as file:
        attributes = {k: v.item() if hasattr(v, "item") else v for k, v in file.attrs.items()}
        options = {key: attributes.pop(key) for key in ("width", "depth", "layer_norm", "drift")}
        net = Net(**options, **{key: file[key][:] for key in ("centre", "scale", "slope")})
        return net, torch.from_numpy(file["theta"][:]), attributes


def learned_system(net, theta, current=(10.0, 10.0), name="hodgkin-huxley-learned"):
    """The net as right-hand side; the current I is a parameter within the range `current` it was trained for.

    Returns
    -------
    System

    Raises
    ------
    ValueError
        For a net with layer norm or of the time: there is no code for them.
    """
    if net.layer_norm or net.drift:
        raise ValueError("a net with layer norm, or of the time, cannot be exported: train one without")
    matrices, biases, *_ = net.compiled(theta)
    inputs, definitions = [*map(symbol, "vnmhI")], []
    for k, (matrix, bias) in enumerate(zip(matrices, biases)):
        if k:  # tanh(a) = 1 - 2 q, q = 1/(1 + exp(2 a)): the q are what the next layer takes
            matrix, bias = -2 * matrix, bias + matrix.sum(1)
        sums = [_weighted(row, b, inputs) for row, b in zip(matrix, bias)]
        if k == len(matrices) - 1:
            break
        inputs = []
        for j, total in enumerate(sums):
            a, q = (sp.Symbol(f"{kind}{k}_{j}", real=True) for kind in "aq")
            definitions += [(a, total), (q, 1 / (1 + fexp(minimum(2 * a, SATURATED))))]
            inputs.append(q)
    gates = (
        Variable(g, "", -0.5, 1.5, sample=s, initial=y)
        for g, y, s in zip("nmh", (0.32, 0.05, 0.6), ((0.32, 0.77), (0.02, 0.99), (0.08, 0.6)))
    )
    voltage = Variable("v", "mV", -200.0, 200.0, sample=(-75.0, 40.0), initial=-65.0)
    low, high = map(float, current)
    return System(
        name,
        (voltage, *gates),
        tuple(sums),
        dt_range=(0.0, 1e4),
        definitions=tuple(definitions),
        parameters=(Parameter("I", "uA/cm^2", (low + high) / 2, low, high),),
    )


def _weighted(row, bias, symbols):
    return sp.Add(*(sp.Float(float(w), 17) * s for w, s in zip(row, symbols)), sp.Float(float(bias), 17))


def learned():
    """The net that ships with the package, for ``surrogate export surrogate.training.node:learned --to DIR``."""
    net, theta, attributes = load_net(Path(__file__).with_name("hodgkin-huxley.h5"))
    return learned_system(net, theta, (attributes["current_low"], attributes["current_high"]))
