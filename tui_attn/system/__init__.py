"""Basics for all packages: text, files, locks, processes, the console. Standard library only."""
