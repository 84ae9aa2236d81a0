"""What one time step computes, and the layer that runs it over time.

`gated` has the step and its equations, `switches` and `arguments` what a cell accepts, `gates` the
table of gates, `recurrence` what is read back, `initializers` initial values, `layer` the cell over
time, `engines` what may compute it (`loop`, `scan` with `prefix`; `replaced` of a subclass),
`called` what it may be called with, `variants` the named cells of conf/cell/, `convert` weights
from and to Keras, `drawn` initial values as Keras draws them, `restoring` subclasses from their
config, `tracing` the values of every step of a finished model (`watching`, `stock` and
`fingerprint` serve it: what a layer tells, the layers of Keras, what a compiled look depends on),
`wrappers` what Bidirectional and TimeDistributed hand on, `cascade` a cell that grows. It uses only
keras.ops, so that it runs on every Keras backend, and loads no Hydra. Users import the
names below; other rooms also import `gates`, `initializers`, `recurrence` (Product, split,
within_blocks), `tracing`, `watching`, `stock`, `fingerprint`, `gated` (GatedCell, EPSILON) and
`layer.GatedRNN`.
"""

from lstmlab.cells.cascade import CascadeCell
from lstmlab.cells.gated import GatedCell
from lstmlab.cells.gates import Coupled, Gate, g1997, h1997
from lstmlab.cells.initializers import Chrono, Opposite, Staggered, UniformGate
from lstmlab.cells.layer import GatedRNN
from lstmlab.cells.tracing import traces
from lstmlab.cells.variants import variant, variants

__all__ = [
    "CascadeCell", "Chrono", "Coupled", "Gate", "GatedCell", "GatedRNN", "Opposite", "Staggered",
    "UniformGate", "g1997", "h1997", "traces", "variant", "variants",
]  # fmt: skip
