"""The net of net_kernel.c in TorchScript and ONNX Runtime: 12 -> W -> 20, three residual SiLU layers, one thread."""

import warnings

import numpy as np

N_IN, N_OUT, N_LAYER = 12, 20, 3


def random_weights(width, seed=1):
    """Matrices (n_out, n_in) and biases of the five layers, float32."""
    rng = np.random.default_rng(seed)
    sizes = [(width, N_IN), *[(width, width)] * N_LAYER, (N_OUT, width)]
    return [
        (rng.uniform(-0.1, 0.1, s).astype(np.float32), rng.uniform(-0.1, 0.1, s[0]).astype(np.float32)) for s in sizes
    ]


def torchscript(weights):
    """``call(x) -> y`` of the frozen and optimised TorchScript module."""
    import torch

    torch.set_num_threads(1)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(w.shape[1], w.shape[0]) for w, _ in weights)
            for layer, (w, b) in zip(self.layers, weights):
                layer.weight.data, layer.bias.data = torch.from_numpy(w), torch.from_numpy(b)

        def forward(self, x):
            h = self.layers[0](x)
            for layer in self.layers[1:-1]:
                h = h + torch.nn.functional.silu(layer(h))
            return self.layers[-1](h)

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # on TorchScript's future
        traced = torch.jit.trace(Net().eval(), torch.ones(32, N_IN), check_trace=False)
        module = torch.jit.optimize_for_inference(torch.jit.freeze(traced))

    def call(x):
        with torch.inference_mode():
            return module(torch.from_numpy(x)).numpy()

    return call


def onnx_bytes(weights):
    """The net as an ONNX model; ImportError without the package `onnx`."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, last = [], [], "x"
    for k, (w, b) in enumerate(weights):
        constants += [numpy_helper.from_array(w, f"w{k}"), numpy_helper.from_array(b, f"b{k}")]
        nodes.append(helper.make_node("Gemm", [last, f"w{k}", f"b{k}"], [f"z{k}"], transB=1))
        if 0 < k < len(weights) - 1:
            nodes += [
                helper.make_node("Sigmoid", [f"z{k}"], [f"s{k}"]),
                helper.make_node("Mul", [f"z{k}", f"s{k}"], [f"a{k}"]),
                helper.make_node("Add", [last, f"a{k}"], [f"h{k}"]),
            ]
            last = f"h{k}"
        else:
            last = f"z{k}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        for name, size in (("x", N_IN), (last, N_OUT))
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def onnxruntime(weights):
    """``call(x) -> y`` of an ONNX Runtime session on the CPU."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    session = ort.InferenceSession(onnx_bytes(weights), settings, providers=["CPUExecutionProvider"])
    output = session.get_outputs()[0].name
    return lambda x: session.run([output], {"x": x})[0]
