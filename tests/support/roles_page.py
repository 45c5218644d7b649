"""The table of roles in `docs/tenants.md`, made from the one in the code.

`python -m tests.support.roles_page` prints it.
"""

from gateway.auth.permissions import Operation, Role, permitted


def table() -> str:
    """One line an operation, one column a role."""
    lines = [f"| operation | {' | '.join(Role)} |", f"|---|{':-:|' * len(Role)}"]
    for operation in Operation:
        marks = " | ".join("yes" if permitted(role, operation) else "–" for role in Role)
        lines.append(f"| `{operation}` | {marks} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
