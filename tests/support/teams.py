"""A team tenant with somebody in every role, and a stranger who is in none."""

from dataclasses import dataclass

import httpx

from gateway.auth.permissions import Role
from tests.support.control import World
from tests.support.factories import Person, add_member, make_tenant


@dataclass(frozen=True, slots=True)
class Team:
    """`people` by the name of their role; `stranger` belongs to no team."""

    world: World
    id: str
    people: dict[str, Person]

    @property
    def path(self) -> str:
        """Of the tenant."""
        return f"/api/tenants/{self.id}"

    def client(self, who: str) -> httpx.AsyncClient:
        """A client of this person, or with the admin key."""
        return self.world.admin() if who == "key" else self.world.client(self.people[who])

    async def ask(
        self, who: str, method: str, path: str = "", body: object = None
    ) -> httpx.Response:
        """One request below the tenant's path."""
        async with self.client(who) as client:
            return await client.request(method, self.path + path, json=body)

    async def roles(self) -> dict[str, str]:
        """Role by address, as the admin key reads it."""
        items = (await self.ask("key", "GET", "/members")).json()["items"]
        return {member["email"]: member["role"] for member in items}

    async def role_of(self, who: str) -> str | None:
        """The role a person has now."""
        return (await self.roles()).get(self.people[who].email)


async def make_team(world: World) -> Team:
    """Everybody is signed in."""
    people = {str(name): await world.person() for name in (*Role, "stranger")}
    team = await make_tenant(world.database, people["owner"])
    for role in (Role.ADMIN, Role.DEVELOPER, Role.VIEWER):
        await add_member(world.database, team, people[role].id, role)
    return Team(world, team, people)
