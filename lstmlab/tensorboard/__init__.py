"""The page Gates in TensorBoard: what gates, memory and error flow do, over runs and training.

    plugin     answers the browser; TensorBoard finds it by the entry point of the package
    runs       finds the runs below a log folder and reads their tables
    events     the tables of a folder that holds event files alone
    equations  the equations of a run's cell
    reading    how to read a chart: sections of docs/diagnostics.md
    static/    the page itself: plain JavaScript, and uPlot, which draws its curves

It reads the folders of runs and writes nothing. Other rooms import nothing of it.
"""
