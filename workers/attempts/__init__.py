"""One attempt at one job: taken from the queue, owned, alive, heard, and ended with a record or a typed failure."""
