"""Where workers run: as processes here, over ssh, in an allocation, as jobs of a scheduler."""
