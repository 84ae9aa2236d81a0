"""The neural sequence chunker: a second net sees what the first one did not expect alone, and the first imitates it."""

import abc

import keras
import numpy as np
import tensorflow as tf

from lstmlab.learners.base import Learner, OnLine, like, positive, refuse_dropout, single
from lstmlab.learners.truncated_bptt import TruncatedBPTT
from lstmlab.task import valid_steps


class Chunking(OnLine, abc.ABC):
    """What both forms of the chunker share: nets that predict their next input, on-line, and a threshold for unexpected.

    The weights change after every step that has an error, by errors sent h steps back in each net's own time. The model's own
    cell and head are the net that sees every input.
    Raises ValueError for a threshold outside (0, 1), for h or units that are no positive integers, for stacked cells, for
    dropout, for a head without weights or with another error than the squared one, and for a task that does not ask at every
    step for the next input, first among its targets.
    """

    gradients = Learner.gradients

    def __init__(self, threshold: float = 0.1, h: int = 3, units: int | None = None):
        super().__init__(updates=1)
        self.threshold = share(self, "threshold", threshold)
        self.h = positive(self, "h", h)
        self.units = None if units is None else positive(self, "units", units)
        self.rule = TruncatedBPTT(h, 1)

    @abc.abstractmethod
    def step(self, model, x_t, told, w_t, memory, learns: bool):
        """One step, with changes of the weights if the learner learns in it.

        told(answer [B, K]): the targets y(t), which may hold what was answered where no target is known. Returns the answer
        [B, K], the memory after it, and two tensors [levels]: inputs that each net did not expect, summed over the batch, and
        the squared error of each net where it was reached.
        """

    @abc.abstractmethod
    def fresh(self, model, x_t):
        """The memory before the first step of sequences that begin with x_t [B, F]."""

    def check(self, cell) -> None:
        single(self, cell)
        refuse_dropout(self, cell)

    def check_task(self, task) -> None:
        x, y, w = task.sample(np.random.default_rng(0), 4)
        until = valid_steps(w)
        name, missing = type(self).__name__, int((until & (w == 0)).sum())
        if missing:
            raise ValueError(
                f"{name}: expected targets at every step. Received: task={type(task).__name__}, "
                f"with {missing} of {int(until.sum())} steps without"
            )
        following = until[:, 1:, None]
        if not np.array_equal(y[:, :-1, : x.shape[2]] * following, x[:, 1:] * following):
            raise ValueError(
                f"{name}: expected targets that begin with the next input. Received: task={type(task).__name__}, with others"
            )

    def prepare(self, model) -> None:
        head = model.head
        if head.outputs < model.features:
            raise ValueError(
                f"{type(self).__name__}: expected targets that begin with the next input, so at least {model.features}. "
                f"Received: outputs={head.outputs}"
            )
        if not head.trainable_variables or head.loss != "squared":
            raise ValueError(
                f"{type(self).__name__}: expected a head with weights and head.loss=squared. "
                f"Received: head={type(head).__name__}, loss={head.loss!r}"
            )

    def begin(self, cell, head, x, states=None):
        raise NotImplementedError(
            f"{type(self).__name__}: has nets besides the model's cell and head; see start"
        )

    def advance(self, cell, head, x, y, w, memory):
        raise NotImplementedError(
            f"{type(self).__name__}: has nets besides the model's cell and head; see go_on"
        )

    def learn(self, model, x, y, w):
        return self.go_on(model, x, y, w, self.start(model, x))[:2]

    def start(self, model, x) -> tuple:
        return tf.zeros((x.shape[0],), "int32"), self.fresh(model, x[:, 0])

    def go_on(self, model, x, y, w, carried: tuple, whole: bool = False):
        steps, memory = carried
        xs, ys, ws = (tf.transpose(part, [1, 0, *range(2, part.shape.rank)]) for part in (x, y, w))
        prediction, memory, unexpected, errors = self._run(
            model, x, lambda t: (xs[t], lambda _: ys[t], ws[t]), memory, learns=True
        )
        self.watched(model, x.shape[0], unexpected, errors)
        loss = tf.reduce_sum(model.head.error(y, prediction, w))
        return loss, prediction, (steps + x.shape[1], memory)

    def imagined(self, model, x):
        """The answers [B, T, K] of all nets together for x alone, with the weights as they are.

        An input was unexpected once the next one is there; targets that are no inputs are not shown, and what was answered
        stands for them.
        """
        following = tf.transpose(tf.concat([x[:, 1:], tf.zeros_like(x[:, :1])], axis=1), [1, 0, 2])
        xs, ones = tf.transpose(x, [1, 0, 2]), tf.ones((x.shape[0],), x.dtype)

        def at(t):
            return (
                xs[t],
                lambda answer: tf.concat([following[t], answer[:, x.shape[2] :]], axis=1),
                ones,
            )

        return self._run(model, x, at, self.fresh(model, x[:, 0]), learns=False)[0]

    def watched(self, model, rows: int, unexpected, errors) -> None:
        """Take note of what a sequence, or a piece of one, brought; rows: sequences at once."""
        model.unexpected.assign_add(
            tf.concat([unexpected, [tf.cast(rows, unexpected.dtype)]], axis=0)
        )

    def scalars(self, model) -> dict[str, float]:
        *unexpected, sequences = (float(count) for count in model.unexpected.numpy())
        model.last_unexpected = {
            name: count / max(sequences, 1.0)
            for name, count in zip(self.columns(), unexpected, strict=True)
        }
        model.unexpected.assign(tf.zeros_like(model.unexpected))
        return dict(model.last_unexpected)

    def columns(self) -> list[str]:
        """A name for the inputs per sequence that each net did not expect."""
        return ["unexpected"]

    def result(self, model) -> dict:
        return dict(model.last_unexpected)

    def _count(self, model) -> None:
        """Make room for the counts since the last look: unexpected inputs of each net, and sequences."""
        names = self.columns()
        model.last_unexpected = dict.fromkeys(names)
        model.unexpected = model.add_weight(
            shape=(len(names) + 1,),
            dtype="float32",
            initializer="zeros",
            trainable=False,
            name="unexpected",
        )

    def _run(self, model, x, at, memory, learns: bool):
        """step() over the steps of x; at(t): x_t, told, w_t. Answers [B, T, K], memory, and the sums of the last two."""
        length, counts = x.shape[1], [tf.zeros((len(self.columns()),), "float32")] * 2
        answers = tf.TensorArray(
            x.dtype, size=length, element_shape=(x.shape[0], model.head.outputs)
        )

        def body(t, answers, memory, counts):
            answer, after, *more = self.step(model, *at(t), memory, learns)
            counts = [tf.ensure_shape(a + b, a.shape) for a, b in zip(counts, more, strict=True)]
            return t + 1, answers.write(t, answer), like(after, memory), counts

        _, answers, memory, counts = tf.while_loop(
            lambda t, *_: t < length,
            body,
            (tf.constant(0), answers, memory, counts),
            maximum_iterations=length,
        )
        return tf.transpose(answers.stack(), [1, 0, 2]), memory, *counts

    def _change(self, model, gradients: list, w_t) -> None:
        """One change of all weights, where any row of the batch has an error at this step."""
        tf.cond(tf.reduce_any(w_t != 0), lambda: (model.apply(gradients), 0)[1], lambda: 0)

    def _look(self, cell, head, z, memory):
        """hidden [B, n] and prediction [B, K] of a net that takes z [B, F] as its next input."""
        outputs, _ = self.rule.again(cell, z[:, None], memory)
        return outputs[:, 0], head(outputs, z[:, None])[:, 0]

    def _slopes(self, cell, head, z, y, w, memory):
        """Gradients of the error of a net's prediction after z [B, F], h of its own steps back, and the memory after z."""
        _, _, gradients, memory = self.rule.advance(
            cell, head, z[:, None], y[:, None], w[:, None], memory
        )
        return gradients, memory

    def _first(self, model, x_t):
        """The first input of a sequence as all nets but the first one take it: targets that are no inputs are 0 there."""
        return tf.pad(x_t, [(0, 0), (0, model.head.outputs - model.features)])

    def _sure(self, prediction):
        """bool [B]: no output lies between the threshold and 1 - threshold."""
        return tf.reduce_all(
            (prediction <= self.threshold) | (prediction >= 1 - self.threshold), axis=1
        )

    def _off(self, y, prediction):
        """bool [B]: some output is off by more than the threshold."""
        return tf.reduce_any(tf.abs(y - prediction) > self.threshold, axis=1)


class SequenceChunker(Chunking):
    """Two nets: the automatizer A sees every input, the chunker C only those that A did not expect, and A learns C's state.

    Targets y(t): the next input, and further targets. A: the model's cell and head, with lines q besides. C: a cell and a head
    like them, which takes y as input. Step t of A; tau counts the steps of C:

        (1) o_A(t), q_A(t) = A(x(t), h_A(t-1))                  h_C(tau), o_C(tau) = C(z(tau), h_C(tau-1)), z(0) = x(0)
        (2) unexpected(t):  max_j |y_j(t) - o_A,j(t)| > threshold
        (3) E_A(t) = 1/2 |y(t) - o_A(t)|^2 + distill_weight/2 |s(tau) - q_A(t)|^2      s = h_C and o_C, a constant here
        (4) if unexpected:  E_C = 1/2 |y(t) - o_C(tau)|^2
        (5) both are sent back h steps, of A and of C, and all weights change at once; then, if unexpected, tau grows by 1 and
            z(tau) = y(t), taken in with the new weights

    A sequence begins with all states at zero and its first input given to C, without an error. Errors of both nets go through
    h activations of their cell; these last h steps are run again with the present weights (see TruncatedBPTT).
    With momentum or Adam the weights of C move on where it was not asked: its gradient is 0 there. In a batch of more than one
    sequence s is that of C's present weights whenever C learns from any of them.

    threshold: see (2). h: steps of the way back. units: of C's cell, None for as many as A's. distill: 'state' as in (3),
    'hidden' for s = h_C alone, 'none' for no lines q. distill_weight: see (3). judge: whose answer counts, 'automatizer' or
    'system': that of C where an output of A lies between the threshold and 1 - threshold. Where a sequence is answered and not
    learnt, C is shown inputs alone, and what was answered stands for further targets.
    The result row and history.csv have `unexpected`: inputs per sequence of the last window that A did not expect.
    Raises ValueError for other settings, and see Chunking. Source: Schmidhuber 1992, Neural Computation 4:234-242, the two-net
    form; no time code, as in its experiment.
    """

    def __init__(
        self,
        threshold: float = 0.1,
        h: int = 3,
        units: int | None = None,
        distill: str = "state",
        distill_weight: float = 1.0,
        judge: str = "automatizer",
    ):
        super().__init__(threshold, h, units)
        for name, value, allowed in (
            ("distill", distill, ("state", "hidden", "none")),
            ("judge", judge, ("automatizer", "system")),
        ):
            if value not in allowed:
                raise ValueError(
                    f"SequenceChunker: expected one of {allowed}. Received: learner.{name}={value!r}"
                )
        if (
            isinstance(distill_weight, bool)
            or not isinstance(distill_weight, (int, float))
            or not distill_weight >= 0
        ):
            raise ValueError(
                f"SequenceChunker: expected a number >= 0. Received: learner.distill_weight={distill_weight!r}"
            )
        if judge == "system":
            sure(self)
        self.distill, self.distill_weight, self.judge = distill, float(distill_weight), judge

    def prepare(self, model) -> None:
        """The lines q of A, and C: layers of the model, with initial weights drawn as those of its cell and head."""
        super().prepare(model)
        outputs = model.head.outputs
        model.chunker_cell, model.chunker_head = another_net(self, model, outputs)
        n = model.chunker_cell.output_size
        lines = {"state": n + outputs, "hidden": n, "none": 0}[self.distill]
        model.distilled = None
        if lines:
            model.distilled = another(model.head, outputs=lines)
            model.distilled.build((None, model.cell.output_size), (None, model.features))
        self._count(model)

    def answer(self, model, x):
        return super().answer(model, x) if self.judge == "automatizer" else self.imagined(model, x)

    def fresh(self, model, x_t):
        """Of A and C their memories; pending: z(tau); state: h_C(tau) and o_C(tau)."""
        first = self._first(model, x_t)
        chunker = self.rule.begin(model.chunker_cell, None, first[:, None])
        return {
            "automatizer": self.rule.begin(model.cell, None, x_t[:, None]),
            "chunker": chunker,
            "pending": first,
            "state": tf.concat(
                self._look(model.chunker_cell, model.chunker_head, first, chunker), axis=1
            ),
        }

    def step(self, model, x_t, told, w_t, memory, learns: bool):
        c, c_head, pending, state = (
            model.chunker_cell,
            model.chunker_head,
            memory["pending"],
            memory["state"],
        )
        _, of_a = self._look(model.cell, model.head, x_t, memory["automatizer"])  # (1)
        n = c.output_size
        of_system = tf.where(self._sure(of_a)[:, None], of_a, state[:, n:])
        y_t = told(of_system)
        off = self._off(y_t, of_a) & (w_t > 0)  # (2)
        asked, rows = tf.reduce_any(off), off[:, None]

        after = dict(memory)
        if learns:
            wide = _Wide(model.head, model.distilled, self.distill_weight)
            targets = tf.concat([y_t, state[:, : wide.lines]], axis=1)
            slopes, after["automatizer"] = self._slopes(
                model.cell, wide, x_t, targets, w_t, memory["automatizer"]
            )  # (3)
            w_c = tf.where(off, w_t, 0)
            of_c, after["chunker"] = tf.cond(  # (4)
                asked,
                lambda: self._slopes(c, c_head, pending, y_t, w_c, memory["chunker"]),
                lambda: (
                    [
                        tf.zeros_like(weight.value)
                        for weight in c.trainable_variables + c_head.trainable_variables
                    ],
                    memory["chunker"],
                ),
            )
            cells, heads = len(model.cell.trainable_variables), len(model.head.trainable_variables)
            of_cell, of_head, of_lines = (
                slopes[:cells],
                slopes[cells : cells + heads],
                slopes[cells + heads :],
            )
            self._change(model, [*of_cell, *of_head, *of_c, *of_lines], w_t)  # (5)
        else:
            after["automatizer"] = self.rule.again(model.cell, x_t[:, None], memory["automatizer"])[
                1
            ]
            after["chunker"] = self.rule.again(c, pending[:, None], memory["chunker"])[1]
        after["chunker"] = picked(off, after["chunker"], memory["chunker"])
        after["pending"] = tf.where(rows, y_t, pending)
        after["state"] = tf.cond(
            asked,
            lambda: tf.concat(self._look(c, c_head, after["pending"], after["chunker"]), axis=1),
            lambda: state,
        )
        unexpected = tf.reduce_sum(tf.cast(off, "float32"))[None]
        return (
            (of_a if self.judge == "automatizer" else of_system),
            after,
            unexpected,
            tf.zeros_like(unexpected),
        )


class _Wide:
    """A's head with the lines q beside it: one readout with one error, for targets y o s."""

    def __init__(self, head, distilled, weight: float):
        self.head, self.distilled, self.weight = head, distilled, weight
        self.lines = distilled.outputs if distilled is not None else 0
        self.trainable_variables = head.trainable_variables + (
            distilled.trainable_variables if distilled is not None else []
        )

    def __call__(self, cells, inputs):
        prediction = self.head(cells, inputs)
        return (prediction, self.distilled(cells, inputs)) if self.lines else (prediction, None)

    def error(self, y, prediction, w):
        of_head, of_lines = prediction
        error = self.head.error(y[..., : self.head.outputs], of_head, w)
        if of_lines is None:
            return error
        return error + self.weight * self.distilled.error(y[..., self.head.outputs :], of_lines, w)


def sure(learner: Chunking) -> None:
    """Raise ValueError for a threshold with which a net is sure of every answer."""
    if learner.threshold >= 0.5:
        raise ValueError(
            f"{type(learner).__name__}: a net is sure of outputs below the threshold or above one minus it; expected a number "
            f"in (0, 0.5). Received: learner.threshold={learner.threshold}"
        )


def another_net(learner: Chunking, model, features: int) -> tuple:
    """A cell and a head like the model's, built, with initial weights of their own; features: of its inputs."""
    cell = another(model.cell, **({} if learner.units is None else {"units": learner.units}))
    head = another(model.head)
    cell.build((None, features))
    head.build((None, cell.output_size), (None, features))
    return cell, head


def another(layer: keras.Layer, **settings) -> keras.Layer:
    """A layer like another one, with some other settings, and weights of its own."""
    config = {name: value for name, value in layer.get_config().items() if name != "name"}
    unknown = sorted(set(settings) - set(config))
    if unknown:
        raise ValueError(
            f"chunker: expected a cell with a number of units. Received: cell={type(layer).__name__}"
        )
    return type(layer).from_config({**config, **settings})


def picked(rows, new, old):
    """For each row of the batch: the nest `new` where rows [B] is true, else `old`."""

    def pick(one, other):
        return tf.where(tf.reshape(rows, (-1, *[1] * (one.shape.rank - 1))), one, other)

    return tf.nest.map_structure(pick, new, old)


def share(learner, name: str, value) -> float:
    """`value` if it is a number in (0, 1); else ValueError that names the setting."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise ValueError(
            f"{type(learner).__name__}: expected a number in (0, 1). Received: learner.{name}={value!r}"
        )
    return float(value)
