"""What one time step computes, and the layer that runs it over time.

keras.ops only: everything here runs on every Keras backend and imports no other room.
"""

from lstmlab.cells.cascade import CascadeCell
from lstmlab.cells.gated import GatedCell
from lstmlab.cells.gates import Coupled, Gate, g1997, h1997
from lstmlab.cells.initializers import Chrono, Opposite, Staggered, UniformGate
from lstmlab.cells.layer import GatedRNN
from lstmlab.cells.tracing import traces
from lstmlab.cells.variants import variant, variants

__all__ = [
    "CascadeCell", "Chrono", "Coupled", "Gate", "GatedCell", "GatedRNN", "Opposite", "Staggered", "UniformGate",
    "g1997", "h1997", "traces", "variant", "variants",
]  # fmt: skip
