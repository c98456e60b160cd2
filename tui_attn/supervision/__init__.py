"""What a supervisor is made of: the workers it has, the runs it hands them, the commands it obeys."""
