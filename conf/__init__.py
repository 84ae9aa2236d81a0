"""The registry of the lab: one folder per concept, one file per option."""
