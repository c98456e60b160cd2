"""Studies: sweeps over settings and curves over the size of the data; planning, training, results."""
