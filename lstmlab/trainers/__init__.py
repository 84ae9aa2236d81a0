"""Who runs the training: a trainer hands back control after every window.

`KerasFit` trains through `Model.fit`; `data` makes the batches (tf.data lives only here). Other
rooms may import both.
"""

from lstmlab.trainers.keras_fit import KerasFit

__all__ = ["KerasFit"]
