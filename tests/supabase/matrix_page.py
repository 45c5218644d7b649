"""The matrix as a page: `python -m tests.supabase.matrix_page` prints it, a test compares it."""

import sys
from collections.abc import Iterator

from tests.supabase.matrix import ACTORS, FUNCTIONS_OF_PEOPLE, MATRIX, OPERATIONS, Rights

_HEAD = """# Row-level security

**Context.** Whoever signs in holds a token that Postgres itself understands, on Supabase also without the gateway between. What a person may read and write must hold in the database, for every table, also for the next one.

**Decision.** One matrix: table × operation × actor, below. Every table has row-level security and a policy; a right that is not in the matrix is not there. People read as themselves, in both implementations of the store, and write through the gateway alone, whose SQL functions write the audit log too. Functions of schema `public` are closed to people unless they are listed. Views run with the rights of who asks. Partitions live in a schema that nobody can address. Policies of large tables turn the question round (`tenant_id = any (array(select …))`): whose rows these are is asked once for each statement, and an index answers the rest.

**Consequences.** A new table needs a row in the matrix before the tests pass, and the page is made anew. An installation's administrators read as the service, through routes that ask who they are.

**Enforced by.** `tests/supabase/matrix.py` holds the matrix, `tests/supabase/test_row_security.py` tries every cell under the real roles, `tests/supabase/test_grants.py` finds what is not in it, `tests/gateway/control/test_reads_as_user.py` asks every route who it reads as, `tests/benchmarks/policies.py` measures what policies cost; this page is made by `python -m tests.supabase.matrix_page` and compared with its source.

## The matrix

A row belongs to a tenant with an owner, an admin, a developer and a viewer; the stranger owns another tenant. *Owner* is also the person whom a row is about. *Service* is the gateway.

- **all**: rows of every tenant
- **own**: rows of the actor's tenant, or about the actor, and no other
- **none**: answered, without any such row
- **–**: refused, whatever the row
"""  # noqa: E501 - paragraphs of a page
_WORDS = {"all": "all", "own": "own", "none": "none", "refused": "–"}


def page() -> str:
    """The whole page."""
    return "".join((_HEAD, *_table(), *_columns(), *_functions()))


def _table() -> Iterator[str]:
    yield f"\n| table | operation | {' | '.join(ACTORS)} |\n|---|---|{':-:|' * len(ACTORS)}\n"
    for table in sorted(MATRIX):
        for operation in OPERATIONS:
            verdicts = MATRIX[table].of(operation).values()
            cells = " | ".join(_WORDS[verdict] for verdict in verdicts)
            name = f"`{table}`" if operation == "select" else ""
            yield f"| {name} | {operation} | {cells} |\n"


def _columns() -> Iterator[str]:
    yield "\n## Columns that people may not read\n\n| table | columns |\n|---|---|\n"
    for table in sorted(MATRIX):
        if MATRIX[table].hidden:
            yield f"| `{table}` | {_hidden(MATRIX[table])} |\n"


def _hidden(rights: Rights) -> str:
    return ", ".join(f"`{column}`" for column in sorted(rights.hidden))


def _functions() -> Iterator[str]:
    yield "\n## Functions that people may call\n\n"
    if not FUNCTIONS_OF_PEOPLE:
        yield "None.\n"
        return
    yield "| function | why |\n|---|---|\n"
    for signature, reason in sorted(FUNCTIONS_OF_PEOPLE.items()):
        yield f"| `{signature}` | {reason} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
