"""One run, many runs: from a composed config to a folder with its results.

`build` makes what a config names and opens a finished run again, `train` carries one run out, and
`sweep` starts many of them, each in a process of its own; `launch` leaves out those that are there
already, which it finds by `identity`. `search` asks Optuna for the jobs of a sweep, with `space`
and `study`; `cluster` gives them to a Dask scheduler; `plugins` tells Hydra of both. `kept` is a
run's folder as its processes share it. What other rooms import: `build.build`, `build.reopen`,
`train.run`.
"""
