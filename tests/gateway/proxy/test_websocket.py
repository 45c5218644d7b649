"""WebSocket upgrades of APIs are refused before they are accepted."""

import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.datapath import DataPath
from tests.support.rawhttp import ok, replies


async def test_an_upgrade_is_501(path: DataPath) -> None:
    """With a problem document, and without a sandbox."""
    route, key = path.serve(replies(ok()))
    address = f"ws://127.0.0.1:{path.port}/{route.api_id}/ws"
    with pytest.raises(InvalidStatus) as caught:
        async with connect(address, additional_headers={"X-API-Key": key}):
            pass
    response = caught.value.response
    assert response.status_code == 501
    assert json.loads(response.body)["code"] == "websocket_unsupported"
    assert path.sandboxes.started == []
