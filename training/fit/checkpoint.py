"""The checkpoint of a training run: what it takes to go on after an interruption."""

import json
from pathlib import Path

import torch

from ..nets.model_file import read_tensors, write_tensors


def save_checkpoint(path: Path, parameters, average, optimizer, attributes: dict) -> None:
    """Write parameters, their averages, the optimiser's state and plain `attributes`, with what they belong to."""
    state = {f"{i}": dict(optimizer.state[p].items()) for i, p in enumerate(parameters)}
    tensors = {"parameters": dict(enumerate(parameters)), "average": dict(enumerate(average)), "optimizer": state}
    write_tensors(path, tensors, attributes)


def load_checkpoint(path: Path, parameters, average, optimizer, identity: dict) -> dict:
    """Fill parameters, averages and optimiser from a file, and return its attributes.

    Raises
    ------
    ValueError
        If it belongs to another run than `identity`.
    """
    tensors, attributes = read_tensors(path)
    identity = json.loads(json.dumps(identity))
    if attributes["identity"] != identity:
        raise ValueError(
            f"{path} belongs to another run ({attributes['identity']}, now {identity}); remove it to start anew"
        )
    with torch.no_grad():
        for i, (p, mean) in enumerate(zip(parameters, average)):
            p.copy_(tensors["parameters"][str(i)])
            mean.copy_(tensors["average"][str(i)])
            kept = tensors["optimizer"].get(str(i), {})
            optimizer.state[p].update({k: v if k == "step" else v.to(p.device) for k, v in kept.items()})
    return attributes
