"""Options of the long campaigns."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--campaign-rounds", type=int, default=5, help="how often each process is killed"
    )


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> int:
    """How often each process is killed."""
    value: int = request.config.getoption("--campaign-rounds", default=1)
    return value
