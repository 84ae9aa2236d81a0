"""The user's own table: read in chunks, checked cell by cell, nothing dropped without a word.

text: the file. columns: which column is what. rows: the table as numbers. cleaning: missing values
and scales. sequences: where each begins, and which part it belongs to.
"""
