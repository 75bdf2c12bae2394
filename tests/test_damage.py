"""What was written comes back, or an error: files that were cut short, overwritten or flipped in a bit."""

import re
import shutil
import subprocess
import sys
import warnings

import h5py
import numpy as np
import pytest
from surrogate.training.files import sealed
from surrogate.training.labels import load_labels, make_labels
from surrogate.training.nets.model_file import FORMAT_WITHOUT_DIGEST, flatten, read_arrays, write_tensors

import surrogate

LABELS = {
    "population": "box",
    "n": 100,
    "dts": 2,
    "split": "train",
    "seed": 1,
    "dt_range": (1e-3, 0.1),
    "chunk": 32,
    "advance": lambda cells, dt: cells * np.exp(-dt)[:, None],
    "progress": False,
}


def load_model(path):
    arrays, metadata = read_arrays(path)
    return {key: (array.dtype, array.tobytes()) for key, array in flatten(arrays)}, metadata


def load_label_file(path):
    labels = load_labels(path)
    return [np.array(x).tobytes() for x in (labels.start, labels.dt, labels.end, labels.status)], labels.meta


def make_model(path):
    rng = np.random.default_rng(1)
    weights = {"weights": {"0": rng.normal(size=(4, 60, 20)).astype(np.float32)}, "bias": rng.normal(size=(4, 20))}
    write_tensors(path, {"experts": weights}, {"system": "toy", "history": [{"minutes": 1.5}]}, packed=True)


def make_label_file(path):
    make_labels("decay-linear", path, **LABELS)


@pytest.mark.parametrize(("make", "load"), [(make_model, load_model), (make_label_file, load_label_file)])
def test_damaged_hdf5_is_told_or_harmless(make, load, mutants, tmp_path):
    make(tmp_path / "good.h5")
    expected, damaged, n_errors = load(tmp_path / "good.h5"), tmp_path / "bad.h5", 0
    for content in mutants((tmp_path / "good.h5").read_bytes()):
        damaged.unlink(missing_ok=True)
        damaged.write_bytes(content)
        try:
            assert load(damaged) == expected
        except ValueError as error:
            n_errors += 1
            assert str(damaged) in str(error) and "\n" not in str(error)
    assert n_errors > 20


OPEN = """
import sys, numpy as np, surrogate
for path in sys.argv[1:]:
    try:
        cells = np.tile([1.0, 2.0, 100.0], (4, 1))
        surrogate.load(path).stepper(rtol=0.1).step(cells, 10.0)
        print("same" if cells.tobytes().hex() == "EXPECTED" else "OTHER NUMBERS")
    except surrogate.ModelError as error:
        print("error", error)
"""


def test_damaged_libraries_are_told_before_they_are_mapped(toys, mutants, tmp_path):
    content = sealed((toys / "toy_net.so").read_bytes())
    (tmp_path / "good.so").write_bytes(content)
    cells = np.tile([1.0, 2.0, 100.0], (4, 1))
    surrogate.load(tmp_path / "good.so").stepper(rtol=0.1).step(cells, 10.0)
    paths = [tmp_path / "good.so"]
    for i, mutant in enumerate(mutants(content)):
        paths.append(tmp_path / f"{i}.so")
        paths[-1].write_bytes(mutant)
    script = OPEN.replace("EXPECTED", cells.tobytes().hex())
    done = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True)
    assert done.returncode == 0, f"killed by {done.returncode} after {done.stdout[-300:]}"
    said = done.stdout.splitlines()
    assert len(said) == len(paths) and said[0] == "same"
    assert {line.split()[0] for line in said[1:]} <= {"same", "error"}
    assert sum("is damaged: its content" in line for line in said) > len(said) / 3


def test_every_change_of_a_sealed_library_shows(toys, tmp_path):
    """Single bits, words that change places, bytes put in: all that two sums must tell."""
    rng, bad = np.random.default_rng(2), tmp_path / "bad.so"
    library = (toys / "toy.so").read_bytes()
    words = np.frombuffer(library + bytes(-len(library) % 4), np.uint32).copy()
    (i, j), content = np.flatnonzero(np.diff(words))[[5, -5]], sealed(words.tobytes())
    assert words[i] != words[j]
    words[[i, j]] = words[[j, i]]
    n = len(content) - 40
    changed = [words.tobytes() + content[n:]]
    for at in rng.integers(n, size=100):
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(rng.integers(8))
        changed.append(bytes(flipped))
    changed.append(content[:n] + b"\0" + content[n:])
    for mutant in changed:
        bad.unlink(missing_ok=True)
        bad.write_bytes(mutant)
        with pytest.raises(surrogate.ModelError):
            surrogate.load(bad)


def test_exported_and_shipped_libraries_are_sealed(build):
    paths = [build("decay-linear")[1].path, *(model.path for model in surrogate.models().values())]
    for path in paths:
        content = path.read_bytes()
        assert sealed(content[:-40]) == content, path


@pytest.mark.parametrize("name", ["net.h5", "none.h5"])
def test_names_that_are_no_models(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_model("net.h5")
    with pytest.raises(surrogate.ModelError, match="surrogate export"):
        surrogate.load(name)
    with pytest.raises(surrogate.ModelError, match="surrogate export" if name == "net.h5" else "no readable file"):
        surrogate.load(f"./{name}")
    with pytest.raises(surrogate.ModelError, match=r"\./dh\.so"):
        surrogate.load("dh.so")


def test_model_files_of_the_last_format_are_read_with_a_warning(tmp_path):
    path = tmp_path / "old.h5"
    make_model(path)
    expected = load_model(path)
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = FORMAT_WITHOUT_DIGEST
    with pytest.raises(ValueError, match="is damaged"):
        load_model(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["digest"]
    with pytest.warns(UserWarning, match="without a digest"):
        assert load_model(path) == expected
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = FORMAT_WITHOUT_DIGEST + 1
    with pytest.raises(ValueError, match="is damaged"):
        load_model(path)


def test_shipped_model_files_have_their_digest():
    zoo = (__import__("pathlib").Path(__file__).parent.parent / "training" / "zoo").glob("*.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len([read_arrays(path) for path in zoo]) >= 5


def test_labels_of_the_first_version_are_read(tmp_path):
    new, old = tmp_path / "new.h5", tmp_path / "old.h5"
    make_label_file(new)
    with h5py.File(new) as source, h5py.File(old, "w") as file:
        file.attrs.update({k: v for k, v in source.attrs.items() if k != "digest"} | {"format_version": 1})
        for name, dataset in source.items():
            data = (dataset[()] != 0).astype("i1") if name == "checksum" else dataset[()]
            file.create_dataset("done" if name == "checksum" else name, data=data)
    assert load_label_file(old)[0] == load_label_file(new)[0]


def test_a_damaged_chunk_of_labels_is_told_and_made_anew(tmp_path):
    path = tmp_path / "labels.h5"
    make_label_file(path)
    whole = path.read_bytes()
    with h5py.File(path) as file:
        at = file["end"].id.get_offset() + 40 * 2 * 8  # in the second chunk
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(b"\x55")
    with pytest.raises(ValueError, match="chunk 1 is not what was written"):
        load_labels(path)
    make_label_file(path)
    assert path.read_bytes() == whole


def test_nothing_is_left_behind_and_what_was_is_used(tmp_path):
    make_model(tmp_path / "net.h5")
    (tmp_path / ".tmp-net.h5").write_text("from a run that was killed")
    make_model(tmp_path / "net.h5")
    with pytest.raises(TypeError):
        write_tensors(tmp_path / "net.h5", {}, {"cannot": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["net.h5"]


@pytest.mark.skipif(not shutil.which("strip"), reason="strip is not installed")
def test_a_stripped_library_still_loads(toys, tmp_path):
    """Packagers strip; what is left has no seal, and is taken as any library."""
    (tmp_path / "toy.so").write_bytes(sealed((toys / "toy.so").read_bytes()))
    subprocess.run(["strip", tmp_path / "toy.so"], check=True)
    assert not re.search(b"surrogate seal", (tmp_path / "toy.so").read_bytes())
    assert surrogate.load(tmp_path / "toy.so").selftest() < 1e-12
