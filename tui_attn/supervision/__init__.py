"""The supervisor: worker pool, dispatch of runs, control log, restarts."""
