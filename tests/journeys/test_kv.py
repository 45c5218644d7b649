"""A to-do list that is still there after everything that keeps it running was restarted."""

import asyncio

import httpx

from tests.journeys.callers import crowd, while_doing
from tests.support.installation import Installation
from tests.support.waiting import until_blocking

TODO = """
from fastapi import FastAPI, HTTPException
from sandgate_runtime import KvQuotaError, kv

app = FastAPI()


@app.post("/todos", status_code=201)
async def add(text: str):
    number = await kv.increment("last")
    await kv.set(f"todo:{number:06}", {"id": number, "text": text, "done": False})
    return {"id": number}


@app.get("/todos")
async def everything():
    return [todo for _, todo in await kv.items("todo:")]


@app.post("/todos/{number}/done")
def done(number: int):
    key = f"todo:{number:06}"
    todo = kv.sync.get(key)
    if todo is None:
        raise HTTPException(404)
    return {"changed": kv.sync.replace(key, todo, {**todo, "done": True})}


@app.delete("/todos/{number}", status_code=204)
async def remove(number: int):
    if not await kv.delete(f"todo:{number:06}"):
        raise HTTPException(404)


@app.post("/fill")
async def fill():
    try:
        for number in range(100):
            await kv.set(f"fill:{number}", "x" * 200_000)
    except KvQuotaError as error:
        raise HTTPException(507, str(error))
"""


def todo_list(made: Installation, name: str) -> tuple[str, httpx.Client]:
    """Its reference, and a caller of it."""
    api = made.deploy(name, TODO)
    made.lift_limits(api["tenant_id"])
    return f"/{api['id']}", made.client(Authorization=f"Bearer {api['api_key']}")


def test_a_list_survives_reload_new_version_and_kills(made: Installation) -> None:
    path, caller = todo_list(made, "todos that stay")
    with caller:
        for text in ("milk", "bread", "salt"):
            assert caller.post(f"{path}/todos", params={"text": text}).status_code == 201
        assert caller.post(f"{path}/todos/2/done").json() == {"changed": True}
        assert caller.delete(f"{path}/todos/3").status_code == 204
        wanted = [
            {"id": 1, "text": "milk", "done": False},
            {"id": 2, "text": "bread", "done": True},
        ]
        with made.client(Authorization=f"Bearer {made.first['admin_api_key']}") as admin:
            admin.post(f"/admin/reload{path}").raise_for_status()
        assert caller.get(f"{path}/todos").json() == wanted
        with made.admin() as owner:
            changed = owner.post(f"/api/apis{path}/versions", json={"code": TODO + "\n# new\n"})
            changed.raise_for_status()
        assert caller.get(f"{path}/todos").json() == wanted
        for victim in ("worker", "manager"):
            made.kill(victim)

            def answered() -> bool:
                answer = caller.get(f"{path}/todos")
                return answer.status_code == 200 and answer.json() == wanted

            until_blocking(answered, 30)


def test_another_api_sees_nothing_of_it(made: Installation) -> None:
    path, caller = todo_list(made, "todos of one")
    other_path, other = todo_list(made, "todos of another")
    with caller, other:
        caller.post(f"{path}/todos", params={"text": "mine"})
        assert other.get(f"{other_path}/todos").json() == []
        assert other.post(f"{other_path}/todos", params={"text": "theirs"}).json() == {"id": 1}


def test_too_much_is_refused_and_says_so(made: Installation) -> None:
    path, caller = todo_list(made, "todos without end")
    with caller:
        answer = caller.post(f"{path}/fill")
        assert (answer.status_code, "10 MB" in answer.text) == (507, True)
        assert caller.get(f"{path}/todos").json() == []


async def test_a_restart_of_the_worker_under_load_fails_no_read(made: Installation) -> None:
    path, caller = await asyncio.to_thread(todo_list, made, "todos under load")
    with caller:
        await asyncio.to_thread(caller.post, f"{path}/todos", params={"text": "milk"})
    key = caller.headers["Authorization"].removeprefix("Bearer ")

    async def restart() -> None:
        old = made.kill("worker")

        def is_back() -> bool:
            return made.processes().get("worker", old) != old

        await asyncio.to_thread(until_blocking, is_back, 30)

    async with crowd(made.url, key) as client:
        seen = await while_doing(client, f"{path}/todos", restart)
    assert set(seen.statuses) == {200}, seen
