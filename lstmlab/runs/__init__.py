"""One run, many runs: from a composed config to a folder with its results.

`build` makes what a config names and opens a finished run again, `train` carries one run out, and
`sweep` starts many of them, each in a process of its own that `warm` has forked; `launch` leaves
out those that are there already, which it finds by `identity`. `rows` makes a sweep of jobs that
are listed; `search` asks Optuna for jobs, with `space` and `study`; `cluster` gives them to a Dask
scheduler; `plugins` tells Hydra of these. `kept` is a run's folder as its processes share it. What
other rooms import: `build.build`, `build.reopen`, `train.run`.
"""
