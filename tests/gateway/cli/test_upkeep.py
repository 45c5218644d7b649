"""Commands that look after an installation: what they look after."""

import pytest
from pydantic import SecretStr

from gateway.cli.upkeep import require_own_database
from gateway.settings import Settings
from gateway.store.project import ProjectError


def test_with_a_project_they_refuse_to_look_after_an_empty_database() -> None:
    chosen = Settings(
        supabase_url="http://project.example",
        supabase_service_role_key=SecretStr("sb_secret_of-these-tests"),
    )
    with pytest.raises(ProjectError, match="SUPABASE_URL is set"):
        require_own_database(chosen)


def test_with_our_own_database_they_go_on() -> None:
    require_own_database(Settings())
