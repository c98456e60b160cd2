"""Starts, resumes, extends and controls experiments, with every check."""
