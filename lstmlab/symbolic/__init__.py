"""A cell in symbols: its equations and its one-step Jacobian, derived from its switches, and their values as numbers.

What other rooms import: `equations.equations`, `jacobian.jacobian`, and the letters in `symbols`.
"""
