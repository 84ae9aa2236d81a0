"""The truncated learning rule of 1997: errors flow back through time along the carousel alone."""

import inspect

import tensorflow as tf

from lstmlab.cells.gated import GatedCell
from lstmlab.learners import traces1997
from lstmlab.learners.base import Learner, initial_states, refuse_dropout, single
from lstmlab.learners.forward_mode import ForwardMode
from lstmlab.unroll import unroll

SCOPES = ("all", "gates", "none")
FORMS = ("see", "traces")
LIMIT = 1e30


class Truncated1997(ForwardMode):
    """Error that reaches the net input of a gate or of a cell changes the weights into it and is propagated no further.

        (1) d net(t) / d hidden(t-1) = 0 for the net inputs of cells and of gates       (eqs. 10-14, "truncated")
        (2) d s(t) / d s(t-1) = e(t): 1, or the forget gate where there is one          (eq. 15)
        (3) Tr_a(t) = e(t) Tr_a(t-1) + d s(t) / d net_a(t) z_a(t)                       (eqs. 25, 27)
        (4) dE/dw_a = sum_t sum_cells of the block dE(t)/ds(t) Tr_a(t)                  (eqs. 23, 24, 26, 28)
        (5) dE/dw_o = sum_t dE(t)/dnet_o(t) z_o(t), the output gate, which has no trace  (eqs. 21, 22)

    a: each net that acts on the state; z: what it sees. The gradient is that of half the summed squared error, which is what
    eqs. 19-28 follow (eq. 16 lacks the 1/2 that eq. 19 drops).

    form: 'see', the way back with see=stop_gradient, so that what the nets read back counts as input; or 'traces', (3) to (5)
    as in the paper, which goes forward, with a memory that does not grow with T: nets * n * (inputs + hidden + 1) numbers per
    sequence, and as many multiplications per step (columns for the n states are added where a gate has a peephole).
    scope: what (1) cuts: 'all', as in the paper, peepholes too; 'gates', all that gates see, while candidates are
    differentiated through what they read back; 'none', nothing: BPTT. Other than 'all' needs form='see'.
    updates, decay, decay_steps: see OnLine; they need form='traces'. limit: the sum of magnitudes beyond which the trace of
    one net, in one sequence, ends the run as one that exploded.

    Exact where nothing is read back: feedback="none", and no peephole.
    Serves cells that offer step(inputs, states, see), as GatedCell does; raises ValueError for others, and for dropout. The
    traces serve a GatedCell without reset gate, layer normalisation, normaliser='state', and gates or candidates of softmax.
    Source: Hochreiter & Schmidhuber 1997, appendix A.1, eqs. 10-28; with a forget gate Gers et al. 2000, peepholes cut as in
    Gers et al. 2002.
    """

    def __init__(
        self,
        scope: str = "all",
        form: str = "see",
        updates: int | None = None,
        decay: float = 1.0,
        decay_steps: int = 100,
        limit: float = LIMIT,
    ):
        super().__init__(updates, decay, decay_steps)
        for name, value, allowed in (("scope", scope, SCOPES), ("form", form, FORMS)):
            if value not in allowed:
                raise ValueError(
                    f"Truncated1997: expected one of {allowed}. Received: learner.{name}={value!r}"
                )
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not limit > 0:
            raise ValueError(
                f"Truncated1997: expected a number > 0. Received: learner.limit={limit!r}"
            )
        if form == "traces" and scope != "all":
            raise ValueError(
                f"Truncated1997: traces are those of scope='all'; expected learner.form=see. Received: learner.scope={scope!r}"
            )
        if form == "see" and (updates is not None or self.decay != 1.0):
            raise ValueError(
                "Truncated1997: form='see' goes back to the beginning of a sequence; expected learner.form=traces. "
                f"Received: learner.updates={updates}, learner.decay={self.decay}"
            )
        self.scope, self.form, self.limit = scope, form, float(limit)
        self.largest = self.limit

    def check(self, cell) -> None:
        refuse_dropout(self, cell)
        refuse_hidden(self, cell)
        if self.form == "traces":
            self._check_traces(cell)

    def exact_case(self) -> dict:
        return {} if self.scope == "none" else {"feedback": "none"}

    def gradients(self, cell, head, x, y, w, states=None):
        if self.form == "traces":
            return super().gradients(cell, head, x, y, w, states)
        options = self.filters()
        return backward(
            cell, head, x, y, w, lambda x_t, states: cell.step(x_t, states, **options), x, states
        )

    def filters(self) -> dict:
        candidates = {"see_candidate": tf.identity} if self.scope == "gates" else {}
        return {} if self.scope == "none" else {"see": tf.stop_gradient, **candidates}

    def learn(self, model, x, y, w):
        if self.form == "traces":
            return super().learn(model, x, y, w)
        return Learner.learn(self, model, x, y, w)

    def start(self, model, x) -> tuple:
        if self.form == "see":
            raise ValueError(
                "Truncated1997: form='see' goes back to the beginning of a sequence and cannot carry on from a piece; expected "
                "learner.form=traces, or trainer.chunk=null. Received: learner.form='see'"
            )
        return super().start(model, x)

    def prepare(self, model) -> None:
        if self.form == "traces":
            super().prepare(model)

    def after_window(self, model) -> None:
        if self.form == "traces":
            super().after_window(model)

    @property
    def _largest(self) -> str:
        return f"learner.limit={self.limit:g}"

    # form='traces'

    def begin(self, cell, head, x, states=None):
        """states; traces [B, nets * n, columns]."""
        layout, states = traces1997.layout(cell), initial_states(cell, x.shape[0], states)
        traces = tf.zeros(
            (x.shape[0], len(layout.traced) * cell.units, layout.width), states[0].dtype
        )
        return self.watched(cell, {"states": states, "traces": traces})

    def step(self, cell, x_t, memory):
        """(3)."""
        layout = traces1997.layout(cell)
        at = traces1997.take(cell, layout, x_t, memory["states"])
        new = tf.concat(at.slopes, axis=1)[:, :, None] * at.seen[:, None, : layout.width]
        carousel = tf.tile(at.carousel, (1, len(layout.traced)))[:, :, None]
        traces = carousel * memory["traces"] + new
        return at.output, {"states": at.states, "traces": traces}, (layout, at, traces)

    def slopes(self, cell, of_output, known):
        """(4) and (5) for one step."""
        layout, at, traces = known
        of_state, *of_nets = at.tape.gradient(
            at.output,
            [at.state, *(at.nets[n] for n in layout.direct)],
            of_output,
            unconnected_gradients="zero",
        )
        of_cells = tf.tile(of_state, (1, len(layout.traced)))
        direct = [tf.matmul(of_net, at.seen, transpose_a=True) for of_net in of_nets]
        return {
            "traces": tf.reduce_sum(of_cells[:, :, None] * traces, axis=0),
            "direct": dict(zip(layout.direct, direct, strict=True)),
        }

    def nothing(self, cell):
        layout, dtype = traces1997.layout(cell), cell.compute_dtype
        return {
            "traces": tf.zeros((len(layout.traced) * cell.units, layout.width), dtype),
            "direct": {
                n: tf.zeros((cell.nets[n], sum(layout.columns.values())), dtype)
                for n in layout.direct
            },
        }

    def groups(self, cell) -> list[str]:
        return traces1997.layout(cell).traced

    def sizes(self, cell, memory):
        traces = memory["traces"]
        return tf.reduce_sum(
            tf.abs(tf.reshape(traces, (traces.shape[0], len(self.groups(cell)), -1))), axis=2
        )

    def finish(self, cell, total) -> list:
        layout = traces1997.layout(cell)
        return traces1997.to_weights(
            cell, layout, traces1997.summed(cell, layout, total["traces"], total["direct"])
        )

    def _check_traces(self, cell) -> None:
        single(self, cell)
        misfit = (
            traces1997.misfit(cell)
            if isinstance(cell, GatedCell)
            else f"cell={type(cell).__name__}"
        )
        if misfit:
            raise ValueError(
                "Truncated1997: traces serve a GatedCell without reset gate, layer normalisation and normaliser='state'; "
                f"expected learner.form=see. Received: {misfit}"
            )


def refuse_hidden(learner: Learner, cell) -> None:
    """Raise ValueError for a cell that does not say what its nets read back."""
    step = getattr(cell, "step", None)
    if step is None or "see" not in inspect.signature(step).parameters:
        raise ValueError(
            f"{type(learner).__name__}: the cell must say what its nets read back; expected a lstmlab.GatedCell "
            f"(learner=bptt serves any Keras cell). Received: cell={type(cell).__name__}"
        )


def backward(cell, head, x, y, w, step, inputs, states=None):
    """loss, prediction, gradients by reverse differentiation through `step(inputs_t, states) -> values, states`."""
    weights = [weight.value for weight in cell.trainable_variables + head.trainable_variables]

    def one(inputs_t, states):
        values, states = step(inputs_t, states)
        return values["output"], states

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        outputs, _ = unroll(one, initial_states(cell, x.shape[0], states), inputs)
        prediction = head(outputs, x)
        loss = tf.reduce_sum(head.error(y, prediction, w))
    return loss, prediction, tape.gradient(loss, weights, unconnected_gradients="zero")
