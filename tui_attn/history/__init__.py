"""The list of experiments, and their names, notes, pins and trash."""
