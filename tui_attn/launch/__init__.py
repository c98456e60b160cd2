"""Starting, resuming, extending and steering experiments, with every check that belongs to them."""
