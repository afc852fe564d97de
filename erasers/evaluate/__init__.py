"""Measurements. In embedding space here; on generated frames where there are frames. Spellings and tables need no torch."""
