"""Telling a client's server that a generation has ended: at least once, signed, and never a machine of ours by mistake."""
