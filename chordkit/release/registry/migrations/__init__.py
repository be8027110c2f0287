"""How the tables of a registry came to be, one revision after the other; Alembic runs them. A revision that was released never changes."""
