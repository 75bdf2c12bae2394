"""What building any opponent needs: where, with which flags, and one-line errors."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
DEFAULT_DIRECTORY = REPOSITORY / "build" / "baselines"

OPTIMISE = ("-O3", "-march=native")
SHARED = ("-fPIC", "-shared")


class BaselineError(RuntimeError):
    """An opponent cannot be built or run here; the message says what is missing."""


def find_tool(name, advice):
    """Path of the program `name`, or a `BaselineError` that carries the advice."""
    path = shutil.which(name)
    if path is None:
        raise BaselineError(f"{name} not found: {advice}")
    return path


def run_tool(command, **options):
    """Run a program quietly; when it fails raise its last line of output."""
    command = [str(word) for word in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        raise BaselineError(f"{Path(command[0]).name} failed: {last_line(done.stdout)}")
    return done.stdout


def last_line(output):
    """The most telling line of a log: the first with 'error', else the last that is not blank."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower()]
    return (telling or lines[-1:] or ["no output"])[0]


def sha256_of(path):
    """Hexadecimal digest of one file, '' when there is no such file."""
    path = Path(path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def has_digests(folder, digests):
    """True if `folder` holds every file of `digests` (name -> sha256) unchanged."""
    return all(sha256_of(folder / name) == digest for name, digest in digests.items())


def build_once(folder, name, inputs, command):
    """Run `command + ['-o', library]` unless the same command was already run on the same inputs.

    Parameters
    ----------
    folder : Path
        Where to keep libraries; each lies in a sub-folder named after what it was made from, because a process that
        has opened a library never looks at a new one of the same path.
    name : str
        File name of the library.
    inputs : iterable of Path
        Every file whose content matters.
    command : list of str
        Compiler call without the output option.

    Returns
    -------
    Path
        The library.
    """
    command = [str(word) for word in command]
    digest = hashlib.sha256(" ".join(command).encode())
    for path in inputs:
        digest.update(sha256_of(path).encode())
    library = Path(folder) / digest.hexdigest()[:16] / name
    if not library.is_file():
        library.parent.mkdir(parents=True, exist_ok=True)
        scratch = library.with_name(f"{name}.{os.getpid()}")
        run_tool([*command, "-o", scratch])
        scratch.replace(library)
    return library
