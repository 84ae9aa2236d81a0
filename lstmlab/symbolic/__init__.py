"""A cell in symbols: what its switches say, as equations, as derivatives, and as numbers.

`symbols` has the letters and what a derivative is made of (Factor, Term, Derivative), `equations`
the equations of one step and their legend, `jacobian` every partial derivative of one step, `total`
the total derivative of a state with respect to the one before, `numbers` the values of the symbols
at given steps, `moves` the gates that move another gate. Other rooms import `equations.equations`,
`equations.legend`, `jacobian.jacobian`, `symbols`, `total.total_derivative`, `total.detours`, and
of `numbers` `symbol_values`, `slope` and `SLOPES`.
"""
