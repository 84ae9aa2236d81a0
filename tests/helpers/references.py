"""Named variants a second time, in NumPy: one matrix per gate, one loop, from the papers.
(reference1997.py: their learning.)

Letters as in the papers: W, R, b, p for the weights of the inputs, the cell outputs, the biases and
the peepholes; i, f, o, r, q for input, forget, output, refine and reset gate, z for the candidate
(Greff et al.) or n (GRU family), c for the cell state, y for the output, _ for the step before.
Each yields {letter: value [B, ...]} for every step of x [B, T, F] from the states `past`, by name.
"""

from decimal import Decimal
from types import SimpleNamespace

import numpy as np

ORDER = "ifrqzo"  # of the columns, as GatedCell documents them


def sigma(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def array(cell, name: str) -> np.ndarray:
    return next(weight.numpy() for weight in cell.weights if weight.name == name)


def weights(cell, letters: str) -> SimpleNamespace:
    """W, R, b: a matrix or vector per letter; p: a row per gate with a peephole; G.

    Gates to gates, G["fo"] from o to f.
    """
    assert sorted(letters, key=ORDER.index) == list(letters)
    gates, n = [k for k in letters if k != "z"], cell.blocks
    names = [weight.name for weight in cell.weights]

    def columns(name, letters=letters):
        ends = np.cumsum([cell.units if k == "z" else n for k in letters])
        assert array(cell, name).shape[-1] == ends[-1]
        return dict(zip(letters, np.split(array(cell, name), ends[:-1], axis=-1), strict=True))

    found = SimpleNamespace(W=columns("kernel"), b=columns("bias"))
    if (
        "candidate_recurrent_kernel" in names
    ):  # the candidate behind a reset gate has a matrix by itself
        found.R = columns("recurrent_kernel", gates) | {
            "z": array(cell, "candidate_recurrent_kernel")
        }
    elif "recurrent_kernel" in names:
        found.R = columns("recurrent_kernel")
    if "peephole" in names:
        found.p = dict(zip(gates, array(cell, "peephole"), strict=True))
    if "gate_recurrent_kernel" in names:
        whole = array(cell, "gate_recurrent_kernel")
        assert whole.shape == (n * len(gates), n * len(gates))
        found.G = {
            a + b: whole[n * k : n * (k + 1), n * j : n * (j + 1)]
            for j, a in enumerate(gates)
            for k, b in enumerate(gates)
        }
    return found


def peephole(cell, x, past):
    """Gers, Schraudolph & Schmidhuber 2002.

    Input and forget gate see the old state, the output gate the new one.
    """
    w, y, c = weights(cell, "ifzo"), past["hidden"], past["cell_state"]
    W, R, b, p = w.W, w.R, w.b, w.p
    for t in range(x.shape[1]):
        i = sigma(x[:, t] @ W["i"] + y @ R["i"] + p["i"] * c + b["i"])
        f = sigma(x[:, t] @ W["f"] + y @ R["f"] + p["f"] * c + b["f"])
        z = x[:, t] @ W["z"] + y @ R["z"] + b["z"]
        c = i * z + f * c
        o = sigma(x[:, t] @ W["o"] + y @ R["o"] + p["o"] * c + b["o"])
        y = o * c
        yield {"i": i, "f": f, "z": z, "o": o, "c": c, "y": y}


def odyssey(without: str = "", g=np.tanh, h=np.tanh, look: bool = True):
    """V of Greff et al.

    2017 and the variants that lack a gate, an activation function or the peepholes.
    """

    def steps(cell, x, past):
        letters = [k for k in "ifzo" if k not in without]
        w, y, c = weights(cell, "".join(letters)), past["hidden"], past["cell_state"]
        for t in range(x.shape[1]):
            net = {k: x[:, t] @ w.W[k] + y @ w.R[k] + w.b[k] for k in letters}
            z = g(net["z"])
            i = sigma(net["i"] + (w.p["i"] * c if look else 0)) if "i" in letters else 1
            f = sigma(net["f"] + (w.p["f"] * c if look else 0)) if "f" in letters else 1
            c = z * i + c * f
            o = sigma(net["o"] + (w.p["o"] * c if look else 0)) if "o" in letters else 1
            y = h(c) * o
            values = {"i": i, "f": f, "z": z, "o": o, "c": c, "y": y}
            yield {k: value for k, value in values.items() if k in "cy" or k in letters}

    return steps


def cifg(cell, x, past):
    """Greff et al. 2017, CIFG: f = 1 - i."""
    w, y, c = weights(cell, "izo"), past["hidden"], past["cell_state"]
    W, R, b, p = w.W, w.R, w.b, w.p
    for t in range(x.shape[1]):
        z = np.tanh(x[:, t] @ W["z"] + y @ R["z"] + b["z"])
        i = sigma(x[:, t] @ W["i"] + y @ R["i"] + p["i"] * c + b["i"])
        f = 1 - i
        c = z * i + c * f
        o = sigma(x[:, t] @ W["o"] + y @ R["o"] + p["o"] * c + b["o"])
        y = np.tanh(c) * o
        yield {"i": i, "f": f, "z": z, "o": o, "c": c, "y": y}


def fgr(cell, x, past):
    """Greff et al.

    2017, FGR: nine more matrices, from each gate of the step before to each gate.
    """
    w, c = weights(cell, "ifzo"), past["cell_state"]
    W, R, b, p, G = w.W, w.R, w.b, w.p, w.G
    y, i, f, o = np.split(past["hidden"], 4, axis=1)
    for t in range(x.shape[1]):
        z = np.tanh(x[:, t] @ W["z"] + y @ R["z"] + b["z"])
        net_i = (
            x[:, t] @ W["i"]
            + y @ R["i"]
            + i @ G["ii"]
            + f @ G["if"]
            + o @ G["io"]
            + p["i"] * c
            + b["i"]
        )
        net_f = (
            x[:, t] @ W["f"]
            + y @ R["f"]
            + i @ G["fi"]
            + f @ G["ff"]
            + o @ G["fo"]
            + p["f"] * c
            + b["f"]
        )
        net_o = x[:, t] @ W["o"] + y @ R["o"] + i @ G["oi"] + f @ G["of"] + o @ G["oo"] + b["o"]
        i, f = sigma(net_i), sigma(net_f)
        c = z * i + c * f
        o = sigma(net_o + p["o"] * c)
        y = np.tanh(c) * o
        yield {"i": i, "f": f, "z": z, "o": o, "c": c, "y": y}


def ur_lstm(cell, x, past):
    """Gu et al.

    2020: the effective gate is r (1 - (1 - f)^2) + (1 - r) f^2; it and one minus it are what
    multiplies.
    """
    w, y, c = weights(cell, "frzo"), past["hidden"], past["cell_state"]
    W, R, b = w.W, w.R, w.b
    for t in range(x.shape[1]):
        f = sigma(x[:, t] @ W["f"] + y @ R["f"] + b["f"])
        r = sigma(x[:, t] @ W["r"] + y @ R["r"] + b["r"])
        z = np.tanh(x[:, t] @ W["z"] + y @ R["z"] + b["z"])
        o = sigma(x[:, t] @ W["o"] + y @ R["o"] + b["o"])
        effective = r * (1 - (1 - f) ** 2) + (1 - r) * f**2
        c = effective * c + (1 - effective) * z
        y = o * np.tanh(c)
        yield {"i": 1 - effective, "f": effective, "r": r, "z": z, "o": o, "c": c, "y": y}


def slstm(cell, x, past):
    """Beck et al.

    2024: exponential input gate, normaliser n, stabiliser m; at the first step m is the input
    gate's.
    """
    w = weights(cell, "ifzo")
    W, R, b = w.W, w.R, w.b
    y, c, n, m = past["hidden"], past["cell_state"], past["normaliser"], past["stabiliser"]
    for t in range(x.shape[1]):
        raw_i, raw_f, raw_z, raw_o = (x[:, t] @ W[k] + y @ R[k] + b[k] for k in "ifzo")
        m_ = m
        m = np.maximum(np.log(sigma(raw_f)) + m_, raw_i)
        i, f = np.exp(raw_i - m), np.exp(np.log(sigma(raw_f)) + m_ - m)
        z, o = np.tanh(raw_z), sigma(raw_o)
        c, n = f * c + i * z, f * n + i
        y = o * c / n
        yield {"i": i, "f": f, "z": z, "o": o, "c": c, "n": n, "y": y}


def mgu(cell, x, past):
    """Zhou et al. 2016: h = (1 - f) h_ + f n, n = tanh(W x + R (f h_) + b).

    Their f admits: our input gate.
    """
    w, h = weights(cell, "iz"), past["hidden"]
    W, R, b = w.W, w.R, w.b
    for t in range(x.shape[1]):
        f = sigma(x[:, t] @ W["i"] + h @ R["i"] + b["i"])
        n = np.tanh(x[:, t] @ W["z"] + (f * h) @ R["z"] + b["z"])
        h = (1 - f) * h + f * n
        yield {"i": f, "f": 1 - f, "q": f, "z": n, "c": h, "y": h}


def gru(cell, x, past):
    """Cho et al. 2014, reset before the product: h = z h_ + (1 - z) n.

    Their z keeps: our forget gate.
    """
    w, h = weights(cell, "fqz"), past["hidden"]
    W, R, b = w.W, w.R, w.b
    for t in range(x.shape[1]):
        z = sigma(x[:, t] @ W["f"] + h @ R["f"] + b["f"])
        r = sigma(x[:, t] @ W["q"] + h @ R["q"] + b["q"])
        n = np.tanh(x[:, t] @ W["z"] + (r * h) @ R["z"] + b["z"])
        h = z * h + (1 - z) * n
        yield {"f": z, "q": r, "z": n, "i": 1 - z, "c": h, "y": h}


def gru_reset_after(cell, x, past):
    """The form of cuDNN: n = tanh(W x + b + r (R h_ + b'))."""
    w, h = weights(cell, "fqz"), past["hidden"]
    W, R, b = w.W, w.R, w.b
    for t in range(x.shape[1]):
        z = sigma(x[:, t] @ W["f"] + h @ R["f"] + b["f"])
        r = sigma(x[:, t] @ W["q"] + h @ R["q"] + b["q"])
        n = np.tanh(x[:, t] @ W["z"] + b["z"] + r * (h @ R["z"] + array(cell, "recurrent_bias")))
        h = z * h + (1 - z) * n
        yield {"f": z, "q": r, "z": n, "i": 1 - z, "c": h, "y": h}


def janet(cell, x, past):
    """Van der Westhuizen & Lasenby 2018: c = sigma(s) c_ + (1 - sigma(s - 1)) n."""
    w, c = weights(cell, "fz"), past["hidden"]
    for t in range(x.shape[1]):
        s = x[:, t] @ w.W["f"] + c @ w.R["f"] + w.b["f"]
        n = np.tanh(x[:, t] @ w.W["z"] + c @ w.R["z"] + w.b["z"])
        c = sigma(s) * c + (1 - sigma(s - 1)) * n
        yield {"f": sigma(s), "i": 1 - sigma(s - 1), "z": n, "c": c, "y": c}


def mingru(cell, x, past):
    """Feng et al. 2024: h = (1 - z) h_ + z n, gates and candidate from x alone."""
    w, h = weights(cell, "iz"), past["hidden"]
    for t in range(x.shape[1]):
        z, n = sigma(x[:, t] @ w.W["i"] + w.b["i"]), x[:, t] @ w.W["z"] + w.b["z"]
        h = (1 - z) * h + z * n
        yield {"i": z, "f": 1 - z, "z": n, "c": h, "y": h}


def minlstm(cell, x, past):
    """Feng et al. 2024: the gates divided by their sum."""
    w, h = weights(cell, "ifz"), past["hidden"]
    for t in range(x.shape[1]):
        i, f = sigma(x[:, t] @ w.W["i"] + w.b["i"]), sigma(x[:, t] @ w.W["f"] + w.b["f"])
        i, f = i / (i + f), f / (i + f)
        n = x[:, t] @ w.W["z"] + w.b["z"]
        h = f * h + i * n
        yield {"i": i, "f": f, "z": n, "c": h, "y": h}


def simple(activation, by_element: bool = False):
    """Elman 1990; IRNN, Le et al. 2015; IndRNN, Li et al. 2018, whose R is diagonal."""

    def steps(cell, x, past):
        y, W, b = past["hidden"], array(cell, "kernel"), array(cell, "bias")
        R = (
            np.diag(array(cell, "recurrent_elements")[0])
            if by_element
            else array(cell, "recurrent_kernel")
        )
        for t in range(x.shape[1]):
            y = activation(x[:, t] @ W + y @ R + b)
            yield {"z": y, "c": y, "y": y}

    return steps


REFERENCES = {
    "peephole": peephole,
    "nig": odyssey("i"),
    "nfg": odyssey("f"),
    "nog": odyssey("o"),
    "niaf": odyssey(g=lambda net: net),
    "noaf": odyssey(h=lambda c: c),
    "np": odyssey(look=False),
    "cifg": cifg,
    "fgr": fgr,
    "ur_lstm": ur_lstm,
    "slstm": slstm,
    "mgu": mgu,
    "gru": gru,
    "gru_reset_after": gru_reset_after,
    "janet": janet,
    "mingru": mingru,
    "minlstm": minlstm,
    "elman": simple(np.tanh),
    "irnn": simple(relu),
    "indrnn": simple(relu, by_element=True),
}


exact, exp = (np.vectorize(function, otypes=[object]) for function in (Decimal, Decimal.exp))


def slstm_unstabilised(cell, x, past, forget):
    """Beck et al.

    2024 without stabiliser, in 60 digits without overflow; then divided by e^m as their equations
    define m.
    """
    w = weights(cell, "ifzo")
    y, x = exact(past["hidden"]), exact(x)
    m = exact(past["stabiliser"])
    c, n = exact(past["cell_state"]) * exp(m), exact(past["normaliser"]) * exp(m)
    for t in range(x.shape[1]):
        raw = {k: x[:, t] @ exact(w.W[k]) + y @ exact(w.R[k]) + exact(w.b[k]) for k in "ifzo"}
        z, o = 1 - 2 / (exp(2 * raw["z"]) + 1), 1 / (1 + exp(-raw["o"]))
        i, f = exp(raw["i"]), exp(raw["f"]) if forget == "exponential" else 1 / (1 + exp(-raw["f"]))
        m_, m = m, np.where(n == 0, raw["i"], np.maximum(np.vectorize(Decimal.ln)(f) + m, raw["i"]))
        stored = (n != 0).all()
        c, n = f * c + i * z, f * n + i
        y = o * c / n
        values = {
            "i": i * exp(-m),
            "z": z,
            "o": o,
            "c": c * exp(-m),
            "n": n * exp(-m),
            "y": y,
            "m": m,
        }
        yield (
            raw,
            {**values, "f": f * exp(m_ - m)} if stored else values,
        )  # an f that multiplies nothing is not compared
