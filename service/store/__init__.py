"""What was accepted, in SQL: tables, their migrations, and one module of statements per table."""
