"""Keeps and shows what is measured: csv files, TensorBoard, and a Keras callback for models of other people.

What other rooms import: `recorder.Recorder`, `reading.read`, `callback.GateTensorBoard`.
"""
