"""BPTT, RTRL and SnAp of order 1 against braintrace, a library of online gradients for JAX."""

import numpy as np
import pytest
from carried import N, problem
from oracles import assert_gradients

from lstmlab import variant
from lstmlab.learners import BPTT, RTRL, SnAp

braintrace = pytest.importorskip("braintrace")
brainstate = pytest.importorskip("brainstate")
jax = pytest.importorskip("jax")


def network(cell, head):
    """The same net of Elman's units in JAX; its last input is 1, for the biases."""
    outer = np.concatenate([cell.kernel, cell.bias[None]])
    readout = np.concatenate([head.kernel, head.shortcut_kernel, head.bias[None]])

    class Net(brainstate.nn.Module):
        def __init__(self):
            super().__init__()
            self.outer = brainstate.ParamState(jax.numpy.array(outer))
            self.recurrent = brainstate.ParamState(jax.numpy.array(cell.recurrent_kernel.numpy()))
            self.y = brainstate.HiddenState(jax.numpy.zeros(N))

        def update(self, x):
            net = braintrace.matmul(x, self.outer.value)
            net += braintrace.matmul(self.y.value, self.recurrent.value)
            self.y.value = jax.numpy.tanh(net)
            return jax.nn.sigmoid(jax.numpy.concatenate([self.y.value, x]) @ readout)

    return Net()


def theirs(cell, head, batch, order):
    """Gradients of kernel, recurrent kernel and bias by their SnAp, summed over the batch."""
    x, y, w = (part.numpy() for part in batch)
    x = np.concatenate([x, np.ones_like(x[..., :1])], axis=-1)
    outer, recurrent = 0, 0
    for sequence in zip(x, y, w, strict=True):
        net = network(cell, head)
        run = braintrace.compile(net, braintrace.SnAp, jax.numpy.array(x[0, 0]), n=order)
        found = run.etrace_grad(
            *map(jax.numpy.array, sequence),
            step_fn=lambda x_t, y_t, w_t, run=run: w_t / 2 * ((run(x_t) - y_t) ** 2).sum(),
            reduction="sum",
        )
        outer, recurrent = outer + found[("outer",)], recurrent + found[("recurrent",)]
    return [outer[:-1], recurrent, outer[-1]]


@pytest.mark.parametrize(("learners", "order"), [([BPTT(), RTRL()], N), ([SnAp()], 1)])
def test_gradients_against_braintrace(learners, order, rng):
    """Their SnAp keeps all dependences at order N, as RTRL does."""
    cell = variant("elman", units=N, dtype="float64")
    head, *batch = problem(rng, cell)
    with jax.enable_x64(True):
        wanted = theirs(cell, head, batch, order)
    for learner in learners:
        gradients = learner.gradients(cell, head, *batch)[2]
        assert_gradients(gradients[:3], wanted, rtol=1e-9, atol=1e-12)
    exact = BPTT().gradients(cell, head, *batch)[2][:3]
    cut = max(np.abs(a - b).max() for a, b in zip(exact, wanted, strict=True))
    assert cut > 1e-4 if order == 1 else cut < 1e-9
