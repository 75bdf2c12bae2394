"""CVODE compiled with optimisation from the Debian source package of SUNDIALS, with KLU where SuiteSparse can be had.

Debian's own binary is compiled without optimisation and three to five times slower: never time it. The source is
fetched with apt through a private configuration, so neither root nor a deb-src line is needed, only a Debian or a
descendant whose archive is reachable.

References
----------
Hindmarsh et al. 2005, ACM Trans. Math. Softw. 31, 363, doi:10.1145/1089014.1089020.
"""

import os
import shutil
import tempfile
from pathlib import Path

from ._build import DEFAULT_DIRECTORY, OPTIMISE, BaselineError, find_tool, run_tool, sha256_of

ARCHIVE = "sundials_6.4.1+dfsg1.orig.tar.xz"
ARCHIVE_SHA256 = "c61157f1d4be06c704bea40cb131eb63ba2dada161989071604d0a0959cdf04a"
KLU_PACKAGES = ("libsuitesparse-dev", "libklu1", "libamd2", "libcolamd2", "libbtf1", "libsuitesparseconfig5")
SYSTEM_SOURCES = Path("/etc/apt")

APT_CONFIG = """\
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{0}/sources";
Dir::State::lists "{0}/lists";
Dir::Cache "{0}/cache";
APT::Sandbox::User "";
"""


def build(directory=None):
    """Fetch and compile CVODE once.

    Parameters
    ----------
    directory : path, optional
        Where sources and library are kept, default ``build/baselines`` of this repository. Without apt, put the file
        `ARCHIVE` into ``<directory>/cvode`` beforehand.

    Returns
    -------
    Path
        The installation prefix: static libraries of CVODE with its dense solver, and with KLU where SuiteSparse is
        installed (see `find_klu`) or Debian's binary packages can be unpacked beside the sources.
    """
    folder = Path(directory or DEFAULT_DIRECTORY) / "cvode"
    klu = find_klu(folder) or fetch_klu(folder)
    prefix = folder / ("prefix-klu" if klu else "prefix")
    if (prefix / "complete").is_file():
        return prefix
    cmake = find_tool("cmake", "install CMake, it builds CVODE")
    archive = folder / ARCHIVE
    if sha256_of(archive) != ARCHIVE_SHA256:
        fetch_archive(folder)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        run_tool(["tar", "-xf", archive, "-C", scratch, "--strip-components=1"])
        _compile(cmake, Path(scratch), prefix, klu)
    (prefix / "complete").touch()
    return prefix


def flags(prefix):
    """Compiler flags and libraries for a program that uses the CVODE in `prefix`: two lists."""
    klu = find_klu(Path(prefix).parent)
    compiling, linking = [f"-I{prefix}/include"], [prefix / "lib" / "libsundials_cvode.a"]
    if klu:
        include, library = klu
        compiling += [f"-I{include}", "-DWITH_KLU"]
        linking += [prefix / "lib" / "libsundials_sunlinsolklu.a", f"-L{library}", f"-Wl,-rpath,{library}"]
        linking += [f"-l{name}" for name in ("klu", "amd", "colamd", "btf", "suitesparseconfig")]
    return compiling, linking


def find_klu(folder):
    """(include folder, library folder) of SuiteSparse's KLU, or None.

    Looked for below $SUITESPARSE_ROOT or /usr, then where `fetch_klu` puts it.
    """
    for root in (Path(os.environ.get("SUITESPARSE_ROOT", "/usr")), folder / "suitesparse" / "usr"):
        folders = (root / "include" / "suitesparse", root / "include")
        include = next((place for place in folders if (place / "klu.h").is_file()), None)
        library = next((path.parent for path in sorted(root.glob("lib*/**/libklu.so"))), None)
        if include and library:
            return include, library
    return None


def fetch_klu(folder):
    """Unpack Debian's SuiteSparse below `folder`, without installing it; what `find_klu` then finds."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        try:
            run_tool([find_tool("apt-get", "it fetches KLU"), "download", *KLU_PACKAGES], cwd=scratch)
            for package in sorted(Path(scratch).glob("*.deb")):
                run_tool(["dpkg", "-x", package, folder / "suitesparse"])
        except BaselineError:
            return None
    return find_klu(folder)


def fetch_archive(folder):
    """Put `ARCHIVE` into `folder` with apt, from the archives this system already uses."""
    apt = find_tool("apt-get", f"CVODE is fetched from Debian's archive; or put {ARCHIVE} into {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        scratch = Path(scratch)
        for name in ("sources", "lists/partial", "cache/archives/partial"):
            (scratch / name).mkdir(parents=True)
        _write_source_lists(scratch / "sources")
        config = scratch / "apt.conf"
        config.write_text(APT_CONFIG.format(scratch))
        options = {"cwd": scratch, "env": {**os.environ, "APT_CONFIG": str(config), "LC_ALL": "C"}}
        try:
            run_tool([apt, "update"], **options)
            run_tool([apt, "source", "--download-only", "sundials"], **options)
        except BaselineError as error:
            raise BaselineError(f"apt could not fetch {ARCHIVE} ({error}); put it into {folder}") from None
        if sha256_of(scratch / ARCHIVE) != ARCHIVE_SHA256:
            raise BaselineError(f"this system's archive has another SUNDIALS; put {ARCHIVE} into {folder}")
        shutil.copyfile(scratch / ARCHIVE, folder / ARCHIVE)


def _write_source_lists(target):
    """The system's apt sources with 'deb' turned into 'deb-src', in both formats apt knows."""
    for path in sorted(SYSTEM_SOURCES.glob("sources.list.d/*.sources")):
        lines = path.read_text().splitlines()
        lines = ["Types: deb-src" if line.startswith("Types:") else line for line in lines]
        (target / path.name).write_text("\n".join(lines) + "\n")
    for path in (SYSTEM_SOURCES / "sources.list", *sorted(SYSTEM_SOURCES.glob("sources.list.d/*.list"))):
        if path.is_file():
            lines = [line for line in path.read_text().splitlines() if line.startswith("deb ")]
            (target / path.name).with_suffix(".list").write_text("".join(f"deb-src{line[3:]}\n" for line in lines))


def _compile(cmake, source, prefix, klu):
    """Configure, build and install CVODE alone, statically."""
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_C_FLAGS_RELEASE": " ".join(OPTIMISE),
        "CMAKE_INSTALL_PREFIX": prefix,
        "CMAKE_INSTALL_LIBDIR": "lib",
        "CMAKE_POSITION_INDEPENDENT_CODE": "ON",
        "BUILD_SHARED_LIBS": "OFF",
        "BUILD_STATIC_LIBS": "ON",
        "EXAMPLES_ENABLE_C": "OFF",
        "EXAMPLES_ENABLE_CXX": "OFF",
        "EXAMPLES_INSTALL": "OFF",
        "ENABLE_MPI": "OFF",
        "SUNDIALS_INDEX_SIZE": "32",
        **{f"BUILD_{name}": "OFF" for name in ("ARKODE", "CVODES", "IDA", "IDAS", "KINSOL")},
    }
    if klu:
        options |= {"ENABLE_KLU": "ON", "KLU_INCLUDE_DIR": klu[0], "KLU_LIBRARY_DIR": klu[1]}
    definitions = [f"-D{name}={value}" for name, value in options.items()]
    run_tool([cmake, "-S", source, "-B", source / "build", *definitions])
    run_tool([cmake, "--build", source / "build", "--parallel", str(os.cpu_count() or 1)])
    run_tool([cmake, "--install", source / "build"])
