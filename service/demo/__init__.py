"""The demo: everything real, everything through HTTP, measured in the run that reports it."""
