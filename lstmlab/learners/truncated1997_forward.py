"""The truncated learning rule of 1997 as in the paper: eligibility traces go forward in time."""

from typing import Any

import tensorflow as tf

from lstmlab.cells.gated import GatedCell
from lstmlab.errors import refusal
from lstmlab.learners import traces1997
from lstmlab.learners.base import Traits, initial_states
from lstmlab.learners.refusals import refuse_dropout, refuse_hidden, refuse_stacked
from lstmlab.learners.stepwise import Readout, Stepwise
from lstmlab.typing import Nest, Tensor


class Truncated1997Forward(Stepwise):
    """The gradient of `Truncated1997` by eligibility traces, so that no past values are stored.

        (1) Tr_a(t) = e(t) Tr_a(t-1) + ∂s(t)/∂net_a(t) z_a(t)                        (eqs. 25, 27)
            e: 1, or the forget gate if there is one
        (2) dE/dw_a = sum_t sum_cells of the block dE(t)/ds(t) Tr_a(t)               (eqs. 23, 24,
        26, 28)
        (3) dE/dw_o = sum_t dE(t)/dnet_o(t) z_o(t), the output gate, which has no trace
                                                                                     (eqs. 21, 22)

    a: each set of pre-activations that act on the state; z: their inputs. The memory does not grow
    with T: it holds gates * n * (inputs + hidden + 1) numbers per sequence, where gates counts the
    candidate but not the output gate, and a step takes as many multiplications (columns for the n
    states are added if a gate has a peephole). Exact if there are no recurrent inputs:
    feedback="none", and no peephole. Supports a GatedCell without a reset gate, layer normalisation
    or normaliser='state', and without a softmax gate or candidate.

    Args:
        update_every: See Forward.
        decay: See Forward.
        decay_steps: See Forward.
        max_trace: See Stepwise.

    Raises:
        ValueError: For any other value, and for a cell that it does not support.

    References:
        Hochreiter & Schmidhuber 1997, appendix A.1, eqs. 10-28; with a forget gate: Gers et al.
        2000; peepholes are cut as in Gers et al. 2002.
    """

    traits = Traits(
        streams=True, filters={"see": tf.stop_gradient}, exact_case={"feedback": "none"}
    )

    def check(self, cell: Any) -> None:
        refuse_dropout(self, cell)
        refuse_hidden(self, cell)
        refuse_stacked(self, cell)
        gated = isinstance(cell, GatedCell)
        received = traces1997.misfit(cell) if gated else f"cell={type(cell).__name__}"
        if received:
            expected = (
                "a GatedCell without reset gate, layer normalisation and normaliser='state', "
                "or learner=truncated1997"
            )
            raise refusal("Truncated1997Forward", expected, received)

    def initial(self, cell: Any, x: Tensor, states: Nest) -> dict[str, Nest]:
        """Return states; traces: Tr [B, gates * n, columns of z]."""
        layout, states = traces1997.layout(cell), initial_states(cell, x.shape[0], states)
        rows = len(layout.traced) * cell.units
        return {
            "states": states,
            "traces": tf.zeros((x.shape[0], rows, layout.width), states[0].dtype),
        }

    def step(
        self, cell: Any, x_t: Tensor, memory: dict, readout: Readout
    ) -> tuple[dict[str, Nest], dict]:
        layout, before = traces1997.layout(cell), memory["traces"]
        at = traces1997.take(cell, layout, x_t, memory["states"])

        traces = tf.concat(at.slopes, axis=1)[:, :, None] * at.seen[:, None, : layout.width]  # (1)
        if cell.forget_gate != "closed":
            kept = tf.tile(at.carousel, (1, len(layout.traced)))
            traces = kept[:, :, None] * before + traces  # (1)

        of_state, *of_nets = at.tape.gradient(
            at.output,
            [at.state, *(at.nets[name] for name in layout.direct)],
            readout(at.output),
            unconnected_gradients="zero",
        )
        of_cells = tf.tile(of_state, (1, len(layout.traced)))
        sums = {
            "traces": tf.reduce_sum(of_cells[:, :, None] * traces, axis=0),  # (2)
            "direct": {
                name: tf.matmul(of_net, at.seen, transpose_a=True)  # (3)
                for name, of_net in zip(layout.direct, of_nets, strict=True)
            },
        }
        return {"states": at.states, "traces": traces}, sums

    def traced(self, cell: Any) -> list[str]:
        return traces1997.layout(cell).traced

    def trace_sizes(self, cell: Any, memory: dict) -> Tensor:
        traces = memory["traces"]
        by_gate = tf.reshape(traces, (traces.shape[0], len(self.traced(cell)), -1))
        return tf.reduce_sum(tf.abs(by_gate), axis=2)

    def zeros(self, cell: Any) -> dict[str, Nest]:
        layout, dtype = traces1997.layout(cell), cell.compute_dtype
        columns = sum(layout.columns.values())
        return {
            "traces": tf.zeros((len(layout.traced) * cell.units, layout.width), dtype),
            "direct": {name: tf.zeros((cell.nets[name], columns), dtype) for name in layout.direct},
        }

    def finish(self, cell: Any, total: dict) -> list:
        layout = traces1997.layout(cell)
        rows = traces1997.summed(cell, layout, total["traces"], total["direct"])
        return traces1997.to_weights(cell, layout, rows)
