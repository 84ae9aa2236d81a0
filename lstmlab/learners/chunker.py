"""The neural sequence chunker: a second network sees only what the first one did not expect."""

from typing import Any

import tensorflow as tf

from lstmlab import checks
from lstmlab.learners.chunking import (
    Chunking,
    Pair,
    Shown,
    Stepped,
    another,
    another_net,
    check_sure,
)
from lstmlab.learners.states import begun
from lstmlab.typing import Nest, Net, Tensor

DISTILLED, JUDGES = ("state", "hidden", "none"), ("automatizer", "system")


class SequenceChunker(Chunking):
    """Train an automatizer A and a chunker C, which predict the next input.

    A sees every input, C those that A did not expect; A learns C's state.

    Targets y(t): the next input, and further targets. A: the model's cell and head, with additional
    output lines q. C: a cell and a head like them, which take y as input. Step t of A; tau counts
    the steps of C:

        (1) o_A(t), q_A(t) = A(x(t), h_A(t-1))
            h_C(tau), o_C(tau) = C(z(tau), h_C(tau-1)), z(0) = x(0)
        (2) unexpected(t):  max_j |y_j(t) - o_A,j(t)| > threshold
        (3) E_A(t) = 1/2 |y(t) - o_A(t)|^2 + distill_weight/2 |s(tau) - q_A(t)|^2
            s = h_C and o_C, a constant here
        (4) if unexpected:  E_C = 1/2 |y(t) - o_C(tau)|^2
        (5) both errors go `horizon` steps back, in A and in C, and all weights change at once
        (6) if unexpected, tau grows by 1 and z(tau) = y(t), taken in with the new weights

    A sequence begins with all states at zero and its first input given to C, without an error.
    Errors of both networks go through `horizon` activations of their cell; these last steps are run
    again with the current weights (see TruncatedBPTT). With momentum or Adam the weights of C keep
    moving at steps where C was not asked, although its gradient is 0 there. In a batch of more than
    one sequence, s is computed with C's current weights whenever C learns from any of them. When
    the network only predicts and does not learn, C is shown inputs only, and the predictions stand
    in for the additional targets. The result row and history.csv have `unexpected`: the number of
    inputs per sequence of the window that A did not expect.

    Args:
        threshold: See (2).
        horizon: See (5).
        units: Units of C's cell; None for as many as A's.
        distill: 'state' as in (3), 'hidden' for s = h_C only, 'none' for no lines q.
        distill_weight: See (3).
        judge: Whose answer counts: 'automatizer', or 'system': C's where an output of A lies
            between the threshold and 1 - threshold, else A's.

    Raises:
        ValueError: For any other value, and see Chunking.

    References:
        Schmidhuber 1992, Neural Computation 4:234-242, the two-network form; no time code, as in
        its experiment.
    """

    def __init__(
        self,
        threshold: float = 0.1,
        horizon: int = 3,
        units: int | None = None,
        distill: str = "state",
        distill_weight: float = 1.0,
        judge: str = "automatizer",
    ):
        super().__init__(threshold, horizon, units)
        name = "SequenceChunker"
        self.distill = checks.one_of(name, "learner.distill", distill, DISTILLED)
        self.judge = checks.one_of(name, "learner.judge", judge, JUDGES)
        self.distill_weight = checks.number(name, "learner.distill_weight", distill_weight, 0)
        if judge == "system":
            check_sure(self)

    def layers(self, net: Net) -> dict[str, Any]:
        """Return C and the lines q of A, with initial weights as those of its cell and head."""
        super().layers(net)
        outputs = net.head.outputs
        cell, head = another_net(self, net, outputs)
        n = cell.output_size
        lines = {"state": n + outputs, "hidden": n, "none": 0}[self.distill]
        distilled = None
        if lines:
            distilled = another(net.head, outputs=lines)
            distilled.build((None, net.cell.output_size), (None, net.features))
        return {"chunker_cell": cell, "chunker_head": head, "distilled": distilled}

    def predict(self, net: Net, state: dict, x: Tensor) -> Tensor:
        if self.judge == "automatizer":
            return super().predict(net, state, x)
        return self.imagined(net, state, x)

    @property
    def answers_alone(self) -> bool:
        return self.judge == "automatizer"

    def fresh(self, net: Net, x_t: Tensor) -> dict[str, Nest]:
        """Return the memories of A and C; pending: z(tau); state: h_C(tau) and o_C(tau)."""
        c, first = _chunker(net), self.first(net, x_t)
        memory = self.rule.begin(c.cell, None, first[:, None])
        return {
            "automatizer": self.rule.begin(net.cell, None, x_t[:, None]),
            "chunker": memory,
            "pending": first,
            "state": tf.concat(self.look(c, first, memory), axis=1),
        }

    def step(self, net: Net, state: dict, shown: Shown, memory: dict, learns: bool) -> Stepped:
        a, c = Pair(net.cell, net.head), _chunker(net)
        (x_t, told, w_t), z, s = shown, memory["pending"], memory["state"]
        n = c.cell.output_size

        _, of_a = self.look(a, x_t, memory["automatizer"])  # (1)
        of_system = tf.where(self.sure(of_a)[:, None], of_a, s[:, n:])
        y_t = told(of_system)
        off = self.off(y_t, of_a) & (w_t > 0)  # (2)
        asked = tf.reduce_any(off)

        if learns:
            wide = WithLines(net.head, net.part("distilled"), self.distill_weight)
            targets = tf.concat([y_t, s[:, : wide.lines]], axis=1)
            slopes, of_a_after = self.slopes(
                a.cell, wide, x_t, targets, w_t, memory["automatizer"]
            )  # (3)
            of_c, of_c_after = tf.cond(
                asked,
                lambda: self.slopes(*c, z, y_t, tf.where(off, w_t, 0), memory["chunker"]),  # (4)
                lambda: (c.no_gradients(), memory["chunker"]),
            )
            own = len(a.weights)
            self.change(net, [*slopes[:own], *of_c, *slopes[own:]], w_t)  # (5)
        else:
            of_a_after = self.rule.again(a.cell, x_t[:, None], memory["automatizer"])[1]
            of_c_after = self.rule.again(c.cell, z[:, None], memory["chunker"])[1]

        of_c_after = begun(of_c_after, memory["chunker"], off)
        z = tf.where(off[:, None], y_t, z)  # (6)
        s = tf.cond(
            asked, lambda: tf.concat(self.look(c, z, of_c_after), axis=1), lambda: memory["state"]
        )
        after = {"automatizer": of_a_after, "chunker": of_c_after, "pending": z, "state": s}
        unexpected = tf.reduce_sum(tf.cast(off, "float32"))[None]
        answer = of_a if self.judge == "automatizer" else of_system
        return Stepped(answer, after, unexpected, tf.zeros_like(unexpected))


class WithLines:
    """A's head with the lines q next to it: one readout with one error, for targets y and s.

    weight: Weight of the error of the lines. lines: How many there are.
    """

    def __init__(self, head: Any, distilled: Any, weight: float):
        self.head, self.distilled, self.weight = head, distilled, weight
        self.lines = distilled.outputs if distilled is not None else 0
        of_lines = distilled.trainable_variables if distilled is not None else []
        self.trainable_variables = head.trainable_variables + of_lines

    def __call__(self, cells: Tensor, inputs: Tensor = None) -> tuple[Tensor, Tensor | None]:
        of_lines = self.distilled(cells, inputs) if self.lines else None
        return self.head(cells, inputs), of_lines

    def error(self, y: Tensor, prediction: tuple, w: Tensor) -> Tensor:
        of_head, of_lines = prediction
        error = self.head.error(y[..., : self.head.outputs], of_head, w)
        if of_lines is None:
            return error
        s = y[..., self.head.outputs :]
        return error + self.weight * self.distilled.error(s, of_lines, w)


def _chunker(net: Net) -> Pair:
    return Pair(net.part("chunker_cell"), net.part("chunker_head"))
