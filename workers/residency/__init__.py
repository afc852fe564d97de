"""What stays in a worker between jobs: the model, and erasers that were fetched, verified and bound to its text encoder."""
