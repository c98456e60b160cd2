"""What every room may use: text, files, locks, processes, the console. Standard library only."""
