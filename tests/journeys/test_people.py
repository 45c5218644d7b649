"""Somebody signs up, shows a face, writes to the operators, and is answered."""

from uuid import uuid4

from tests.support.files import opened, picture, telling_jpeg
from tests.support.installation import Installation


def test_a_person_with_a_profile_and_an_answer(made: Installation) -> None:
    with made.client() as client, made.admin() as admin:
        account = {"email": f"{uuid4().hex}@example.com", "password": "a-long-Password-77"}
        signed = client.post("/auth/v1/signup", json=account).json()
        client.headers["Authorization"] = f"Bearer {signed['access_token']}"

        icon = client.put("/api/profile/icon?name=me.png", content=picture("PNG", (900, 600)))
        assert icon.status_code == 201, f"{icon.text}\n{made.logs()}"
        shown = client.patch("/api/profile", json={"display_name": "Ada", "is_public": True}).json()
        with made.client() as nobody:
            seen = nobody.get(f"/api/profile/{shown['id']}").json()
            assert seen["display_name"] == "Ada"
            assert opened(nobody.get(seen["icon_url"]).content).size == (256, 256)

        written = {"type": "bug", "title": "Slow", "text": "Very."}
        path = f"/api/feedback/{client.post('/api/feedback', json=written).json()['id']}"
        attached = client.post(f"{path}/attachments", content=telling_jpeg())
        assert b"Secret" not in client.get(attached.json()["url"]).content
        answer = {"answer": "Not any more."}
        admin.patch(path.replace("/api/", "/api/admin/"), json=answer).raise_for_status()
        assert client.get(path).json()["status"] == "answered"

        kept = made.data_dir / "uploads"
        assert {file.stat().st_mode & 0o777 for file in kept.rglob("*") if file.is_file()} == {
            0o600
        }
