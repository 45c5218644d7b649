"""Routes of secrets: never a value in an answer, and a fresh sandbox that has it."""

import asyncio
from typing import Any

import httpx
import pytest

from gateway.operations.secrets import MAX_CHARACTERS
from gateway.store.database import SERVICE, Filter
from sandbox.types import ManagerUnavailableError, Placeholder, SandboxSpec
from tests.support.control import World
from tests.support.factories import Person, add_member, make_tenant
from tests.support.problems import assert_problem
from tests.support.sandboxes import GOOD
from tests.support.waiting import until

VALUE = "hunter2 ' \" \\ $(reboot) ü\n"
HOSTS = ["api.example.com", "*.example.org"]


async def created(world: World, person: Person, **more: Any) -> str:
    async with world.client(person) as client:
        body = {"name": "x", "code": GOOD, "egress": {"hosts": HOSTS}, **more}
        answer = await client.post("/api/apis", json=body)
    assert answer.status_code == 201, answer.text
    world.changes.published.clear()
    return str(answer.json()["id"])


async def put(
    world: World, person: Person, api_id: str, name: str = "TOKEN", **body: Any
) -> httpx.Response:
    async with world.client(person) as client:
        return await client.put(f"/api/apis/{api_id}/secrets/{name}", json={"value": VALUE, **body})


async def listed(world: World, person: Person, api_id: str) -> list[dict[str, Any]]:
    async with world.client(person) as client:
        items: list[dict[str, Any]] = (await client.get(f"/api/apis/{api_id}/secrets")).json()[
            "items"
        ]
    return items


def newest(world: World, api_id: str) -> SandboxSpec:
    return max(world.sandboxes.of(api_id), key=lambda spec: spec.generation)


def environment(world: World, api_id: str) -> dict[str, str]:
    return dict(world.sandboxes.bundles[newest(world, api_id)].environment)


async def generation(world: World, api_id: str) -> int:
    route = await world.database.rpc("gateway_route", {"p_ref": api_id}, identity=SERVICE)
    return int(route["generation"])


class TestSet:
    async def test_200_fresh_sandbox_has_it_before_the_change_is_announced(
        self, world: World
    ) -> None:
        person = await world.person()
        api_id = await created(world, person)
        answer = await put(world, person, api_id)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["name"], told["restarted"], told["failure"]) == ("TOKEN", True, "")
        assert told["updated_at"]
        assert "hunter2" not in answer.text
        assert environment(world, api_id) == {"TOKEN": VALUE}
        assert newest(world, api_id).generation == await generation(world, api_id) == 2
        assert world.changes.published == [("api", api_id)]

    async def test_200_again_replaces_the_value(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        await put(world, person, api_id)
        await put(world, person, api_id, value="second")
        assert environment(world, api_id) == {"TOKEN": "second"}
        assert len(await listed(world, person, api_id)) == 1

    async def test_200_later_deployments_and_reloads_have_it_too(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        await put(world, person, api_id)
        async with world.client(person) as client:
            await client.post(f"/api/apis/{api_id}/versions", json={"code": GOOD + "# 2"})
        assert {
            tuple(bundle.environment.items())
            for spec, bundle in world.sandboxes.bundles.items()
            if spec.generation == 2
        } == {(("TOKEN", VALUE),)}
        async with world.admin() as client:
            await client.post(f"/admin/reload/{api_id}")
        assert environment(world, api_id) == {"TOKEN": VALUE}
        assert newest(world, api_id).generation == 3

    async def test_200_placeholder_for_the_code_and_value_for_the_door(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        answer = await put(world, person, api_id, hosts=["API.example.com", "a.example.org"])
        assert answer.status_code == 200, answer.text
        shown = environment(world, api_id)["TOKEN"]
        expected = {shown: Placeholder(VALUE, ("api.example.com", "a.example.org"))}
        assert shown.startswith("sgph_")
        assert dict(world.sandboxes.bundles[newest(world, api_id)].egress.placeholders) == expected
        assert dict(world.sandboxes.policies[api_id].placeholders) == expected
        await put(world, person, api_id, value="second", hosts=["api.example.com"])
        assert environment(world, api_id) == {"TOKEN": shown}
        await put(world, person, api_id, value="third")
        assert environment(world, api_id) == {"TOKEN": "third"}
        assert dict(world.sandboxes.policies[api_id].placeholders) == {}

    async def test_200_stored_also_when_the_code_does_not_start_with_it(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        world.sandboxes.refused_environment = {"TOKEN"}
        told = (await put(world, person, api_id)).json()
        assert (told["restarted"], told["failure"].partition(":")[0]) == (False, "api_start_failed")
        assert [secret["name"] for secret in await listed(world, person, api_id)] == ["TOKEN"]
        assert await generation(world, api_id) == 2

    async def test_200_stored_also_when_the_manager_is_away(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        world.sandboxes.fails = ManagerUnavailableError("gone")
        told = (await put(world, person, api_id, hosts=["api.example.com"])).json()
        assert told["restarted"] is False
        assert told["failure"].startswith("sandboxes_unavailable")
        assert await generation(world, api_id) == 3  # the door could not be told: once more

    async def test_200_paused_api_is_not_started(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        async with world.client(person) as client:
            await client.patch(f"/api/apis/{api_id}", json={"status": "paused"})
        told = (await put(world, person, api_id)).json()
        assert (told["restarted"], told["failure"]) == (False, "")
        assert world.sandboxes.of(api_id) == []

    async def test_two_at_once_both_are_there(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        world.sandboxes.gate.clear()
        both = [asyncio.create_task(put(world, person, api_id, name)) for name in ("A", "B")]
        await until(lambda: world.services.turns.waiting(api_id) == 1)
        world.sandboxes.gate.set()
        answers = [(await task).json() for task in both]
        assert [answer["restarted"] for answer in answers] == [True, True]
        assert environment(world, api_id) == {"A": VALUE, "B": VALUE}
        assert newest(world, api_id).generation == await generation(world, api_id) == 3

    async def test_another_process_that_was_faster_is_not_overwritten(self, world: World) -> None:
        """Its secret and ours are both in the sandboxes of the generation that counts."""
        person = await world.person()
        api_id = await created(world, person)
        elsewhere = World(world.database, world.dsn)
        elsewhere.sessions.users = world.sessions.users
        world.sandboxes.gate.clear()
        slow = asyncio.create_task(put(world, person, api_id, "A"))
        await until(lambda: len(world.sandboxes.acquired) == 2)
        assert (await put(elsewhere, person, api_id, "B")).json()["restarted"] is True
        world.sandboxes.gate.set()
        assert (await slow).json()["restarted"] is True
        assert environment(world, api_id) == {"A": VALUE, "B": VALUE}
        assert newest(world, api_id).generation == await generation(world, api_id) == 3
        assert 2 not in {spec.generation for spec in world.sandboxes.of(api_id)}

    async def test_client_that_leaves_leaves_a_whole_change(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        world.sandboxes.gate.clear()
        task = asyncio.create_task(put(world, person, api_id))
        await until(lambda: len(world.sandboxes.acquired) == 2)
        task.cancel()
        world.sandboxes.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await generation(world, api_id) == 2
        assert environment(world, api_id) == {"TOKEN": VALUE}

    @pytest.mark.parametrize(
        "name",
        ["lower", "1A", "A-B", "A" * 65, "Ä", "A;B", "A%0AB", "A%20", "A%00B", "'", "$A", "A=B"],
    )
    async def test_422_names_that_are_none(self, world: World, name: str) -> None:
        person = await world.person()
        api_id = await created(world, person)
        assert_problem(await put(world, person, api_id, name), 422, "invalid_secret")
        assert await generation(world, api_id) == 1

    @pytest.mark.parametrize(
        "name",
        ["PATH", "HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP",
         "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
         "REQUESTS_CA_BUNDLE", "SANDGATE_X", "MALLOC_ARENA_MAX", "GCONV_PATH", "TZ"],
    )  # fmt: skip
    async def test_422_names_that_would_steer_the_sandbox(self, world: World, name: str) -> None:
        person = await world.person()
        api_id = await created(world, person)
        assert_problem(await put(world, person, api_id, name), 422, "invalid_secret")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"value": ""}, "invalid_input"),
            ({"value": None}, "invalid_input"),
            ({"value": 5}, "invalid_input"),
            ({"value": "x" * (MAX_CHARACTERS + 1)}, "invalid_input"),
            ({"value": "a\0b"}, "invalid_secret"),
            ({"value": "a", "more": 1}, "invalid_input"),
            ({"hosts": []}, "invalid_input"),
            ({"hosts": "api.example.com"}, "invalid_input"),
            ({"hosts": ["*.com"]}, "invalid_egress"),
            ({"hosts": ["169.254.169.254"]}, "invalid_egress"),
            ({"hosts": ["other.example.com"]}, "secret_host_not_allowed"),
            ({"hosts": ["api.example.com", "evil.example"]}, "secret_host_not_allowed"),
        ],
    )
    async def test_422_values_that_are_not_acceptable(
        self, world: World, body: dict[str, Any], code: str
    ) -> None:
        person = await world.person()
        api_id = await created(world, person)
        answer = await put(world, person, api_id, **body)
        assert_problem(answer, 422, code)
        assert "hunter2" not in answer.text
        assert await generation(world, api_id) == 1
        assert [spec.generation for spec in world.sandboxes.of(api_id)] == [1]

    async def test_422_lone_surrogate(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        async with world.client(person) as client:
            answer = await client.put(
                f"/api/apis/{api_id}/secrets/TOKEN",
                content=b'{"value": "\\ud800"}',
                headers={"content-type": "application/json"},
            )
        assert answer.status_code == 422
        assert answer.json()["code"] in {"invalid_secret", "invalid_input"}

    async def test_200_largest_value_and_422_beyond_all_of_them(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        largest = "ü" * MAX_CHARACTERS  # 32 KiB
        assert (await put(world, person, api_id, "A", value=largest)).status_code == 200
        assert environment(world, api_id) == {"A": largest}
        assert_problem(
            await put(world, person, api_id, "B", value=largest), 422, "too_many_secrets"
        )
        assert environment(world, api_id) == {"A": largest}


class TestReadAndDelete:
    async def test_200_list_has_names_and_never_values(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        await put(world, person, api_id, "B")
        await put(world, person, api_id, "A", hosts=["api.example.com"])
        async with world.client(person) as client:
            answer = await client.get(f"/api/apis/{api_id}/secrets")
        assert "hunter2" not in answer.text
        assert "sgph_" not in answer.text
        shown = [
            (item["name"], item["hosts"], item["placeholder"]) for item in answer.json()["items"]
        ]
        assert shown == [("A", ["api.example.com"], True), ("B", None, False)]
        assert all(
            set(i) == {"name", "hosts", "placeholder", "updated_at"} for i in answer.json()["items"]
        )

    async def test_200_deleted_is_gone_from_fresh_sandboxes(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        await put(world, person, api_id, "KEPT")
        await put(world, person, api_id, hosts=["api.example.com"])
        async with world.client(person) as client:
            told = (await client.delete(f"/api/apis/{api_id}/secrets/TOKEN")).json()
            again = await client.delete(f"/api/apis/{api_id}/secrets/TOKEN")
        assert (told["name"], told["restarted"]) == ("TOKEN", True)
        assert_problem(again, 404, "secret_not_found")
        assert environment(world, api_id) == {"KEPT": VALUE}
        assert dict(world.sandboxes.policies[api_id].placeholders) == {}
        assert await generation(world, api_id) == 4

    async def test_delete_while_it_is_set(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        await put(world, person, api_id)

        async def delete() -> httpx.Response:
            async with world.client(person) as client:
                return await client.delete(f"/api/apis/{api_id}/secrets/TOKEN")

        answers = await asyncio.gather(put(world, person, api_id, value="new"), delete())
        assert [answer.status_code for answer in answers] == [200, 200]
        names = {secret["name"] for secret in await listed(world, person, api_id)}
        assert environment(world, api_id).keys() == names

    async def test_secrets_of_an_unreadable_key_can_be_set_again(self, world: World) -> None:
        person = await world.person()
        api_id = await created(world, person)
        await put(world, person, api_id)
        await world.database.update(
            "api_secrets",
            {"value": "\\x00"},
            where=[Filter("api_id", "eq", api_id)],
            identity=SERVICE,
        )
        async with world.client(person) as client:
            answer = await client.post(f"/api/apis/{api_id}/versions", json={"code": GOOD})
        assert_problem(answer, 500, "secrets_unreadable")
        assert (await put(world, person, api_id)).json()["restarted"] is True
        assert environment(world, api_id) == {"TOKEN": VALUE}


class TestWhoMay:
    @pytest.mark.parametrize(
        ("role", "status"), [("admin", 200), ("developer", 200), ("viewer", 403)]
    )
    async def test_members_by_role(self, world: World, role: str, status: int) -> None:
        owner, member = await world.person(), await world.person()
        team = await make_tenant(world.database, owner)
        await add_member(world.database, team, member.id, role)
        api_id = await created(world, owner, tenant_id=team)
        async with world.client(member) as client:
            path = f"/api/apis/{api_id}/secrets"
            statuses = [
                (await client.put(f"{path}/TOKEN", json={"value": "v"})).status_code,
                (await client.get(path)).status_code,
                (await client.delete(f"{path}/TOKEN")).status_code,
            ]
        assert statuses == [status] * 3

    async def test_404_strangers_and_401_nobody(self, world: World) -> None:
        person, stranger = await world.person(), await world.person()
        api_id = await created(world, person)
        for who, status, code in ((stranger, 404, "api_not_found"), (None, 401, "unauthorized")):
            async with world.client(who) as client:
                path = f"/api/apis/{api_id}/secrets"
                for answer in (
                    await client.put(f"{path}/TOKEN", json={"value": "v"}),
                    await client.get(path),
                    await client.delete(f"{path}/TOKEN"),
                ):
                    assert_problem(answer, status, code)
