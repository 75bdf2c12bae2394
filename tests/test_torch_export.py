"""A model as TorchScript and as an exported program, against the C library and double precision."""

import numpy as np
import pytest
from surrogate.training import get_system
from surrogate.training.codegen.library import export_model
from surrogate.training.commands.export import main
from surrogate.training.populations import box, wide

import surrogate
from surrogate import Status

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install 'stiff-surrogate[training]'")

from surrogate.training.fit.prepare import routing_rows  # noqa: E402
from surrogate.training.nets import calibration as cal  # noqa: E402
from surrogate.training.nets.architectures import ARCHITECTURES  # noqa: E402
from surrogate.training.nets.domain import Domain  # noqa: E402
from surrogate.training.nets.encoding import Encoding  # noqa: E402
from surrogate.training.nets.experts import NetConfig, Router, Surrogate, sort_into_blocks  # noqa: E402
from surrogate.training.nets.model_file import save_model  # noqa: E402
from surrogate.training.nets.torch_export import Predictor, export, export_torch, trace  # noqa: E402

pytestmark = pytest.mark.torch
#: as many steps as a real table, all of them within reach of an untrained net
TABLE = cal.Calibration(-0.2, 0.004, np.linspace(-4.0, -1.0, 101), 0.99, change=0.01)


def _untrained(system, cells, dt, kind="residual", regions=(3, 2), seed=0):
    """A net of random weights with the statistics of some cells, their domain, and the table."""
    torch.manual_seed(seed)
    encoding = Encoding(system, (float(dt.min()), float(dt.max())))
    features = encoding.features(cells, dt)
    router = Router.fit(features, routing_rows(encoding), regions)
    n = regions[0] * regions[1]
    statistics = {
        "mean": features.mean(0).repeat(n, 1),
        "std": features.std(0).repeat(n, 1),
        "out_std": torch.full((n, len(system.variables)), 0.2, dtype=torch.float64),
    }
    surrogate_ = Surrogate(encoding, router, NetConfig(16, 2, regions, kind=kind), statistics)
    return surrogate_, Domain.of(encoding, cells[: len(cells) // 20], dt[: len(cells) // 20]), TABLE


@pytest.fixture(scope="module")
def ism():
    return get_system("ism-molecular")


@pytest.fixture(scope="module")
def cells(ism):
    return tuple(torch.from_numpy(x) for x in wide(ism, 3000, 5))


def _compare(got, reference, nodes):
    """Outputs and decisions of two evaluations."""
    end, error, inside = got
    logs, true = end[:, :-1].log(), reference[0][:, :-1].log()
    difference = ((logs - true).abs() / (1 + true.abs())).flatten()
    assert difference.max() < 1e-4
    assert np.quantile(difference.numpy(), 0.999) < 1e-5
    assert inside.equal(reference[2])
    other = error != reference[1]
    assert other.float().mean() < 0.01  # predictions on a step of the table
    step = np.diff(nodes).max() + 1e-9
    assert ((error[other].log10() - reference[1][other].log10()).abs() <= step).all()


def test_library_torch_torchscript_and_program_agree(ism, cells, tmp_path):
    net = _untrained(ism, *cells)
    library = surrogate.load(export_model(ism, tmp_path, net=net))
    export_torch(Predictor(*net), ism, tmp_path)
    reference = Predictor(*net, dtype=torch.float64)(*cells)
    for module in (Predictor(*net), library.torch(), torch.export.load(tmp_path / "ism-molecular.pt2").module()):
        _compare(module(*cells), reference, TABLE.nodes)

    state, dt = cells[0].numpy().copy(), cells[1].numpy()
    status = library.stepper(rtol=3e-3).step(state, dt).status
    assert np.array_equal(status != Status.OUTSIDE, reference[2].numpy())
    error = library.torch()(*cells)[1].numpy()
    assert np.array_equal((status == Status.NET)[status != Status.OUTSIDE], (error <= 3e-3)[status != Status.OUTSIDE])
    assert 0.2 < (status == Status.NET).mean() < 0.9
    taken = torch.from_numpy(status == Status.NET)
    ours = [x[taken] for x in reference]
    _compare((torch.from_numpy(state)[taken], *ours[1:]), ours, TABLE.nodes)


def test_library_and_torch_decide_alike_where_a_variable_is_signed(tmp_path):
    system = get_system("hodgkin-huxley")
    cells = tuple(torch.from_numpy(x) for x in box(system, 3000, 5, (1e-2, 1e1)))
    net = _untrained(system, *cells)
    library = surrogate.load(export_model(system, tmp_path, net=net))
    end, error, inside = Predictor(*net)(*cells)
    rtol = 1.02 * float(error[inside].median())  # between two steps of the table
    state = cells[0].numpy().copy()
    status = library.stepper(rtol=rtol).step(state, cells[1].numpy()).status
    assert np.array_equal(status != Status.OUTSIDE, inside.numpy())
    assert ((status == Status.NET) == (inside & (error <= rtol)).numpy()).mean() > 0.999
    taken = status == Status.NET
    np.testing.assert_allclose(state[taken], end.numpy()[taken], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("name", ["ism-molecular", "robertson"])
def test_any_number_of_cells_of_any_kind_and_invariants_hold(kind, name):
    system = get_system(name)
    drawn = wide(system, 200, 5) if name == "ism-molecular" else box(system, 200, 5, (1e-2, 1e2))
    state, dt = (torch.from_numpy(x) for x in drawn)
    predictor = Predictor(*_untrained(system, state, dt, kind))
    modules = trace(predictor), export(predictor).module()
    for n in (0, 1, 2, 5, 200):
        expected = predictor(state[:n], dt[:n])
        for module in modules:
            for a, b in zip(expected, module(state[:n], dt[:n])):
                torch.testing.assert_close(a, b, rtol=1e-5, atol=0)
    end, error, inside = expected
    laws = predictor.surrogate.encoding.laws
    repaired = error.isfinite()
    assert repaired.float().mean() > 0.5
    violation = ((end - state) @ laws.T).abs() / (state @ laws.abs().T)
    assert violation[repaired].max() < 1e-12
    still = predictor(state, torch.full_like(dt, 1e-12 * float(dt.min())))[0]
    torch.testing.assert_close(still, state, rtol=1e-10, atol=0)
    assert 0 < inside.float().mean() < 1


def test_graph_names_no_device(ism, cells):
    """A device in the graph would keep the net from moving to another."""
    assert 'device="' not in str(trace(Predictor(*_untrained(ism, *cells))).inlined_graph)


def test_blocks_hold_every_cell_with_its_expert():
    for n, n_experts in ((0, 3), (1, 1), (100, 1), (1000, 16)):
        expert = torch.randint(n_experts, (n,)) // 2
        rows, owner, place = sort_into_blocks(expert, n_experts)
        filled = torch.nn.functional.pad(expert, (0, 1), value=-1)[rows]
        assert ((filled == owner.unsqueeze(1)) | (filled == -1)).all()
        assert rows.flatten()[place].equal(torch.arange(n))


def test_export_of_a_model_file_writes_library_and_nets(tmp_path, monkeypatch, capsys):
    """A user's own system, by the command line, from a directory that is not a checkout."""
    (tmp_path / "own_robertson.py").write_text("from surrogate.training.systems import robertson as make\n")
    monkeypatch.chdir(tmp_path)
    system = get_system("own_robertson:make")
    state, dt = (torch.from_numpy(x) for x in box(system, 300, 5, (1e-2, 1e2)))
    for kind in ("residual", "dgm"):
        net, domain, table = _untrained(system, state, dt, kind)
        save_model(
            f"{kind}.h5",
            net,
            system="robertson",
            system_hash=system.hash,
            system_source="own_robertson:make",
            domain=cal.as_plain(domain),
            calibration=cal.as_plain(table),
        )
    with pytest.raises(ValueError, match="--system MODULE:FUNCTION"):
        main(["residual.h5", "--to", "a"])
    own = ["--system", "own_robertson:make"]
    main(["residual.h5", "--to", "a", *own])
    assert capsys.readouterr().out.split() == ["a/robertson.so", "a/robertson.pt", "a/robertson.pt2"]
    end, error, _ = surrogate.load(tmp_path / "a" / "robertson.so").torch()(state, dt)
    assert end.shape == state.shape
    assert error.isfinite().any()
    with pytest.raises(ValueError, match="no C kernels.*torch-only"):
        main(["dgm.h5", "--to", "b", *own])
    main(["dgm.h5", "--to", "b", "--torch-only", *own])
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["robertson.pt", "robertson.pt2"]
    with pytest.raises(ValueError, match="is a system"):
        main(["robertson", "--to", "b", "--torch-only"])


def test_models_without_a_net_for_torch_say_so(toy, ism, cells, tmp_path):
    with pytest.raises(surrogate.ModelError, match="surrogate export MODEL.h5"):
        toy.torch()
    library = surrogate.load(export_model(get_system("robertson"), tmp_path))
    export_torch(Predictor(*_untrained(ism, *cells)), ism, tmp_path)
    (tmp_path / "ism-molecular.pt").rename(tmp_path / "robertson.pt")
    with pytest.raises(surrogate.ModelError, match="another system"):
        library.torch()
    (tmp_path / "robertson.pt").write_bytes((tmp_path / "robertson.pt").read_bytes()[:5000])
    with pytest.raises(surrogate.ModelError, match="robertson.pt is damaged") as caught:
        library.torch()
    assert "\n" not in str(caught.value)


def test_own_systems_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="importable"):
        get_system("nowhere:make")
    with pytest.raises(ValueError, match="returned float"):
        get_system("time:time")


def test_a_shipped_model_has_a_net_for_torch(cells):
    """Of a model that is part of the package there is the model file, too."""
    model = surrogate.load("ism-atomic")
    state, dt = (torch.from_numpy(x) for x in wide(get_system("ism-atomic"), 2000, 6))
    params = torch.tensor([p.value for p in model.parameters], dtype=torch.float64).expand(len(dt), -1)
    end, error, inside = model.torch()(state, dt, params)
    solved = state.numpy().copy()
    report = model.stepper(rtol=0.1).step(solved, dt.numpy())
    took = torch.from_numpy(report.status == Status.NET)
    assert took.sum() > 500 and inside[took].all() and (error[took] <= 0.1).all()
    assert np.allclose(end.numpy()[took], solved[took], rtol=1e-3)


def test_export_of_a_shipped_name_has_its_net(tmp_path, capsys):
    quickly = "--cflags=-O0"
    main(["ism-atomic-single", "--to", str(tmp_path / "a"), quickly])
    files = [tmp_path / "a" / f"ism-atomic-single.{kind}" for kind in ("so", "pt", "pt2")]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in files]
    model = surrogate.load(files[0])
    assert model.info["kind"] == "surrogate" and model.name == "ism-atomic-single"
    main(["freeze-out", "--to", str(tmp_path / "b"), "--solver-only", quickly])
    alone = surrogate.load(tmp_path / "b" / "freeze-out.so")
    assert alone.info["kind"] == "solver"
    with pytest.raises(surrogate.ModelError, match="no net for torch"):
        alone.torch()
    with pytest.raises(ValueError, match="is a model file: give the name of its system"):
        main(["net.h5", "--to", str(tmp_path), "--solver-only"])
