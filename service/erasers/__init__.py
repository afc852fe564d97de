"""The registry of erasers: versions and their moves, other names, the gate before `active`, import and export."""
