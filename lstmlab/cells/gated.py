"""GatedCell: one time step of a gated memory cell. Every variant is a choice of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from lstmlab.cells import arguments as checks
from lstmlab.cells.convert import FromKeras
from lstmlab.cells.drawn import of_each
from lstmlab.cells.gates import GATES, Coupled, Factor, refined, stabilised
from lstmlab.cells.initializers import apart, bias_initializer, biases_together
from lstmlab.cells.recurrence import Product, first, per_head, split, within_blocks
from lstmlab.cells.switches import Switches

EPSILON = 1e-5  # of layer normalisation


def identity(value: Any) -> Any:
    """The `see` that hides nothing."""
    return value


def keep(name: str, value: Any) -> Any:
    """The `touch` that changes nothing."""
    return value


@keras.saving.register_keras_serializable("lstmlab")
class GatedCell(Switches):
    """A cell for `keras.layers.RNN` and `GatedRNN` whose gates are switches.

    It has n cells in m = n / block_size blocks. Every line of `step` that computes one of these
    equations is marked with its number:

        (1) net_a  = W_a x_t + R_a see(hidden_tm1) + b_a + u_a see(s_tm1)
                     a: each gate and the candidate; u: peepholes
        (2) i, f   = activation(net)            one value per block, shared by its cells;
                                                an absent gate is 1, a closed one 0
        (3) e_t    = 2 r f + (1 - 2 r) f^2      with a refine gate r; else e_t = f_t
        (4) g_t    = candidate_activation(net_g)
                     with a reset gate q: R_g (q y_tm1), or q (R_g y_tm1 + c) if reset_after
        (5) s_t    = e_t s_tm1 + i_t g_t        the carousel: `see` never filters this path
        (6) o_t    = activation(net_o)          its peephole may see s_t
        (7) y_t    = o_t output_activation(s_t)
        (8) hidden = y_t, followed by the gates in the order below if feedback is 'all' or
                     'gates_to_gates'

    A normaliser lets the input gate and the forget gate compete. With 'gates' (minLSTM) both are
    divided by their sum. With 'state' (sLSTM) a second sum is kept alongside the state; the
    stabiliser m_t cancels in s / n and keeps exponential gates finite:

        (9)  i, f  = i / (i + f), f / (i + f)                                  'gates'
        (10) i, f  = i / e^m_t, f / e^(m_t - m_tm1)                            'state'
                     m_t = max(log f_t + m_tm1, log i_t)
        (11) n_t   = f_t n_tm1 + i_t                                           'state'
        (12) y_t   = o_t output_activation(s_t / n_t)   in place of (7)        'state'

    With layer_normalization, W x_t and R hidden_tm1 are each normalised (over all pre-activations,
    with gains) before (1) adds them, and s_t before (7).

    The columns of `kernel` [F, nets], `recurrent_kernel` [hidden, nets] and `bias` are in the order
    input gate, forget gate, refine gate, reset gate, candidate, output gate, as in
    `keras.layers.LSTMCell`; with its defaults the cell computes the same function with the same
    weights. For other recurrent weights see lstmlab.cells.recurrence; `peephole` is [gates with a
    peephole, n].

    States: [hidden [B, n or n + gates], cell_state [B, n]]; the first begins with the output y.
    If the output is the state itself (no output gate, linear output), there is only the first;
    normaliser='state' adds the normaliser and the stabiliser [B, m].

    Args:
        units: Cells n, a positive integer.
        input_gate: A Gate, the name of an activation, None (no such gate: the constant 1), 'closed'
            (the constant 0), a Coupled, or 'coupled' (one minus the forget gate).
        forget_gate: The same; 'coupled' is one minus the input gate.
        output_gate: The same, except 'coupled'.
        candidate_activation: g: a Keras activation name, 'g1997', 'h1997' or a callable.
        output_activation: h, specified in the same way.
        candidate_bias: Initial bias of the candidates: a number, one per cell, an initializer, or
            None for no bias weight.
        block_size: Cells per block; must divide units (1997: the cells of a block share its two
            gates).
        feedback: The recurrent inputs of the pre-activations: 'cells' (y_tm1), 'all' (y_tm1 and all
            gates of the previous step, 1997), 'gates_to_gates' (cells are read by all, gates only
            by gates; Greff et al. 2017, FGR), or 'none'.
        refine_gate: A Gate, the name of an activation or None.
        reset_gate: The same, or a Coupled.
        reset_after: Whether the reset gate acts after the recurrent product.
        candidate_recurrent: The recurrent inputs of the candidates, as for Gate.recurrent.
        heads: Number of diagonal blocks in 'block_diagonal'.
        normaliser: None, 'gates' or 'state'.
        layer_normalization: Whether to normalise.
        dropout: Fraction of the inputs set to zero in training, the same inputs at all steps.
        recurrent_dropout: Fraction of the recurrent inputs set to zero, in the same way.
        seed: Seed of the dropout.
        kernel_initializer, ..., bias_constraint: As in Keras, and `peephole_*` likewise. Initial
            biases are set by the gates and by candidate_bias.
        recurrent_bias_initializer: Of c in (4), the bias of the candidate behind a reset gate that
            acts after the recurrent product.

    Raises:
        ValueError: At construction, for any argument outside these ranges.

    References:
        Hochreiter & Schmidhuber 1997, eqs. 3-9; Gers et al. 2000, 2002; conf/cell/ names the source
        of each variant.
    """

    from_keras = FromKeras()

    def build(self, input_shape: tuple) -> None:
        checks.inputs(input_shape)
        products = self.recurrence.products
        biased = {
            name: size for name, size in self.nets.items() if self._initial_bias(name) is not None
        }
        biases = [
            bias_initializer("GatedCell", f"{name}.bias", self._initial_bias(name))
            for name in biased
        ]
        widths = [sum(product.nets.values()) for product in products]
        of_products = of_each(self.recurrent_initializer, widths)
        starts = [self.kernel_initializer, *of_products, *biases, self.recurrent_bias_initializer]
        of_kernel, *initials, of_recurrent_bias = apart(starts)

        self.kernel = self._weight("kernel", (input_shape[-1], sum(self.nets.values())), of_kernel)
        self.recurrent_kernel = None
        for product, initial in zip(products, initials, strict=False):
            initial = per_head(initial, self.heads) if product.kind == "block_diagonal" else initial
            shape = self.recurrence.shape(product, self.hidden_size)
            setattr(self, product.weight, self._weight("recurrent", shape, initial, product.weight))
        if self.peepholes:
            shape = (len(self.peepholes), self.units)
            self.peephole = self._weight("peephole", shape, self.peephole_initializer)
        if self.layer_normalization:
            self._build_gains()

        self.bias = self.recurrent_bias = None
        if biased:
            of_biases = initials[len(of_products) :]
            drawn = biases_together(dict(zip(biased, of_biases, strict=True)), biased)
            self.bias = self._weight("bias", (sum(biased.values()),), drawn)
        if self.reset_after and self._initial_bias("candidate") is not None:
            shape = (self.units,)
            self.recurrent_bias = self._weight("bias", shape, of_recurrent_bias, "recurrent_bias")
        self._biased = biased

    def load_own_variables(self, store: Any) -> None:
        if self.built:
            own = [*self._trainable_variables, *self._non_trainable_variables]
            checks.weights(
                "GatedCell", own, [store[str(k)].shape for k in range(len(store.keys()))]
            )
        super().load_own_variables(store)

    def call(self, inputs: Any, states: list, training: bool = False) -> tuple[Any, list]:
        inputs, mask = self.dropped(inputs, states[0], training)
        net = None if mask is None else lambda x, hidden: self.net(x, hidden * mask)
        values, states = self.step(inputs, states, net=net)
        return values["output"], states

    def step(
        self,
        inputs: Any,
        states: list,
        see: Callable = identity,
        touch: Callable = keep,
        net: Callable | None = None,
        see_candidate: Callable | None = None,
    ) -> tuple[dict[str, Any], list]:
        """Compute one step.

        Args:
            inputs: x_t [B, F].
            states: In the order of `state_names`.
            see: Filters the recurrent inputs of the pre-activations, and nothing else;
                see=stop_gradient is the truncation of 1997.
            touch: (name, value) -> value, applied to each named value as it is computed: taps for
                derivatives, clamps, probes.
            net: Replaces `self.net`; a loop over time may have a faster way to compute the same
                sums (see GatedRNN).
            see_candidate: Filters the recurrent inputs of the candidate, including those behind a
                reset gate; None means the same as `see`.

        Returns:
            values: {name: value} in the order of `value_sizes`: every gate [B, m] as it multiplies,
                that is, after the refine gate and the normaliser; candidate, cell_state and output
                [B, n]; with normaliser='state' also normaliser [B, m].
            states: The new states.
        """
        checks.states(self, states)
        past = dict(zip(self.state_names, states, strict=True))
        y_tm1 = first(past["hidden"], self.units)
        s_tm1 = past.get("cell_state", y_tm1)

        hidden = see(past["hidden"])
        nets, waiting = (net or self.net)(inputs, hidden)  # (1)
        if see_candidate is not None and see_candidate is not see:
            hidden = see_candidate(past["hidden"])
            for_candidate, waiting = (net or self.net)(inputs, hidden)  # (1)
            nets["candidate"] = for_candidate["candidate"]
        self._look("previous", nets, see, s_tm1)  # (1)

        values, stabiliser = self._open(nets, past, touch)  # (2), (3)
        e_t, i_t = self._factor("forget_gate", values), self._factor("input_gate", values)

        net_g = self._net_of_candidate(nets, waiting, hidden, values)
        g_t = values["candidate"] = touch("candidate", self.candidate_activation(net_g))  # (4)

        s_t = e_t * s_tm1 + i_t * g_t  # (5) the carousel
        s_t = values["cell_state"] = touch("cell_state", s_t)
        after = {"cell_state": s_t, "stabiliser": stabiliser}
        if self.normaliser == "state":
            n_t = values["forget_gate"] * past["normaliser"] + values["input_gate"]  # (11)
            after["normaliser"] = values["normaliser"] = touch("normaliser", n_t)

        if self._looks_at_new_state:
            self._look("current", nets, see, s_t)  # (1)
            o_t = self.output_gate.activation(nets["output_gate"])  # (6)
            values["output_gate"] = touch("output_gate", o_t)
        o_t = self._factor("output_gate", values)

        y_t = o_t * self.output_activation(self._read_out(s_t, values))  # (7), (12)
        y_t = after["hidden"] = values["output"] = touch("output", y_t)
        if self.hidden_size > self.units:
            gates = [values[name] for name in self.gates]
            after["hidden"] = ops.concatenate([y_t, *gates], axis=-1)  # (8)
        in_order = {name: values[name] for name in self.value_sizes}
        return in_order, [after[name] for name in self.state_names]

    def state_factor(self, values: dict[str, Any]) -> Any:
        """e_t of (5), what s_tm1 is multiplied by: one number per cell.

        The forget gate as it multiplies, after the refine gate and the normaliser; 1 if the cell
        has no forget gate, 0 if it is closed. For learners and diagnostics, which need numbers;
        `step` multiplies by the gate and makes none where it is constant.

        Args:
            values: Values by name of `step` or `traces`, [B, ...] or [B, T, ...]: tensors of the
                backend, or NumPy arrays.

        Returns:
            The factor in the kind of array that was given, [B, n] or [B, T, n].
        """
        if "forget_gate" in self.gates:
            return self.over_cells(values["forget_gate"])
        like = values["cell_state"]
        kind = np if isinstance(like, np.ndarray) else ops
        return kind.zeros_like(like) if self.forget_gate == "closed" else kind.ones_like(like)

    def over_cells(self, of_blocks: Any) -> Any:
        """Give a value per block [..., m] to each cell of the block: [..., n]."""
        if self.block_size == 1:
            return of_blocks
        if isinstance(of_blocks, np.ndarray):
            return np.repeat(of_blocks, self.block_size, axis=-1)
        # Not by a repeat, which would break XLA's gradient in a loop.
        cells = of_blocks[..., None] * ops.ones((self.block_size,), of_blocks.dtype)
        return ops.reshape(cells, (*ops.shape(of_blocks)[:-1], self.units))

    def net(self, inputs: Any, hidden: Any) -> tuple[dict[str, Any], Any]:
        """(1) without peepholes: {name: W x + R hidden + b} for inputs [B, F], hidden [B, hidden].

        The second value is what waits for the reset gate, or None.
        """
        return self.sums(self.project(inputs), hidden)

    def project(self, inputs: Any) -> Any:
        """W x [..., nets] of (1) for inputs x [..., F]: all that does not depend on the past."""
        # Learners call `step` past __call__, which would cast for mixed precision.
        dtype = self.compute_dtype
        net = ops.matmul(ops.cast(inputs, dtype), ops.cast(self.kernel, dtype))
        return self._scaled(net, self.kernel_gain) if self.layer_normalization else net

    def sums(self, projected: Any, hidden: Any) -> tuple[dict[str, Any], Any]:
        """`net` from W x [B, nets]."""
        if self.one_product:
            read = self._read_back(self.recurrence.products[0], hidden)
            return split(projected + read + self.whole_bias(), self.nets), None
        nets = split(projected if self.bias is None else projected + self.whole_bias(), self.nets)
        parts = self._all_read_back(hidden, alone=False)
        waiting = parts.pop("candidate", None) if self.reset_gate is not None else None
        summed = {name: nets[name] + parts[name] if name in parts else nets[name] for name in nets}
        return summed, waiting

    def whole_bias(self) -> Any:
        """b of every pre-activation [nets], zero where one has none; 0 where none has."""
        if self.bias is None:
            return 0.0
        bias = ops.cast(self.bias, self.compute_dtype)
        if len(self._biased) == len(self.nets):
            return bias
        pieces = split(bias, self._biased)
        zeros = {name: ops.zeros((size,), self.compute_dtype) for name, size in self.nets.items()}
        return ops.concatenate([{**zeros, **pieces}[name] for name in self.nets])

    def dropped(self, inputs: Any, hidden: Any, training: bool) -> tuple[Any, Any]:
        """Apply dropout; one mask is used for all steps.

        Returns:
            inputs [B, (T,) F] after dropout, and the mask [B, hidden] of recurrent dropout or None.
        """
        if not training:
            return inputs, None
        by_step = len(inputs.shape) == 2
        mask = self.get_dropout_mask(inputs if by_step else inputs[:, 0])
        recurrent = self.get_recurrent_dropout_mask(hidden)
        if mask is not None:
            inputs = inputs * (mask if by_step else mask[:, None])
        return inputs, recurrent

    def get_initial_state(self, batch_size: int | None = None) -> list:
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in self.state_size]

    # ---- the parts of a step

    def _open(self, nets: dict, past: dict, touch: Callable) -> tuple[dict, Any]:
        """The gates that do not look at the new state, by (2) and (3), (9) and (10).

        With them the stabiliser, or None.
        """
        own = {
            name: gate.activation(nets[name])  # (2)
            for name, gate in self.own.items()
            if gate.peephole != "current"
        }
        if self.refine_gate is not None:
            r_t = own["refine_gate"] = touch("refine_gate", own["refine_gate"])
            own["forget_gate"] = refined(own["forget_gate"], r_t)  # (3)
        stabiliser = None
        if self.normaliser is not None:
            log_i = self.own["input_gate"].log(nets["input_gate"])
            log_f = self.own["forget_gate"].log(nets["forget_gate"])
            if self.normaliser == "gates":
                # A form of i / (i + f) that never becomes 0 / 0.
                i_t, f_t = ops.sigmoid(log_i - log_f), ops.sigmoid(log_f - log_i)  # (9)
            else:
                before = past["normaliser"], past["stabiliser"]
                i_t, f_t, stabiliser = stabilised(log_i, log_f, *before)  # (10)
            own |= {"input_gate": i_t, "forget_gate": f_t}

        for name, gate in self.gates.items():
            if isinstance(gate, Coupled):
                own[name] = gate.value(self.own[gate.to], own[gate.to], nets[gate.to])  # (2)

        # A gate that moves another one has been touched above, where it acts.
        opened = {name: own[name] for name in self.gates if name in own}
        touched = {
            name: value if GATES[name].moves else touch(name, value)
            for name, value in opened.items()
        }
        return touched, stabiliser

    def _look(self, when: str, nets: dict, see: Callable, state: Any) -> None:
        """Add to each pre-activation what a peephole of this kind sees of the state."""
        looking = [name for name in self.peepholes if self.own[name].peephole == when]
        if looking:
            seen = see(state)
            for name in looking:
                u_a = ops.cast(self.peephole[self.peepholes.index(name)], self.compute_dtype)
                nets[name] = nets[name] + within_blocks(seen * u_a, self.blocks)  # (1)

    def _net_of_candidate(self, nets: dict, waiting: Any, hidden: Any, values: dict) -> Any:
        """The candidate's pre-activation; the reset gate multiplies what it reads back."""
        net_g = nets["candidate"]
        if self.reset_gate is None:
            return net_g
        q_t = self._factor("reset_gate", values)
        if self.reset_after:
            if self.recurrent_bias is not None:
                waiting = waiting + ops.cast(self.recurrent_bias, self.compute_dtype)
            return net_g + q_t * waiting  # (4), reset_after
        read = self._all_read_back(q_t * hidden, alone=True)
        return net_g + read["candidate"] if read else net_g  # (4)

    def _read_out(self, s_t: Any, values: dict) -> Any:
        """What the output activation is applied to: s_t, divided or normalised."""
        if self.normaliser == "state":
            s_t = self._per_block(s_t, lambda cells, n_t: cells / n_t, values["normaliser"])  # (12)
        if self.layer_normalization:
            offset = ops.cast(self.state_offset, self.compute_dtype)
            s_t = self._scaled(s_t, self.state_gain) + offset
        return s_t

    def _factor(self, name: str, values: dict) -> Factor:
        """The gate as a factor: its value, or the constant 1 or 0."""
        return Factor(values.get(name, getattr(self, name)), self.block_size)

    def _per_block(self, value: Any, function: Callable, of_block: Any) -> Any:
        """function(cells, value of their block) for values [B, n] and of_block [B, m]."""
        if self.block_size == 1:
            return function(value, of_block)
        blocks = ops.reshape(value, (-1, self.blocks, self.block_size))
        return ops.reshape(function(blocks, of_block[:, :, None]), (-1, self.units))

    def _read_back(self, product: Product, hidden: Any) -> Any:
        """R hidden of (1), by one weight."""
        weight = ops.cast(getattr(self, product.weight), self.compute_dtype)
        return self.recurrence(product, weight, hidden)

    def _all_read_back(self, hidden: Any, alone: bool) -> dict:
        """{name: R hidden} of (1). alone: only the candidate's, behind a reset gate."""
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

    def _scaled(self, value: Any, gain: Any) -> Any:
        """Layer normalisation with gains."""
        gamma = ops.cast(gain, self.compute_dtype)
        return ops.layer_normalization(value, gamma=gamma, epsilon=EPSILON)

    def _build_gains(self) -> None:
        """The gains of layer normalisation, and the offset of the state."""

        def gains(name: str, size: int, initial: str = "ones") -> Any:
            return self.add_weight(shape=(size,), initializer=initial, name=name) if size else None

        width: dict[bool, dict[str, int]] = {False: {}, True: {}}
        for product in self.recurrence.products:
            width[product.alone] |= product.nets
        self.kernel_gain = gains("kernel_gain", sum(self.nets.values()))
        self.recurrent_gain = gains("recurrent_gain", sum(width[False].values()))
        self.candidate_recurrent_gain = gains("candidate_recurrent_gain", sum(width[True].values()))
        self.state_gain = gains("state_gain", self.units)
        self.state_offset = gains("state_offset", self.units, "zeros")

    def _weight(self, group: str, shape: tuple, initial: Any, name: str | None = None) -> Any:
        """A weight with the regularizer and the constraint of its group."""
        kinds = ("regularizer", "constraint")
        extras = {kind: getattr(self, f"{group}_{kind}") for kind in kinds}
        return self.add_weight(shape=shape, initializer=initial, name=name or group, **extras)
