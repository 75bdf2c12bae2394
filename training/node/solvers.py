"""Integration methods as data, and one step of each for a batch of states, differentiable in torch."""

import torch

#: explicit methods: (a, b) of the tableau
EXPLICIT = {
    "heun": (((), (1.0,)), (0.5, 0.5)),
    # Tsitouras 2011, Comput. Math. Appl. 62, 770: order 5
    "tsit5": (
        (
            (),
            (0.161,),
            (-0.008480655492356989, 0.335480655492357),
            (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
            (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
            (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
        ),
        (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774),
    ),
}

#: (I/(h gamma) - J) u_i = f(x + sum_j a_ij u_j) + sum_j c_ij u_j/h; x_1 = x + sum_j a_sj u_j + u_s: (gamma, a, c) as in
#: bindings/kernel/tableau.h
_A6 = (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946)
ROSENBROCK = {
    # Steinebach 2023, BIT Numer. Math. 63, 27: order 5
    "rodas5p": (
        0.21193756319429014,
        (
            (),
            (3.0,),
            (2.849394379747939, 0.45842242204463923),
            (-6.954028509809101, 2.489845061869568, -10.358996098473584),
            (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
            _A6,
            (*_A6, 1.0),
            (*_A6, 1.0, 1.0),
        ),
        (
            (),
            (-14.155112264123755,),
            (-17.97296035885952, -2.859693295451294),
            (147.12150275711716, -1.41221402718213, 71.68940251302358),
            (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
            (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
            (
                30.91273214028599,
                -3.1208243349937974,
                77.79954646070892,
                34.28646028294783,
                -19.097331116725623,
                -28.087943162872662,
            ),
            (
                37.80277123390563,
                -3.2571969029072276,
                112.26918849496327,
                66.9347231244047,
                -40.06618937091002,
                -54.66780262877968,
                -9.48861652309627,
            ),
        ),
    )
}

METHODS = (*EXPLICIT, *ROSENBROCK)


def step(method, f, jacobian, x, h):
    """States one step of `h` later.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    f, jacobian : callable
        Of states of shape (n, k): their derivatives, same shape, and the Jacobians, shape (n, k, k).
    x : Tensor of shape (n, k)
    h : float
    """
    if method in EXPLICIT:
        a, b = EXPLICIT[method]
        slopes = []
        for row in a:
            slopes.append(f(_moved(x, [h * c for c in row], slopes)))
        return _moved(x, [h * c for c in b], slopes)
    if method not in ROSENBROCK:
        raise ValueError(f"no method {method!r}; choose from {', '.join(METHODS)}")
    gamma, a, c = ROSENBROCK[method]
    matrix = torch.eye(x.shape[-1], dtype=x.dtype) / (h * gamma) - jacobian(x)
    lu, pivots = torch.linalg.lu_factor(matrix)
    stages = []
    for row, coupling in zip(a, c):
        right = _moved(f(_moved(x, row, stages)), [k / h for k in coupling], stages)
        stages.append(torch.linalg.lu_solve(lu, pivots, right.unsqueeze(-1)).squeeze(-1))
    return _moved(x, a[-1], stages) + stages[-1]


def _moved(x, weights, vectors):
    for w, v in zip(weights, vectors):
        x = x + w * v
    return x
