"""Kernels: one time step, the learning rules and the loop over sequences, for 16 trials at once.

A kernel is written from a cell's own switches and compiled by Numba. `algebra` and `block` are the
mathematics, `layout` says where everything lies, `phases`, `rules`, `writing` and `kernel` write
the source, `compiled` keeps it, `engine` is the door. Numba is imported when the first kernel is
compiled. Trainers import this room; it knows nothing of tasks, learners or models. `sequence` is
the engine "native" of GatedRNN.
"""
