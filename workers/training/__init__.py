"""A training: pairs, an eraser with checkpoints, and what it does, alone and together with others."""
