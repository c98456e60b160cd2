"""What the comparison's pages say, as rows: pure functions of what was computed, which know no screen."""
