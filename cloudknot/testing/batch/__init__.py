"""AWS Batch: what it keeps, how its jobs move, and how it answers."""
