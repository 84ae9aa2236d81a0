"""Keeps and shows what the diagnostics measure; it measures nothing and trains nothing itself.

    recorder   measures what is due and passes the tables on
    board      writes event files for TensorBoard
    reading    reads the folder of a run back as DataFrames
    callback   GateTensorBoard, for any Keras model with recurrent layers
    layers     the layers of such a model, each as a network that diagnostics can measure
    capture    what these layers are called with, and the error's derivatives at their outputs
    data       a batch for such a model, from arrays or a dataset; `targets`: of the right shape

Other rooms may import `recorder.Recorder`, `board.Board`, `layers.MeasuredLayers`, `data`,
`reading.read` and `callback.GateTensorBoard`. The last two are public as `lstmlab.diagnostics.read`
and `lstmlab.diagnostics.GateTensorBoard`.
"""
