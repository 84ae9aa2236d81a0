"""Who runs the training: a trainer hands back control after every window.

`KerasFit` trains through `Model.fit`; `data` makes the batches (tf.data lives only here). `Native`
trains small networks, one trial or many, with kernels of its own; `Auto` is one or the other. Other
rooms may import all.
"""

from lstmlab.trainers.keras_fit import KerasFit
from lstmlab.trainers.native import Auto, Native

__all__ = ["Auto", "KerasFit", "Native"]
