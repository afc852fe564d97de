"""The rules, without anything that they are applied to: pure functions and tables, which read and write nothing."""
