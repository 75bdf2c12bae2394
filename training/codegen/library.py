"""From a system to a model library: generate C, compile it for each instruction set, link."""

import importlib.util
import os
import platform
import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..files import replacing, sealed
from ..systems import System, get_system
from ..systems.checks import name_of
from .c import write_mechanism
from .model import write_model
from .net import write_net

#: symbol suffix and compiler flags per instruction set, in the order of SURR_ISA_* in model_abi.h
ISA_FLAGS = {
    "base": ["-march=x86-64-v2"],
    "v3": ["-march=x86-64-v3"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}
CFLAGS = [
    "-std=gnu11",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-Wall",
    "-Wextra",
]


def export_model(
    system: System | str,
    directory: str | os.PathLike,
    cc: str | None = None,
    cflags: Sequence[str] = (),
    keep_source: bool = False,
    net: "NetData | tuple | None" = None,  # noqa: F821 - of nets, which codegen knows nothing of
    name: str | None = None,
    static: bool = False,
) -> Path:
    """Write ``directory/NAME.so``, a library that `surrogate.load` and ``surr_model_open`` take.

    Parameters
    ----------
    system : System or str
        A system, or the name of one that ships with the library.
    directory : str or path
        Created if needed. The library appears there under its final name only once it is complete.
    cc : str, optional
        C compiler command; default ``$CC``, else ``cc``.
    cflags : sequence of str
        Further compiler flags, e.g. ``["-fsanitize=address"]``.
    keep_source : bool
        Keep the generated C in ``directory/NAME.src``.
    net : NetData or tuple of (Surrogate, Domain, Calibration), optional
        A trained surrogate of the system; without, the library holds the solver alone.
    name : str, optional
        Of the model; default that of the system.
    static : bool
        Write ``directory/libNAME.a`` instead, to be linked into a host. Its one symbol is ``surr_model_NAME`` (with
        ``_`` for what C does not allow in a name), to be handed to ``surr_model_register``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    RuntimeError
        If the compiler fails; the message holds its output.
    ValueError
        If there are no C kernels for the architecture of the net.
    """
    if not isinstance(system, System):
        system = get_system(system)
    if isinstance(net, tuple):
        surrogate, *decision = net
        net = surrogate.net_data(system, *decision)
    if net:
        net.check(system)
    name = name_of(name or system.name, "the model's name")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    cc = compiler(cc)
    with tempfile.TemporaryDirectory() as scratch:
        source = directory / f"{name}.src" if keep_source else Path(scratch)
        source.mkdir(exist_ok=True)
        units = write_sources(source, name, system, net)
        include = ["-I", str(source), "-I", str(kernel_source())]
        objects = [os.path.join(scratch, f"{unit}.o") for _, unit, _ in units]
        commands = [
            [*cc, *CFLAGS, *cflags, *extra, *include, "-c", str(file), "-o", target]
            for (file, _, extra), target in zip(units, objects)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(run, commands))
        built = os.path.join(scratch, "library")
        if static:
            link_static(cc, objects, f"surr_model_{re.sub('[^A-Za-z0-9]', '_', name)}", built)
        else:
            run([*cc, *cflags, "-shared", *objects, "-o", built, "-lm"])
        content = Path(built).read_bytes()
        target = directory / (f"lib{name}.a" if static else f"{name}.so")
        with replacing(target) as file:
            file.write_bytes(content if static else sealed(content))
            file.chmod(os.stat(built).st_mode)
    return target


def write_sources(directory, name, system, net):
    """Generate the C of a model; a list of what to compile, (file, name of its object, flags of its own)."""
    isas = list(ISA_FLAGS) if platform.machine().lower() in ("x86_64", "amd64") else ["base"]
    (directory / "mechanism.h").write_text(write_mechanism(system))
    (directory / "model.c").write_text(write_model(name, system, isas, net))
    units = [(directory / "model.c", "model", [])]
    if net:
        header, weights = write_net(system, net)
        (directory / "net.h").write_text(header)
        (directory / "weights.c").write_text(weights)
        units.append((directory / "weights.c", "weights", []))
    has_net = ["-DSURR_HAS_NET"] if net else []
    for isa in isas:
        march = ISA_FLAGS[isa] if len(isas) > 1 else []
        units.append((kernel_source() / "kernel.c", isa, [*march, *has_net, f"-DSURR_KERNELS=surr_kernels_{isa}"]))
    return units


def compiler(cc=None):
    """Command of the C compiler, a list: `cc`, else ``$CC``, else ``cc``."""
    return shlex.split(cc or os.environ.get("CC") or "cc")


def link_static(cc, objects, entry, archive):
    """One object with one public symbol, so that several models can be linked into one host."""
    whole = f"{archive}.o"
    run([*cc, "-r", "-nostdlib", *objects, "-o", whole])
    run(["objcopy", "--redefine-sym", f"surr_model_entry={entry}", "--localize-hidden", whole])
    run(["ar", "rcs", archive, whole])


def kernel_source():
    """Directory of kernel.c: in the checkout, or installed beside the package."""
    here = Path(__file__).resolve().parent.parent.parent
    for place in (here / "bindings" / "kernel", here / "kernel"):
        if (place / "kernel.c").exists():
            return place
    package = importlib.util.find_spec("surrogate")  # where it is, without running it
    return Path(package.origin).parent / "kernel"


def run(command):
    """Run a compiler; RuntimeError with its output if it fails, or says why there is none."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise RuntimeError(
            f"{command[0]} cannot be run ({error.strerror}): install a C compiler (gcc or clang) and "
            "binutils, or say which with --cc or $CC"
        ) from error
    if result.returncode:
        said = result.stderr.splitlines() or [f"exit status {result.returncode}"]
        first = next((line for line in said if "error" in line), said[0])
        raise RuntimeError(f"{command[0]} failed: {first.strip()}\n{shlex.join(command)}\n{result.stderr}")
