"""The dashboard: the only part that imports textual and plotext."""
