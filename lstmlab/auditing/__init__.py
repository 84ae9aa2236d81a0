"""One finished Keras model looked at from all sides: a DataFrame, and a page to read.

`audit` is public as `lstmlab.audit`. `found` measures, `summary` makes the DataFrame, `page`,
`sections`, `words` and `pictures` the page. Other rooms import nothing of it.
"""

from lstmlab.auditing.found import audit

__all__ = ["audit"]
