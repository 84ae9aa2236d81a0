"""What several measures share, and no measure itself.

steps (which steps, lags and cells to look at), tracing and values (a forward pass with everything
the cell computes), graphs (compiling), checked (arguments), products (chains of one-step
Jacobians), vectors (angles). `terms` measures the Jacobian in symbols, for an explanation only.
Measures import these modules; nothing outside of lstmlab.diagnostics needs them, except
lstmlab.explain (`terms`) and scripts that look at a cell (`trace`).
"""
