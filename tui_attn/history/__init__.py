"""The history: every experiment of a folder in a line, and what people do with experiments."""
