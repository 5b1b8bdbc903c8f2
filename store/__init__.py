"""What outlives a process: tables, migrations, and repositories that return plain objects."""
