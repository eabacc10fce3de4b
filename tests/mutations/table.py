"""All mutations."""

from mutations import loop, postgresql, tables

MUTATIONS = (*loop.MUTATIONS, *tables.MUTATIONS, *postgresql.MUTATIONS)
