"""PostgreSQL: tables, named queries, the group-commit writer."""
