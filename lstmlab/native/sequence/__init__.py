"""A layer over whole sequences: kernels forward and back, and what TensorFlow and JAX need of them.

`program` is the mathematics of a block of cells with its derivatives, `layout` says where weights
and values lie, `text` and `writing` write the kernels, `products` are the matrix products in them,
`kernels` is the door with NumPy arrays, `threads`, `memory` and `packing` serve it. `bridge` is the
engine "native" of GatedRNN on TensorFlow, `callbacks` on JAX, `orders` what they share; `support`
says what they cannot do. Only `lstmlab.cells.engines` imports these, and only when a layer is
called.
"""
