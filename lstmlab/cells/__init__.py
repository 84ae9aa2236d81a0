"""What one time step computes. keras.ops only: everything here runs on every Keras backend and imports no other room."""

from lstmlab.cells.gated import GatedCell
from lstmlab.cells.gates import Gate, g1997, h1997
from lstmlab.cells.initializers import Staggered
from lstmlab.cells.variants import variant, variants

__all__ = ["Gate", "GatedCell", "Staggered", "g1997", "h1997", "variant", "variants"]
