# make demo        a blast wave in clumpy gas on two MPI ranks, with the surrogate and with the solver alone; demo/demo.png
# make test        everything: C, Fortran, Python and MPI tests
# make test-mpich  the MPI tests again, with MPICH in place of Open MPI
# make lint        whether Python and C are formatted, and Python free of faults that ruff finds
# make format      bring both into form
# make generate    write what Fortran and Python say of the C interface anew, from bindings/include
# make tables      write README.md and benchmarks/README.md anew, tables and pictures, from benchmarks/results/*.json
# make build       install anew what a change in C or in the code generator affects
# make clean       remove what the others made
#
# Needs Python >= 3.10, a C compiler and make. All else goes into .venv; nothing is installed outside it, except
# gfortran and its MPI where apt-get can (root in a container). Without a GPU, name an index with CPU-only builds of torch
# first:
# PIP_EXTRA_INDEX_URL=... make test. Another version: make test TORCH=torch==2.9.0
PYTHON ?= python3
TORCH  ?= $(shell grep ^torch constraints.txt)
BUILD  := build/cmake
MPICH  := build/mpich
PIP    := .venv/bin/pip --disable-pip-version-check

export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONPATH

.PHONY: demo test test-mpich lint format generate build tables ctest pytest install-demo install-test fortran clean

demo: install-demo
	.venv/bin/surrogate demo --ranks 2

test: lint ctest pytest

build: install-test

generate:
	$(PYTHON) bindings/generate.py

tables:
	.venv/bin/python -m benchmarks.readme_tables
	.venv/bin/python -m benchmarks.figures

SOURCES_IN_C = $$(find bindings tests benchmarks training -name '*.[ch]')

lint: install-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/clang-format --dry-run -Werror $(SOURCES_IN_C)

format: install-test
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	.venv/bin/clang-format -i $(SOURCES_IN_C)

ctest: install-test fortran
	cmake -S . -B $(BUILD)/release -DCMAKE_BUILD_TYPE=Release \
	  -DSURR_EXAMPLE_MODELS="$$(.venv/bin/python -c 'from surrogate.model import ENGINE_DIR; print(ENGINE_DIR / "models")')"
	cmake --build $(BUILD)/release --parallel 2
	ctest --test-dir $(BUILD)/release --output-on-failure
	cmake -S . -B $(BUILD)/sanitize -DCMAKE_BUILD_TYPE=Debug -DSURR_SANITIZE=ON
	cmake --build $(BUILD)/sanitize --parallel 2
	ctest --test-dir $(BUILD)/sanitize --output-on-failure

pytest: install-test
	.venv/bin/pytest

# An environment on top of .venv: mpi4py's wheels take the MPI of the one in which they run.
test-mpich: install-test fortran
	.venv/bin/python -m venv $(MPICH)
	$(MPICH)/bin/pip --disable-pip-version-check install -q mpich
	.venv/bin/python -c 'from sysconfig import get_path; print("import site; site.addsitedir(%r)" % get_path("purelib"))' \
	  > "$$($(MPICH)/bin/python -c 'from sysconfig import get_path; print(get_path("purelib"))')/below.pth"
	$(MPICH)/bin/python -c 'from mpi4py.MPI import Get_library_version as f; assert "MPICH" in f(), f(); print(f().split("\n")[0])'
	PATH="$(CURDIR)/$(MPICH)/bin:$$PATH" cmake -S . -B $(BUILD)/mpich -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD)/mpich --parallel 2
	ctest --test-dir $(BUILD)/mpich --output-on-failure -R '^test_mpi'
	$(MPICH)/bin/python -m pytest -m mpi

# An editable install needs its build tools in the same environment; see build-system.requires in pyproject.toml.
.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(PIP) install -q "scikit-build-core>=0.11" "cffi>=2.1" "sympy>=1.13" "pyyaml>=6" "numpy>=1.24" "h5py>=3.9"
	command -v cmake >/dev/null || $(PIP) install -q "cmake>=3.20"
	command -v ninja >/dev/null || $(PIP) install -q ninja
	touch $@

install-demo: .venv/ready
	$(PIP) install -q --no-build-isolation -e ".[demo,mpi]"

install-test: .venv/ready
	printf '%s\n' "$(TORCH)" > .venv/constraints.txt
	$(PIP) install -q -c .venv/constraints.txt --no-build-isolation -e ".[training,test,mpi,demo]"

fortran:
	@{ command -v gfortran && command -v mpif90; } >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -qq && apt-get install -y -qq gfortran libopenmpi-dev >/dev/null; } \
	  || echo "NOTE: gfortran or mpif90 is not installed (Debian, Ubuntu: apt-get install gfortran libopenmpi-dev): tests" \
	    "that need them are skipped"

clean:
	rm -rf .venv build
	find surrogate training tests benchmarks bindings -name __pycache__ -prune -exec rm -rf {} +
