"""Who turns the crank: a trainer hands back control after every window, the weights in the Keras model."""

from lstmlab.trainers.keras_fit import KerasFit

__all__ = ["KerasFit"]
