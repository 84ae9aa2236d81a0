"""What several tasks share. Nothing here is a task.

drawing: helpers with which sequences are drawn. rules: when a sequence is right and a task solved.
yardsticks: exact chance levels. continual: endless streams. reber_grammar: the Reber grammars.
table: the user's own table. guessing: random weight guessing, for tasks it solves.
"""
