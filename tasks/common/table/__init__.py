"""The user's own table: read in chunks, checked cell by cell, nothing dropped without a word.

The file: opening, form (how it is written), survey (header and number of rows), text (columns,
chunk by chunk), written (percent signs, true and false), messages. Which column is what: settings,
columns. As numbers: keys (words), times, gaps, scales, rows, steps (of a wide table). From there to
sequences: cleaning (missing values), sequences, windows.
"""
