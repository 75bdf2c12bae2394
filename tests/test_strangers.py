"""Files of strangers are data: nothing in them is run, followed or believed unseen, and none hangs its reader."""

import copy
import json
import signal
import sys

import h5py
import numpy as np
import pytest
import yaml
from surrogate.training import get_system
from surrogate.training.codegen.c import c_string, write_mechanism
from surrogate.training.labels import load_labels
from surrogate.training.nets.model_file import read_arrays, save_model, write_tensors
from surrogate.training.systems import Parameter, System, Variable, system_of
from surrogate.training.systems.network import load_network

from surrogate import cli

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install 'stiff-surrogate[training]'")

from surrogate.training.codegen.library import export_model  # noqa: E402
from surrogate.training.fit.prepare import routing_rows  # noqa: E402
from surrogate.training.nets import calibration as cal  # noqa: E402
from surrogate.training.nets.domain import Domain  # noqa: E402
from surrogate.training.nets.encoding import Encoding  # noqa: E402
from surrogate.training.nets.experts import NetConfig, Router, Surrogate  # noqa: E402
from surrogate.training.nets.net_data import NetData  # noqa: E402
from surrogate.training.nets.trained import load_trained  # noqa: E402
from surrogate.training.nets.vectors import net_vectors  # noqa: E402
from surrogate.training.populations import box  # noqa: E402

pytestmark = pytest.mark.torch

#: a module that shows if it was imported, and a system in it
EVIL = """
import pathlib
pathlib.Path("ran").write_text("")
from surrogate.training.systems import robertson as go
"""


@pytest.fixture(autouse=True)
def in_time():
    """A reader that hangs fails."""

    def stop(*_):
        raise AssertionError("it hangs")

    old = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def robertson():
    return get_system("robertson")


@pytest.fixture(scope="module")
def net_file(robertson, tmp_path_factory):
    """A calibrated model file with a net that was never trained."""
    state, dt = (torch.from_numpy(x) for x in box(robertson, 300, 5, (1e-2, 1e2)))
    encoding = Encoding(robertson, (1e-2, 1e2))
    features = encoding.features(state, dt)
    torch.manual_seed(0)
    config = NetConfig(width=8, depth=1, regions=(2, 1, 1))
    router = Router.fit(features, routing_rows(encoding), config.regions)
    statistics = {
        "mean": features.mean(0).repeat(2, 1),
        "std": features.std(0).clamp_min(1e-3).repeat(2, 1),
        "out_std": torch.full((2, 3), 0.1),
    }
    net = Surrogate(encoding, router, config, statistics)
    domain, calibration = Domain.of(encoding, state, dt), cal.Calibration(-5.0, 0.5, np.full(13, -1.01), 0.99)
    path = tmp_path_factory.mktemp("net") / "net.h5"
    save_model(
        path,
        net,
        net_vectors(robertson, net, domain, calibration),
        system="robertson",
        system_hash=robertson.hash,
        domain=cal.as_plain(domain),
        calibration=cal.as_plain(calibration),
        held_out={"box": {"log10_error": [-2.0, -1.0, 0.0, 1.0], "accepted": {"0.1": 0.5}}},
    )
    return path


def rewrite(net_file, path, change):
    """The model file with its arrays and attributes changed, and a digest that fits."""
    arrays, metadata = read_arrays(net_file)
    change(arrays, metadata)
    write_tensors(path, arrays, metadata)
    return path


# ---- systems ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [["export", "--to", "."], ["evaluate", "--labels", "x.h5"], ["calibrate", "--labels", "x.h5"]]
)
def test_a_file_does_not_have_its_system_imported(command, net_file, place, capsys):
    (place / "evil.py").write_text(EVIL)
    rewrite(net_file, "net.h5", lambda _, metadata: metadata.update(system_source="evil:go"))
    assert cli.main([command[0], "net.h5", *command[1:]]) == 1
    said = capsys.readouterr().err
    assert "'evil:go'" in said and "--system" in said and said.count("\n") == 1
    assert not (place / "ran").exists()
    if command[0] == "export":
        command = [*command, "--cc", "false"]
    assert cli.main([command[0], "net.h5", *command[1:], "--system", "evil:go"]) == 1  # for other reasons
    assert (place / "ran").exists()
    sys.modules.pop("evil")


@pytest.mark.parametrize("name", ["evil:go", "os:system", "", None, 3, ["robertson"], "robertson ", "../robertson"])
def test_only_systems_of_the_library_are_taken_from_a_file(name, robertson):
    with pytest.raises(ValueError, match="--system MODULE:FUNCTION"):
        system_of({"system_source": name} if name != "" else {}, "net.h5")
    assert system_of({"system": "robertson"}, "net.h5").hash == robertson.hash


def test_the_current_directory_comes_last(place):
    """A user's module is found, and shadows nothing."""
    for name in ("own_system", "tqdm", "decimal"):
        (place / f"{name}.py").write_text(EVIL if name != "own_system" else EVIL.replace("ran", "own"))
    sys.modules.pop("decimal", None)
    before = list(sys.path)
    assert get_system("own_system:go").name == "robertson" and (place / "own").exists()
    assert sys.path == before
    with pytest.raises(ValueError, match="importable"):
        get_system("decimal:go")
    assert not (place / "ran").exists()
    for name in ("own_system", "decimal"):
        sys.modules.pop(name, None)


# ---- nets ------------------------------------------------------------------------------------------------------------

INJECTION = "8\n__attribute__((constructor)) static void go(void) { __builtin_trap(); }\n//"


#: what is a number in its place, if not a good one
HARMLESS = [
    ("dt_lower", 10**30),
    ("calibration/lower", 10**30),
    ("calibration/lower", -1),
    ("calibration/width", 10**30),
    ("calibration/cheap", 10**30),
    ("domain/law_upper", [1.0]),
]


def place_in(tree, path, value):
    *parents, leaf = path.split("/")
    for parent in parents:
        tree = tree[parent]
    tree[leaf] = value


@pytest.mark.parametrize("value", [INJECTION, None, float("nan"), float("inf"), 10**30, -1, [1.0], {}, True])
@pytest.mark.parametrize(
    "path",
    [
        "net/width",
        "net/depth",
        "net/regions",
        "dt_lower",
        "calibration/lower",
        "calibration/nodes",
        "calibration/width",
        "calibration/cheap",
        "domain/lower",
        "domain/law_upper",
        "net",
        "domain",
        "calibration",
        "system_hash",
    ],
)
def test_no_word_of_a_model_file_reaches_code(path, value, net_file, robertson, place):
    if (path, value) in HARMLESS:
        return
    rewrite(net_file, "net.h5", lambda _, metadata: place_in(metadata, path, value))
    with pytest.raises(ValueError) as caught:
        data = NetData.read("net.h5")
        if data.metadata["system_hash"] != robertson.hash:
            raise ValueError("another system")
        data.check(robertson)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2000
    with pytest.raises(ValueError):
        load_trained("net.h5")


SHAPES = {
    "narrow": lambda a: a[..., :-1],
    "twice": lambda a: np.concatenate([a, a]),
    "nan": lambda a: a * np.nan,
    "deeper": lambda a: a[None],
    "text": lambda a: np.full(a.shape, 3 + 0j),
}


@pytest.mark.parametrize(
    "path",
    [
        "mean",
        "std",
        "slope",
        "router/edges0",
        "experts/weights/1",
        "experts/biases/0",
        "judge/weights/0",
        "gauge/biases/1",
        "vectors/net_y",
    ],
)
@pytest.mark.parametrize("change", SHAPES)
def test_sizes_of_a_net_are_those_of_its_arrays(path, change, net_file, robertson, place):
    """C would read beyond them."""

    def apply(arrays, _):
        *parents, leaf = path.split("/")
        for parent in parents:
            arrays = arrays[parent]
        arrays[leaf] = SHAPES[change](arrays[leaf])

    with pytest.raises((ValueError, TypeError)):
        rewrite(net_file, "net.h5", apply)
        NetData.read("net.h5").check(robertson)


def test_few_words_do_not_ask_for_much_memory(net_file, place):
    for kind in ("residual", "dgm", "deeponet"):
        rewrite(net_file, "net.h5", lambda _, m, k=kind: m["net"].update(width=4096, regions=[256, 1, 1], kind=k))
        with pytest.raises(ValueError, match="more than the file holds"):
            load_trained("net.h5")


def test_the_net_itself_passes(net_file, robertson):
    NetData.read(net_file).check(robertson)
    assert load_trained(net_file)[0].hash == robertson.hash


# ---- names -----------------------------------------------------------------------------------------------------------


WRONG_NAMES = ["x */ int y; /*", "x'; import os", "a b", "x\n", "", "é", "x" * 200, "../x", "x;", "2+2 "]


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_names_are_names(name):
    x = Variable("x")
    with pytest.raises(ValueError, match="the system's name is"):
        System(name, (x,), (0,))
    with pytest.raises(ValueError, match="as a symbol is"):
        System("s", (x, Variable(name)), (0, 0))
    with pytest.raises(ValueError, match="as a symbol is"):
        System("s", (x,), (0,), (Parameter(name),))


@pytest.mark.parametrize(
    "change",
    [
        {"unit": 3},
        {"unit": "x" * 200},
        {"role": "x */"},
        {"lower": float("nan")},
        {"mass": float("inf")},
        {"n_hydrogen": "1"},
    ],
)
def test_descriptions_are_checked(change):
    with pytest.raises((ValueError, TypeError)):
        System("s", (Variable("x", **change),), (0,))


def test_no_two_names_become_one():
    with pytest.raises(ValueError, match="two variables or parameters are Hp"):
        System("s", (Variable("H+"), Variable("Hp")), (0, 0))


def test_models_are_named_like_files(robertson, tmp_path):
    for name in ("../x", "a/b", "x;y", ".hidden", "x\0"):
        with pytest.raises(ValueError, match="the model's name is"):
            export_model(robertson, tmp_path, name=name)
    assert not list(tmp_path.iterdir())


def test_any_text_is_a_string_in_c():
    text = '"; } evil(); /* \\ \n \0 \x7f ??/ é \u2028 %s */'
    literal = c_string(text)
    assert literal.isascii() and literal.isprintable() and literal[1:-1].count('"') == 0 and "??" not in literal
    assert eval("b" + literal).decode() == text  # octal escapes mean the same in Python


# ---- networks --------------------------------------------------------------------------------------------------------

NETWORK = {
    "temperature": {"floor": 2.73, "upper": 1e9},
    "constants": {"gamma": 5 / 3, "k_boltzmann": 1.380648e-16, "mass_hydrogen": 1.67e-24},
    "species": [
        {"name": "e-", "charge": -1, "H": 0, "He": 0, "mass": 9.1e-28},
        {"name": "H", "charge": 0, "H": 1, "He": 0, "mass": 1.67e-24},
        {"name": "H+", "charge": 1, "H": 1, "He": 0, "mass": 1.67e-24},
    ],
    "parameters": {"zeta": {"value": 1e-17, "unit": "1/s", "lower": 0.0, "upper": 1.0}},
    "definitions": [{"lnT": "log(T)"}],
    "presets": {"corrected": {}},
    "reactions": [
        {"id": "G1", "equation": "H+ + e- -> H", "rate": "3e-12*(T/300)**-0.6", "ref": "a"},
        {
            "id": "G2",
            "equation": "H -> H+ + e-",
            "rate": [{"when": "T < 100", "expr": "zeta"}, {"when": "T >= 100", "expr": "2*zeta"}],
            "ref": "b",
        },
    ],
}
THERMAL = {
    "constants": {"eV": 1.6e-12},
    "definitions": [],
    "tables": {"steps": {"x": [1, 2, 3], "y": [1, 2, 4]}},
    "heating": [{"rays": "zeta*n_H*eV"}],
    "cooling": [{"lines": "1e-27*n_H*steps(log10(T))"}],
    "metals": {"fs_cie": []},
}


def load(place, network=NETWORK, thermal=THERMAL):
    for name, content in (("network", network), ("thermal", thermal)):
        (place / f"{name}.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return load_network("mine", place / "network.yaml", place / "thermal.yaml")


def changed(tree, path, value):
    tree = copy.deepcopy(tree)
    place = tree
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return tree


RATE = ("reactions", 0, "rate")
HOSTILE = {
    "tower": (RATE, "9**9**9**9"),
    "tower of floats": (RATE, "9.0**9.0**9.0**9.0"),
    "factory": (RATE, "exp(exp(exp(exp(9))))"),
    "large": (RATE, "1" + "0" * 4000),
    "larger": (RATE, "1e999999999"),
    "product": (RATE, "*".join(["1e300"] * 300)),
    "twins": (RATE, "min(" * 60 + "T" + ", 2)" * 60),
    "squares": (RATE, "max(" * 40 + "T" + ", T**2)" * 40),
    "brackets": (RATE, "(" * 3000 + "T" + ")" * 3000),
    "minus": (RATE, "-" * 9000 + "1"),
    "long": (RATE, "T+" * 50_000 + "1"),
    "zero": (RATE, "1/0"),
    "zero to minus one": (RATE, "0**-1"),
    "root": (RATE, "(-1)**0.5"),
    "log": (RATE, "log(-1)"),
    "not a number": (RATE, "1e9999 - 1e9999"),
    "call": (RATE, "__import__('os').system('touch ran')"),
    "attribute": (RATE, "T.__class__"),
    "lambda": (RATE, "(lambda: 1)()"),
    "text": (RATE, "'x'"),
    "nothing": (RATE, ""),
    "two": (RATE, "1; 2"),
    "nul": (RATE, "1\0"),
    "unknown": (RATE, "kT"),
    "arguments": (RATE, "exp(1, 2)"),
    "comparison": (RATE, "T < 3"),
    "list": (RATE, [1, 2]),
    "dict": (RATE, {"a": 1}),
    "condition": (("reactions", 1, "rate", 0, "when"), "open('/etc/passwd')"),
    "no branch": (("reactions", 1, "rate", 0, "expr"), None),
    "parameter's name": (("parameters", "x = __import__('os').system('touch ran')"), NETWORK["parameters"]["zeta"]),
    "definition's name": (("definitions", 0), {"x; import os": "log(T) + 1 + T + T**2 + T**3 + zeta + 2*T"}),
    "species' name": (("species", 0, "name"), "e-\n*/ evil"),
    "reaction's name": (("reactions", 0, "id"), "G1; evil()"),
    "no temperature": (("temperature",), None),
    "mass": (("species", 1, "mass"), "heavy"),
    "mass of nan": (("species", 1, "mass"), float("nan")),
    "mass below zero": (("species", 1, "mass"), -1.0),
    "value": (("parameters", "zeta", "value"), float("inf")),
    "range": (("parameters", "zeta", "lower"), 3.0),
    "unit": (("parameters", "zeta", "unit"), {"x": 1}),
    "constant": (("constants", "gamma"), "import os"),
    "constant of nan": (("constants", "gamma"), float("nan")),
    "reactions": (("reactions",), 3),
    "species": (("species",), None),
    "unbalanced": (("reactions", 0, "equation"), "H+ -> H"),
    "no equation": (("reactions", 0, "equation"), 7),
}


def test_the_network_of_these_tests_is_good(place):
    system = load(place)
    assert system.names == ("e-", "H", "H+", "T") and "mechanism_rhs" in write_mechanism(system)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_networks_are_refused(name, place):
    path, value = HOSTILE[name]
    with pytest.raises(ValueError) as caught:
        write_mechanism(load(place, changed(NETWORK, path, value)))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 3000
    assert not (place / "ran").exists()


@pytest.mark.parametrize(
    "rate",
    [
        "exp(2.5*log(((((1 + log(T) + zeta)**16)**16)**16)))",
        "((((1 + log(T) + zeta)**16)**16)**16)",
        "*".join(f"({k} + log(T) + zeta)" for k in range(40)),
        "T**0.5**0.5**0.5",
        "1e-300*1e-300",
    ],
)
def test_large_expressions_are_read_in_time(rate, place):
    try:
        write_mechanism(load(place, changed(NETWORK, RATE, rate)))
    except ValueError as error:
        assert "becomes more than" in str(error)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tables", "steps", "y"), [1, float("nan"), 3]),
        (("tables", "steps", "x"), [1, 1, 1]),
        (("tables", "steps", "x"), "abc"),
        (("tables", "x; evil"), {"x": [1, 2, 3], "y": [1, 2, 4]}),
        (("heating", 0), {"x */": "zeta*n_H*eV + T + T**2 + T**3 + 4"}),
        (("cooling",), None),
        (("metals",), {}),
        (("constants", "eV"), [1]),
    ],
)
def test_hostile_heating_and_cooling_is_refused(path, value, place):
    with pytest.raises(ValueError) as caught:
        write_mechanism(load(place, thermal=changed(THERMAL, path, value)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- 1\n- 2",
        "x: !!python/object/apply:os.system ['touch ran']",
        "[" * 5000,
        "{a: 1, b: [",
        "a: &x [1]\nb: *x",
        "a: &a [&b [&c [x, x], *b, *b], *a]",
        "\0",
        "a: 1:" + "1:" * 5000 + "1",
        "? [1]\n: 2",
        "a: 2024-99-99",
        "\ud800",
    ],
)
def test_hostile_yaml_is_refused(text, place):
    (place / "network.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError) as caught:
        load_network("mine", place / "network.yaml")
    assert "\n" not in str(caught.value) and "network.yaml" in str(caught.value)
    assert not (place / "ran").exists()
    with pytest.raises(ValueError, match="cannot be read"):
        load_network("mine", place / "none.yaml")


def test_damaged_networks_are_refused_or_other_systems(mutants, place):
    """Text is for people to change, so that no checksum guards it: what is read has its hash, or is refused."""
    good, n_errors = load(place), 0
    text = yaml.safe_dump(NETWORK)
    for content in mutants(text.encode()):
        (place / "network.yaml").write_bytes(content)
        try:
            system = load_network("mine", place / "network.yaml", place / "thermal.yaml")
        except ValueError as error:
            n_errors += 1
            assert "\n" not in str(error)
        else:
            assert system.hash != good.hash or write_mechanism(system) == write_mechanism(good)
    assert n_errors > 10


# ---- HDF5 ------------------------------------------------------------------------------------------------------------


def self_containing(file):
    group = file.create_group("a")
    group["a"] = group


def in_another_file(file):
    file.create_dataset("x", (8,), "f8", external=[("/etc/passwd", 0, 64)])


def virtual(file):
    layout = h5py.VirtualLayout((8,), "f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (8,))
    file.create_virtual_dataset("x", layout)


def deep(file):
    for _ in range(100):
        file = file.create_group("a")


ODD = {
    "external link": lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")),
    "soft link": lambda file: file.__setitem__("x", h5py.SoftLink("/")),
    "circle": self_containing,
    "other file": in_another_file,
    "virtual": virtual,
    "deep": deep,
    "text": lambda file: file.__setitem__("x", "text"),
    "texts": lambda file: file.__setitem__("x", ["a", "b"]),
    "references": lambda file: file.create_dataset("x", (2,), h5py.ref_dtype),
    "compound": lambda file: file.create_dataset("x", (2,), np.dtype([("a", "f8"), ("b", "i4")])),
    "complex": lambda file: file.__setitem__("x", 1j),
    "empty": lambda file: file.__setitem__("x", h5py.Empty("f8")),
    "type": lambda file: file.__setitem__("x", np.dtype("f8")),
    "bomb": lambda file: file.create_dataset("x", (2**20, 2**20), "f8", chunks=(1024, 1024), compression="gzip"),
    "unit": lambda file: file.create_dataset("x", data=[1.0]).attrs.__setitem__("unit", "x"),
}


#: of a label file with one number, as one writes them by hand
LABEL_ATTRIBUTES = {
    "format": "stiff-surrogate labels",
    "format_version": 1,
    "n": 1,
    "dts": 1,
    "chunk": 1,
    "variables": ["x"],
    "parameters": ["x"],
    "param_ranges": "",
    "system": "s",
    "system_hash": "h",
    "split": "train",
    "command": "",
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("kind", ["model", "labels"])
def test_hostile_hdf5_is_refused(name, kind, place):
    with h5py.File("x.h5", "w") as file:
        ODD[name](file)
        if kind == "model":
            file.attrs["format"] = 6
        else:
            file.attrs.update(LABEL_ATTRIBUTES)
    with pytest.raises(ValueError, match="x.h5 (is not a|is damaged|holds)") as caught:
        (read_arrays if kind == "model" else load_labels)("x.h5")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["[" * 100_000, "{", "nonsense", b"\xff\xfe", 3, [1, 2], ["a", "b"], ""])
def test_hostile_attributes_are_refused(value, place):
    with h5py.File("x.h5", "w") as file:
        file.attrs["format"] = 6
        try:
            file.attrs["net"] = value
        except (ValueError, RuntimeError, OSError):
            file.attrs["net"] = np.bytes_(json.dumps(value)[:60_000] + "[")
    with pytest.raises(ValueError, match="x.h5 is not a model file"):
        read_arrays("x.h5")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", -1),
        ("n", 2**60),
        ("dts", "many"),
        ("chunk", 0),
        ("variables", 3),
        ("param_ranges", [1, 2]),
        ("n", [1, 2]),
        ("n", 1.5),
    ],
)
def test_hostile_attributes_of_labels_are_refused(name, value, place):
    with h5py.File("x.h5", "w") as file:
        file.attrs.update(LABEL_ATTRIBUTES | {name: value})
    with pytest.raises(ValueError, match="x.h5 is"):
        load_labels("x.h5")


def test_files_that_are_none(place):
    (place / "a.h5").write_text("text")
    (place / "d.h5").mkdir()
    for path in ("a.h5", "d.h5", "none.h5"):
        with pytest.raises(ValueError, match=path):
            read_arrays(path)
