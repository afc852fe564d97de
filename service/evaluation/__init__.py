"""Evaluates erasers from outside: clips made through the HTTP service, with and without them, and what a detector sees there.

Needs no access to the workers. The detector runs as a process of its own (`python -m workers.detect`), since it needs torch.
"""
