"""GatedCell: one time step of a gated memory cell. Every variant is a choice of its arguments."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from lstmlab.cells import arguments as checks
from lstmlab.cells.convert import FromKeras
from lstmlab.cells.gates import Coupled, refined, stabilised
from lstmlab.cells.initializers import apart, bias_initializer, biases_together
from lstmlab.cells.recurrence import first, per_head, split, within_blocks
from lstmlab.cells.switches import Switches


def identity(value):
    """The `see` that hides nothing."""
    return value


def keep(name: str, value):
    """The `touch` that changes nothing."""
    return value


@keras.saving.register_keras_serializable("lstmlab")
class GatedCell(Switches):
    """A cell for `keras.layers.RNN` and `GatedRNN` whose gates are switches; n cells in m = n / block_size blocks.

        (1) net_a  = W_a x_t + R_a see(hidden_tm1) + b_a + u_a see(s_tm1)     a: each gate and the candidate; u: peepholes
        (2) i, f   = activation(net)                   one value per block, shared by its cells; an absent gate is 1
        (3) e_t    = 2 r f + (1 - 2 r) f^2             with a refine gate r; else e_t = f_t
        (4) g_t    = candidate_activation(net_g)       with a reset gate q: R_g (q y_tm1), or q (R_g y_tm1 + c) if reset_after
        (5) s_t    = e_t s_tm1 + i_t g_t               the carousel: `see` never filters this path
        (6) o_t    = activation(net_o)                 its peephole may see s_t
        (7) y_t    = o_t output_activation(s_t)
        (8) hidden = y_t, followed by the gates in the order below if feedback is 'all' or 'gates_to_gates'

    With normaliser='gates' i and f are divided by i + f (minLSTM). With normaliser='state' (sLSTM) a second sum
    n_t = f_t n_tm1 + i_t stands beside the state and y_t = o_t output_activation(s_t / n_t). There i is divided by e^m_t and f
    by e^(m_t - m_tm1), m_t = max(log f_t + m_tm1, log i_t), which cancels in s/n and keeps exponential gates finite. With
    layer_normalization, W x_t and R hidden_tm1 are each normalised (over all nets, with gains) before (1) adds them, and s_t
    before (7).

    Columns of `kernel` [F, nets], `recurrent_kernel` [hidden, nets] and `bias` stand in the order input gate, forget gate,
    refine gate, reset gate, candidate, output gate, as in `keras.layers.LSTMCell`; the defaults compute the same function with
    the same weights. Other recurrent weights: see lstmlab.cells.recurrence; `peephole` [gates with one, n].

    units: cells n, a positive integer. block_size: cells per block; divides units (1997: a block shares its two gates).
    input_gate, forget_gate, output_gate: a Gate, the name of an activation, None (no such gate: the constant 1), 'closed' (the
    constant 0), a Coupled, or 'coupled' (for input and forget gate: one minus the other).
    refine_gate, reset_gate: a Gate, the name of an activation or None; for the reset gate also a Coupled.
    candidate_activation, output_activation: g and h; a Keras activation name, 'g1997', 'h1997' or a callable.
    candidate_bias: initial bias of the candidates: a number, one per cell, an initializer, or None for no bias weight.
    candidate_recurrent: what the candidates read back, as Gate.recurrent. heads: diagonal blocks of 'block_diagonal'.
    feedback: what the nets read back: 'cells' (y_tm1), 'all' (y_tm1 and all gates of the step before, 1997), 'gates_to_gates'
    (cells by all nets, gates by gates alone; Greff et al. 2017, FGR), or 'none'.
    dropout, recurrent_dropout: share of the inputs, and of what is read back, set to zero in training, the same at all steps.
    kernel_, recurrent_, peephole_ and bias_ -initializer, -regularizer, -constraint: as Keras layers name them; initial biases
    stand in the gates and candidate_bias. seed: of the dropout.

    States: [hidden [B, n or n + gates], cell_state [B, n]]; the first begins with the output y. Where the output is the state
    itself (no output gate, linear output) there is only the first; normaliser='state' adds normaliser and stabiliser [B, m].
    Raises ValueError at construction for every argument outside these ranges.
    Source: Hochreiter & Schmidhuber 1997, eqs. 3-9; Gers et al. 2000, 2002; conf/cell/ names each variant's own.
    """

    from_keras = FromKeras()

    def build(self, input_shape) -> None:
        checks.inputs(input_shape)
        products = self.recurrence.products
        biased = {
            name: size for name, size in self.nets.items() if self._initial_bias(name) is not None
        }
        initial, *initials = apart(
            [
                self.kernel_initializer,
                *[self.recurrent_initializer] * max(1, len(products)),
                *(
                    bias_initializer("GatedCell", f"{name}.bias", self._initial_bias(name))
                    for name in biased
                ),
            ]
        )
        self.kernel = self._weight("kernel", (input_shape[-1], sum(self.nets.values())), initial)
        self.recurrent_kernel = None
        for product, initial in zip(products, initials, strict=False):
            initial = per_head(initial, self.heads) if product.kind == "block_diagonal" else initial
            shape = self.recurrence.shape(product, self.hidden_size)
            setattr(self, product.weight, self._weight("recurrent", shape, initial, product.weight))
        if self.peepholes:
            self.peephole = self._weight(
                "peephole", (len(self.peepholes), self.units), self.peephole_initializer
            )
        if self.layer_normalization:
            self._build_gains()
        self.bias = self.recurrent_bias = None
        if biased:
            biases = biases_together(
                dict(zip(biased, initials[max(1, len(products)) :], strict=True)), biased
            )
            self.bias = self._weight("bias", (sum(biased.values()),), biases)
        if self.reset_after and self._initial_bias("candidate") is not None:
            self.recurrent_bias = self._weight("bias", (self.units,), "zeros", "recurrent_bias")
        self._biased = biased

    def call(self, inputs, states, training=False):
        inputs, mask = self.dropped(inputs, states[0], training)
        net = None if mask is None else lambda x, hidden: self.net(x, hidden * mask)
        values, states = self.step(inputs, states, net=net)
        return values["output"], states

    def step(
        self,
        inputs,
        states,
        see: Callable = identity,
        touch: Callable = keep,
        net: Callable | None = None,
        see_candidate: Callable | None = None,
    ):
        """One step: inputs [B, F], states in the order of `state_names` -> values by name, new states.

        see: filters what the nets read back, and nothing else; see=stop_gradient is the truncation of 1997.
        see_candidate: filters what the candidate reads back, also behind a reset gate; None: as `see`.
        touch: (name, value) -> value, applied to each named value as it arises: taps for derivatives, clamps, probes.
        net: stands in for `self.net`; a loop over time may have a faster way to the same sums (see GatedRNN).
        values: {name: value} in the order of `value_sizes`: every gate [B, m] as it multiplies, that is after refine gate and
        normaliser; candidate, cell_state and output [B, n]; with normaliser='state' also normaliser [B, m].
        """
        checks.states(self, states)
        past = dict(zip(self.state_names, states, strict=True))
        hidden, y_tm1 = see(past["hidden"]), first(past["hidden"], self.units)
        s_tm1 = past.get("cell_state", y_tm1)
        nets, waiting = (net or self.net)(inputs, hidden)
        if see_candidate is not None and see_candidate is not see:
            hidden = see_candidate(past["hidden"])
            for_candidate, waiting = (net or self.net)(inputs, hidden)
            nets["candidate"] = for_candidate["candidate"]
        self._look("previous", nets, see, s_tm1)
        values, stabiliser = self._open(nets, past, touch)
        values = {
            name: value if name == "refine_gate" else touch(name, value)
            for name, value in values.items()
        }
        net_g = (
            nets["candidate"]
            if self.reset_gate is None
            else self._behind_reset_gate(nets, waiting, hidden, values)
        )
        g = values["candidate"] = touch("candidate", self.candidate_activation(net_g))
        s_t = self._gated("input_gate", values, g)
        if self.forget_gate != "closed":
            s_t = self._gated("forget_gate", values, s_tm1) + s_t
        s_t = values["cell_state"] = touch("cell_state", s_t)
        after = {"cell_state": s_t, "stabiliser": stabiliser}
        if self.normaliser == "state":
            after["normaliser"] = values["normaliser"] = touch(
                "normaliser", self._normalise(past["normaliser"], values)
            )
        if self._looks_at_new_state:
            self._look("current", nets, see, s_t)
            values["output_gate"] = touch(
                "output_gate", self.output_gate.activation(nets["output_gate"])
            )
        y_t = values["output"] = touch(
            "output", self._gated("output_gate", values, self._read_out(s_t, values))
        )
        after["hidden"] = y_t
        if self.hidden_size > self.units:
            after["hidden"] = ops.concatenate(
                [y_t, *(values[name] for name in self.gates)], axis=-1
            )
        return {name: values[name] for name in self.value_sizes}, [
            after[name] for name in self.state_names
        ]

    def state_factor(self, values: dict):
        """e_t of (5), what s_tm1 is multiplied by: [B, n], one number per cell.

        The forget gate as it multiplies, after refine gate and normaliser; 1 where the cell has no
        forget gate, 0 where it is closed. Whoever needs the factor asks here.

        Args:
            values: Values by name of `step` or `traces`, [B, ...] or [B, T, ...]: tensors of the
                backend, or NumPy arrays.

        Returns:
            The factor in the kind of array that was given, [B, n] or [B, T, n].
        """
        like = values["cell_state"]
        like_it = np if isinstance(like, np.ndarray) else ops
        if "forget_gate" in self.gates:
            return self.over_cells(values["forget_gate"])
        return like_it.zeros_like(like) if self.forget_gate == "closed" else like_it.ones_like(like)

    def over_cells(self, of_blocks):
        """A value per block [..., m], given to each cell of the block: [..., n]."""
        if self.block_size == 1:
            return of_blocks
        if isinstance(of_blocks, np.ndarray):
            return np.repeat(of_blocks, self.block_size, axis=-1)
        # Not by a repeat, which would break XLA's gradient in a loop.
        cells = of_blocks[..., None] * ops.ones((self.block_size,), of_blocks.dtype)
        return ops.reshape(cells, (*ops.shape(of_blocks)[:-1], self.units))

    def net(self, inputs, hidden):
        """{net: W x + R hidden + b} for inputs [B, F] and hidden [B, hidden]; and what waits for the reset gate, or None."""
        return self.sums(self.project(inputs), hidden)

    def project(self, inputs):
        """W x [..., nets] for inputs x [..., F]: all that does not depend on the step before."""
        dtype = (
            self.compute_dtype
        )  # learners call `step` past __call__, which would cast for mixed precision
        net = ops.matmul(ops.cast(inputs, dtype), ops.cast(self.kernel, dtype))
        return self._scaled(net, self.kernel_gain) if self.layer_normalization else net

    def sums(self, projected, hidden):
        """`net` from W x [B, nets]."""
        if self.one_product:
            return split(
                projected
                + self._read_back(self.recurrence.products[0], hidden)
                + self.whole_bias(),
                self.nets,
            ), None
        nets = split(projected if self.bias is None else projected + self.whole_bias(), self.nets)
        read = self._all_read_back(hidden, alone=False)
        waiting = read.pop("candidate", None) if self.reset_gate is not None else None
        return {
            name: nets[name] + read[name] if name in read else nets[name] for name in nets
        }, waiting

    def whole_bias(self):
        """b of every net [nets], zero where a net has none; 0 where none has."""
        if self.bias is None:
            return 0.0
        bias = ops.cast(self.bias, self.compute_dtype)
        if len(self._biased) == len(self.nets):
            return bias
        pieces = split(bias, self._biased)
        zeros = {name: ops.zeros((size,), self.compute_dtype) for name, size in self.nets.items()}
        return ops.concatenate([{**zeros, **pieces}[name] for name in self.nets])

    def dropped(self, inputs, hidden, training: bool):
        """inputs [B, (T,) F] after dropout, and the mask [B, hidden] of recurrent dropout or None; one mask for all steps."""
        if not training:
            return inputs, None
        by_step = len(inputs.shape) == 2
        mask, recurrent = (
            self.get_dropout_mask(inputs if by_step else inputs[:, 0]),
            self.get_recurrent_dropout_mask(hidden),
        )
        if mask is not None:
            inputs = inputs * (mask if by_step else mask[:, None])
        return inputs, recurrent

    def get_initial_state(self, batch_size=None):
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    def _open(self, nets: dict, past: dict, touch: Callable):
        """(2) and (3): the gates that do not look at the new state, and the stabiliser of normaliser='state'.

        The refine gate is touched here, where it acts; the others act on cells, later.
        """
        own = {
            name: gate.activation(nets[name])
            for name, gate in self.own.items()
            if gate.peephole != "current"
        }
        stabiliser = None
        if self.refine_gate is not None:
            own["refine_gate"] = touch("refine_gate", own["refine_gate"])
            own["forget_gate"] = refined(own["forget_gate"], own["refine_gate"])
        if self.normaliser is not None:
            log_i, log_f = (
                self.own[name].log(nets[name]) for name in ("input_gate", "forget_gate")
            )
            if self.normaliser == "gates":  # i / (i + f), in a form that knows no 0 / 0
                i, f = ops.sigmoid(log_i - log_f), ops.sigmoid(log_f - log_i)
            else:
                i, f, stabiliser = stabilised(log_i, log_f, past["normaliser"], past["stabiliser"])
            own |= {"input_gate": i, "forget_gate": f}
        for name, gate in self.gates.items():
            if isinstance(gate, Coupled):
                own[name] = gate.value(self.own[gate.to], own[gate.to], nets[gate.to])
        return {name: own[name] for name in self.gates if name in own}, stabiliser

    def _look(self, when: str, nets: dict, see: Callable, state) -> None:
        """Add to each net what its peephole, if it is of this kind, sees of the state."""
        looking = [name for name in self.peepholes if self.own[name].peephole == when]
        if looking:
            seen = see(state)
            for name in looking:
                row = ops.cast(self.peephole[self.peepholes.index(name)], self.compute_dtype)
                nets[name] = nets[name] + within_blocks(seen * row, self.blocks)

    def _behind_reset_gate(self, nets: dict, waiting, hidden, values: dict):
        """(4): the candidate's net input, what it reads back multiplied by the reset gate."""
        if not self.reset_after:
            read = self._all_read_back(self._gated("reset_gate", values, hidden), alone=True)
            return nets["candidate"] + read["candidate"] if read else nets["candidate"]
        if self.recurrent_bias is not None:
            waiting = waiting + ops.cast(self.recurrent_bias, self.compute_dtype)
        return nets["candidate"] + self._gated("reset_gate", values, waiting)

    def _normalise(self, normaliser, values: dict):
        """n_t of normaliser='state' [B, m]."""
        return values["forget_gate"] * normaliser + values["input_gate"]

    def _read_out(self, s_t, values: dict):
        """(7) without its gate."""
        if self.normaliser == "state":
            s_t = self._per_block(s_t, lambda cells, n_t: cells / n_t, values["normaliser"])
        if self.layer_normalization:
            s_t = self._scaled(s_t, self.state_gain) + ops.cast(
                self.state_offset, self.compute_dtype
            )
        return self.output_activation(s_t)

    def _gated(self, name: str, values: dict, value):
        """The value [B, n] times its gate: 1 if the gate is absent, 0 if it is closed."""
        if name in self.gates:
            return self._per_block(value, lambda cells, gate: gate * cells, values[name])
        return ops.zeros_like(value) if getattr(self, name) == "closed" else value

    def _per_block(self, value, function: Callable, of_block):
        if self.block_size == 1:
            return function(value, of_block)
        blocks = ops.reshape(
            value, (-1, self.blocks, self.block_size)
        )  # a repeat here would break XLA's gradient
        return ops.reshape(function(blocks, of_block[:, :, None]), (-1, self.units))

    def _read_back(self, product, hidden):
        return self.recurrence(
            product, ops.cast(getattr(self, product.weight), self.compute_dtype), hidden
        )

    def _all_read_back(self, hidden, alone: bool) -> dict:
        """{net: R hidden}. alone: the candidate's behind a reset gate, for which the other nets do not wait."""
        parts: dict = {}
        for product in self.recurrence.products:
            if product.alone == alone:
                for name, value in split(self._read_back(product, hidden), product.nets).items():
                    parts[name] = parts[name] + value if name in parts else value
        if not (self.layer_normalization and parts):
            return parts
        gain = self.candidate_recurrent_gain if alone else self.recurrent_gain
        stacked = self._scaled(ops.concatenate(list(parts.values()), axis=-1), gain)
        return split(stacked, {name: self.nets[name] for name in parts})

    def _scaled(self, value, gain):
        """Layer normalisation with gains."""
        return ops.layer_normalization(
            value, gamma=ops.cast(gain, self.compute_dtype), epsilon=1e-5
        )

    def _build_gains(self) -> None:
        def gains(name: str, size: int, initial: str = "ones"):
            return self.add_weight(shape=(size,), initializer=initial, name=name) if size else None

        width: dict[bool, dict[str, int]] = {False: {}, True: {}}
        for product in self.recurrence.products:
            width[product.alone] |= product.nets
        self.kernel_gain = gains("kernel_gain", sum(self.nets.values()))
        self.recurrent_gain = gains("recurrent_gain", sum(width[False].values()))
        self.candidate_recurrent_gain = gains("candidate_recurrent_gain", sum(width[True].values()))
        self.state_gain, self.state_offset = (
            gains("state_gain", self.units),
            gains("state_offset", self.units, "zeros"),
        )

    def _weight(self, group: str, shape: tuple, initial, name: str | None = None):
        checks_on_it = {
            kind: getattr(self, f"{group}_{kind}") for kind in ("regularizer", "constraint")
        }
        return self.add_weight(shape=shape, initializer=initial, name=name or group, **checks_on_it)
