"""Forward: what learners share that go forward in time with a memory, and may learn on the way."""

import abc
from collections.abc import Callable

import tensorflow as tf

from lstmlab import checks
from lstmlab.errors import refusal
from lstmlab.learners.base import Batch, Found, GradientLearner
from lstmlab.learners.states import apply_where, begun, cut, last_error, like
from lstmlab.typing import Cell, Head, Nest, Net, Tensor

Advanced = tuple[Tensor, Tensor, list, Nest]  # loss, prediction, gradients, memory


class Forward(GradientLearner, abc.ABC):
    """A learner that goes forward piece by piece, so that weights may change within a sequence.

    A subclass gives `begin` and `advance`, and `traits` with streams=True. What the memory holds
    was found with the weights of its time, as in Williams & Zipser 1989. Where no step of a piece
    has an error there is no change.

    Args:
        update_every: Steps between two changes of the weights; None for one change after each
            sequence, or after each piece of a stream.
        decay: In (0, 1]: factor on the changes after each `decay_steps` steps of a sequence,
            against forgetting within long streams (Gers, Schmidhuber & Cummins 2000: 0.99, 100). It
            begins anew with each sequence, and is the mean over a batch.
        decay_steps: See decay.

    Raises:
        ValueError: For any other value.
    """

    def __init__(self, update_every: int | None = None, decay: float = 1.0, decay_steps: int = 100):
        owner = type(self).__name__
        self.update_every = checks.integer(
            owner, "learner.update_every", update_every, optional=True
        )
        self.decay = checks.number(owner, "learner.decay", decay, above=0, most=1)
        self.decay_steps = checks.integer(owner, "learner.decay_steps", decay_steps)

    @abc.abstractmethod
    def begin(self, cell: Cell, head: Head, x: Tensor, states: Nest = None) -> Nest:
        """Return the memory, a nest of [B, ...], at the beginning of sequences such as x [B, T, F].

        states: As in `gradients`.
        """

    @abc.abstractmethod
    def advance(
        self, cell: Cell, head: Head, x: Tensor, y: Tensor, w: Tensor, memory: Nest
    ) -> Advanced:
        """Return loss, prediction, gradients and memory after a piece; the weights stay."""

    def remember(self, state: dict, memory: Nest) -> dict:
        """Return the state after a batch that ended with this memory.

        Default: the state as it is.
        """
        return state

    def check_chunk(self, steps: int) -> None:
        if self.update_every is not None and steps % self.update_every:
            expected = f"a multiple of learner.update_every={self.update_every}"
            raise refusal(type(self).__name__, expected, {"trainer.chunk": steps})

    def init(self, net: Net, streams: int | None = None) -> dict[str, Nest]:
        if streams is None:
            return {}
        x = tf.zeros((streams, 1, net.features), net.cell.compute_dtype)
        return {"carried": self._fresh(net, x)}

    def gradients(
        self, cell: Cell, head: Head, x: Tensor, y: Tensor, w: Tensor, states: Nest = None
    ) -> Found:
        return self.advance(cell, head, x, y, w, self.begin(cell, head, x, states))[:3]

    def update(self, net: Net, state: dict, batch: Batch) -> tuple[dict, Tensor, Tensor]:
        """Change the weights after each `update_every` steps.

        Of whole sequences, up to the last error.
        """
        x, y, w, begins = batch
        whole = begins is None
        passed, memory = self._fresh(net, x)
        if not whole:
            passed, memory = begun((passed, memory), state["carried"], begins)

        if self.update_every is None or self.update_every >= x.shape[1]:
            loss, prediction, gradients, memory = self.advance(net.cell, net.head, x, y, w, memory)
            self._change(net, gradients, passed, w, always=whole and self.update_every is None)
        else:
            every = self.update_every

            def change(gradients: list, k: Tensor, w: Tensor) -> list:
                self._change(net, gradients, passed + k * every, w)
                return []

            used = last_error(w) if whole else x.shape[1]
            loss, prediction, memory, _ = self.along(
                net.cell, net.head, batch, memory, every, change, [], used
            )

        state = self.remember(state, memory)
        if not whole:
            state = {**state, "carried": (passed + x.shape[1], memory)}
        return state, loss, prediction

    def along(
        self,
        cell: Cell,
        head: Head,
        batch: Batch,
        memory: Nest,
        length: int,
        use: Callable,
        total: list,
        used: Tensor,
    ) -> tuple[Tensor, Tensor, Nest, list]:
        """Advance by pieces of `length` steps over the first `used` ones.

        Args:
            cell: The cell.
            head: The head.
            batch: Whole sequences or pieces of streams, which are cut further here.
            memory: The memory before it.
            length: Steps of a piece.
            use: Called as use(gradients, k, w) with those of piece number k; returns a nest.
            total: The nest to which what `use` returns is added.
            used: Steps after which nothing is done any more.

        Returns:
            loss, prediction, memory, and the total.
        """
        x, y, w, _ = batch
        pieces = [cut(part, length) for part in (x, y, w)]
        count = pieces[0].shape[0]
        stack = tf.TensorArray(y.dtype, size=count, element_shape=pieces[1].shape[1:])

        def body(k, loss, predictions, total, memory):  # type: ignore[no-untyped-def]  # of a loop
            x, y, w = (part[k] for part in pieces)
            more, prediction, gradients, after = self.advance(cell, head, x, y, w, memory)
            total = tf.nest.map_structure(tf.add, total, use(gradients, k, w))
            return k + 1, loss + more, predictions.write(k, prediction), total, like(after, memory)

        start = tf.constant(0), tf.zeros((), y.dtype), stack, total, memory
        *_, loss, predictions, total, memory = tf.while_loop(
            lambda k, *_: k * length < used, body, start, maximum_iterations=count
        )

        prediction = tf.transpose(predictions.stack(), [1, 0, 2, 3])
        prediction = tf.reshape(prediction, (x.shape[0], count * length, y.shape[-1]))
        return loss, prediction[:, : x.shape[1]], memory, total

    def _fresh(self, net: Net, x: Tensor) -> tuple[Tensor, Nest]:
        """What streams carry, at the beginning of sequences such as x: steps so far [B], memory."""
        return tf.zeros((x.shape[0],), "int32"), self.begin(net.cell, net.head, x)

    def _change(
        self, net: Net, gradients: list, passed: Tensor, w: Tensor, always: bool = False
    ) -> None:
        """Change the weights, decayed, where a step has an error or it is `always` to be done."""
        if self.decay != 1.0:
            times = tf.cast(passed // self.decay_steps, gradients[0].dtype)
            gradients = [gradient * tf.reduce_mean(self.decay**times) for gradient in gradients]
        if always:
            net.apply(gradients)
        else:
            apply_where(tf.reduce_any(w != 0), net, gradients)
