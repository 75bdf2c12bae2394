"""From arrays to what the engine takes: a base pointer and a stride per field, and at most one list of elements.

No cell data is copied. Inputs that the engine only reads (dt, params, mask) are broadcast, and copied where they are
not of the cells' type already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: What a step takes: one array of shape (..., n_vars), or one array per variable. float64 or float32.
Cells = np.ndarray | Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Layout:
    """Where the cells of one call are.

    Attributes
    ----------
    shape : tuple of int
        Common shape of all fields: the shape of the status array.
    addresses, strides : list of int
        Per variable: address of the element counted 0, and distance of elements (in elements).
    index : ndarray of int64, or None
        Element of every cell to visit; None: 0, 1, 2, ...
    arrays : list of ndarray
        What holds the fields and must stay alive during the call.
    dtype : numpy.dtype
        Of all fields and inputs: float64 or float32.
    """

    shape: tuple[int, ...]
    addresses: list[int]
    strides: list[int]
    index: NDArray[np.int64] | None
    arrays: list[np.ndarray]
    dtype: np.dtype


def lay_out(cells: Cells, names: Sequence[str], index: ArrayLike | None = None) -> Layout:
    """Describe `cells` to the engine.

    Parameters
    ----------
    cells : ndarray of shape (..., n_vars), or mapping of name to ndarray
        float64 or float32, writable, any strides. The arrays of a mapping have one type and shape and do not overlap.
    names : sequence of str
        The model's variables, in order.
    index : array_like of int, optional
        Flat (C order) numbers of the cells to visit, none twice.

    Returns
    -------
    Layout
    """
    n = len(names)
    if isinstance(cells, Mapping):
        arrays = _split_mapping(cells, names)
        first, addresses = arrays[0], [address(x) for x in arrays]
        alike = all(x.strides == first.strides for x in arrays)
    else:
        arrays, first, alike = [cells], _first_column(cells, names), True
        start, step = address(first), cells.strides[-1]
        addresses = [start + k * step for k in range(n)]
    visited = None if index is None else _check_index(index, first.size)
    strides = [_flat_stride(first)] * n if alike else [_flat_stride(x) for x in arrays]
    if None not in strides:
        return Layout(first.shape, addresses, strides, visited, arrays, first.dtype)
    if not alike:
        raise ValueError(
            "these arrays are sliced in several dimensions and have different strides: give views with the "
            "same strides, such as slices of equal arrays or of one array"
        )
    offsets = _element_offsets(first)
    lowest = int(offsets.min())
    addresses = [a + first.itemsize * lowest for a in addresses]
    offsets -= lowest
    visited = offsets if visited is None else offsets[visited]
    return Layout(first.shape, addresses, [1] * n, visited, arrays, first.dtype)


def address(array: np.ndarray) -> int:
    """Where the first element of an array is."""
    return array.__array_interface__["data"][0]


def spread(value: ArrayLike, layout: Layout, index: ArrayLike | None, what: str) -> float | np.ndarray:
    """Return a per-cell input: a float, or numbers of the cells' type, one per visited cell.

    `index` is the caller's, in numbers of cells. The result never overlaps the cells.
    """
    try:
        array = _numbers(value, layout.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{what} is {value!r}: give a number or an array of numbers") from error
    if array.ndim == 0:
        return float(array)
    try:
        array = np.broadcast_to(array, layout.shape)
    except ValueError:
        raise ValueError(
            f"{what} has shape {array.shape}, the cells have {layout.shape}: give a scalar or one value per cell"
        ) from None
    array = array.reshape(-1)
    if index is not None:
        array = array[np.asarray(index)]
    if array.strides[0] % array.itemsize or any(np.may_share_memory(array, field) for field in layout.arrays):
        array = array.copy()
    return array


def _numbers(value, dtype):
    if dtype.itemsize == 8:
        return np.asarray(value, dtype)
    with np.errstate(over="ignore", under="ignore"):  # what is infinite in float32 is so for the engine
        return np.asarray(value, dtype)


def _first_column(cells, names):
    _check_array(cells, "cells")
    if cells.ndim == 0 or cells.shape[-1] != len(names):
        raise ValueError(
            f"cells has shape {cells.shape}: its last dimension must be {len(names)}, one column for each of "
            f"{', '.join(names)}"
        )
    return cells[..., 0]


def _split_mapping(cells, names):
    missing = [name for name in names if name not in cells]
    unknown = [name for name in cells if name not in names]
    if missing or unknown:
        wrong = "; ".join(
            f"{what}: {', '.join(map(str, which))}"
            for what, which in (("missing", missing), ("unknown", unknown))
            if which
        )
        raise ValueError(f"cells does not hold the variables of this model ({wrong}): give {', '.join(names)}")
    fields = [cells[name] for name in names]
    for name, array in zip(names, fields):
        _check_array(array, f"cells[{name!r}]")
        if array.dtype != fields[0].dtype:
            raise TypeError(
                f"cells[{name!r}] is {array.dtype}, cells[{names[0]!r}] is {fields[0].dtype}: give all variables one "
                f"type, cells[{name!r}] = cells[{name!r}].astype({fields[0].dtype.name!r})"
            )
        if array.shape != fields[0].shape:
            raise ValueError(
                f"cells[{name!r}] has shape {array.shape}, cells[{names[0]!r}] has {fields[0].shape}: give all "
                "variables one shape"
            )
    for k, array in enumerate(fields):
        for i in range(k):
            if np.may_share_memory(array, fields[i]) and np.shares_memory(array, fields[i]):
                raise ValueError(
                    f"cells[{names[i]!r}] and cells[{names[k]!r}] share memory: give each variable its own"
                )
    return fields


def _check_array(array, what):
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{what} is a {type(array).__name__}: keep an array, which is changed in place, and pass that: "
            f"{what} = np.array({what}, dtype=float)"
        )
    if array.dtype not in (np.float64, np.float32):
        raise TypeError(
            f"{what} has dtype {array.dtype}, float64 and float32 (native byte order) work: keep a copy of "
            f"that type and pass that, {what} = {what}.astype(float)"
        )
    copied = f"keep a copy and pass that, {what} = np.array({what})"
    if not array.flags.writeable:
        raise ValueError(f"{what} is read-only and would be changed in place: {copied}")
    size = array.itemsize
    if not array.flags.aligned or any(stride % size for stride in array.strides):
        raise ValueError(
            f"{what} has strides {array.strides} or an address that are not multiples of {size} bytes: {copied}"
        )
    if _overlaps_itself(array):
        raise ValueError(f"{what} overlaps itself (shape {array.shape}, strides {array.strides}): {copied}")


def _overlaps_itself(array):
    """Whether two elements may share memory; sorted strides that each exceed the extent below rule it out."""
    if array.size <= 1:
        return False
    extent = array.itemsize
    for stride, n in sorted((abs(stride), n) for stride, n in zip(array.strides, array.shape) if n > 1):
        if stride < extent:
            return True
        extent = stride * (n - 1) + extent
    return False


def _flat_stride(array):
    """Distance in elements between cells in C order if it is the same everywhere, else None."""
    dims = [(stride // array.itemsize, n) for stride, n in zip(array.strides, array.shape) if n > 1]
    if not dims or array.size == 0:
        return 1
    for (outer, _), (inner, n) in zip(dims, dims[1:]):
        if outer != inner * n:
            return None
    return dims[-1][0]


def _element_offsets(array):
    """Element number of every cell in C order, relative to the first; shape (n_cells,)."""
    offsets = np.zeros(1, dtype=np.int64)
    for stride, n in zip(array.strides, array.shape):
        offsets = np.add.outer(offsets, np.arange(n, dtype=np.int64) * (stride // array.itemsize)).reshape(-1)
    return offsets


def _check_index(index, n_cells):
    index = np.asarray(index)
    if index.ndim != 1 or (index.size and not np.issubdtype(index.dtype, np.integer)):
        raise TypeError(f"index has dtype {index.dtype} and shape {index.shape}: give a list of cell numbers")
    index = np.ascontiguousarray(index, dtype=np.int64)
    if index.size == 0:
        return index
    if index.min() < 0 or index.max() >= n_cells:
        raise ValueError(f"index runs from {index.min()} to {index.max()}: give cell numbers 0..{n_cells - 1}")
    if np.bincount(index, minlength=1).max() > 1:
        raise ValueError("index names a cell twice: each cell can be advanced once per call")
    return index
