"""One attempt at one job while it runs: who owns it, that it lives, and what it says."""
