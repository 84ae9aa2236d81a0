"""The learning rule of Hochreiter & Schmidhuber 1997, equations 3 to 28, in plain NumPy loops.

Written from the paper, appendix A.1, and sharing nothing with lstmlab: the oracle of Truncated1997.
Memory cells and gates see inputs, cells and gates; output units see the cells ("F" of their Table
10); timing as in their section 5: the hidden layer at t sees x(t) and itself at t - 1, the outputs
at t see the cells at t. What is carried forward is s, D_in and D_c, nothing else.
"""

from dataclasses import dataclass

import numpy as np


@dataclass
class Net:
    """Weights.

    Sources of the hidden layer, M of them: inputs, cells, input gates, output gates, a constant 1.
    """

    w_in: np.ndarray  # [blocks, M]
    w_out: np.ndarray  # [blocks, M]
    w_c: np.ndarray  # [blocks, cells of a block, M]
    w_k: np.ndarray  # [K, blocks, cells of a block]
    b_k: np.ndarray  # [K]


def f(x):
    return 1 / (1 + np.exp(-x))  # (3)


def f_prime(x):
    return f(x) * (1 - f(x))


def h(x):
    return 2 / (1 + np.exp(-x)) - 1  # (4)


def h_prime(x):
    return (1 - h(x) ** 2) / 2


def g(x):
    return 4 / (1 + np.exp(-x)) - 2  # (5)


def g_prime(x):
    return (4 - g(x) ** 2) / 4


def changes(net: Net, x, target, weight, logistic_outputs: bool) -> tuple[np.ndarray, Net]:
    """Outputs [T, K] and the total weight changes, for a learning rate of 1, over one sequence.

    x [T, F], target [T, K], weight [T]: how much the error of a step counts.
    """
    blocks, size, sources = net.w_c.shape
    outputs = len(net.b_k)
    s = np.zeros((blocks, size))
    y_c, y_in, y_out = np.zeros((blocks, size)), np.zeros(blocks), np.zeros(blocks)
    d_in, d_c = np.zeros((blocks, size, sources)), np.zeros((blocks, size, sources))
    total = Net(*(np.zeros_like(w) for w in (net.w_in, net.w_out, net.w_c, net.w_k, net.b_k)))
    answers = np.zeros((len(x), outputs))
    for t in range(len(x)):
        y_m = np.concatenate([x[t], y_c.ravel(), y_in, y_out, [1.0]])
        net_in, net_out, net_c = net.w_in @ y_m, net.w_out @ y_m, net.w_c @ y_m
        y_in, y_out = f(net_in), f(net_out)
        for j in range(blocks):
            for v in range(size):
                s[j, v] = s[j, v] + y_in[j] * g(net_c[j, v])  # (7)
                y_c[j, v] = y_out[j] * h(s[j, v])  # (8)
                d_in[j, v] += g(net_c[j, v]) * f_prime(net_in[j]) * y_m  # (25)
                d_c[j, v] += g_prime(net_c[j, v]) * y_in[j] * y_m  # (27)
        e_k = np.zeros(outputs)
        for k in range(outputs):
            net_k = net.b_k[k] + (net.w_k[k] * y_c).sum()
            answers[t, k] = f(net_k) if logistic_outputs else net_k  # (9)
            slope = f_prime(net_k) if logistic_outputs else 1.0
            e_k[k] = weight[t] * slope * (target[t, k] - answers[t, k])  # (19)
            total.w_k[k] += e_k[k] * y_c  # (22)
            total.b_k[k] += e_k[k]
        for j in range(blocks):
            e_out = 0.0
            for v in range(size):
                from_outputs = (net.w_k[:, j, v] * e_k).sum()
                e_out += f_prime(net_out[j]) * h(s[j, v]) * from_outputs  # (21)
                e_s = y_out[j] * h_prime(s[j, v]) * from_outputs  # (23)
                total.w_in[j] += e_s * d_in[j, v]  # (26)
                total.w_c[j, v] += e_s * d_c[j, v]  # (28)
            total.w_out[j] += e_out * y_m  # (22)
    return answers, total
