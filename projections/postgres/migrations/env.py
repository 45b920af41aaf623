"""How Alembic runs our revisions: as a script of SQL, without a connection and in no transaction of
its own (projections/postgres/migrating.py has one)."""

from alembic import context

context.configure(
    dialect_name="postgresql",
    dialect_opts={"paramstyle": "named"},
    output_buffer=context.config.output_buffer,
    transactional_ddl=False,
)
context.run_migrations()
