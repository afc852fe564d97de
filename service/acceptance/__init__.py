"""From a request to a job that is committed: the plan, the erasers that are pinned, what policies and limits say of it."""
