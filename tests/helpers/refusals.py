"""Texts of refusals that several learners share."""

DROPOUT = "expected dropout=0 and recurrent_dropout=0, since no dropout is applied here"
