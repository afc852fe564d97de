"""Every method on the same prompts and seeds, over strength: `python -m workers.suite --out DIR`. What decides is here."""
