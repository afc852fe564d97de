"""Who can tell what is in frames, and which prompts to ask a model for to find out."""
