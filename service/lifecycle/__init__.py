"""From a job that is committed to its end: whose turn it is, the queue, leases, settling, and the sweep that misses nothing."""
