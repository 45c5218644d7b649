"""What both Python peers do before they proxy: key check, then three windows in Redis."""

import hashlib
import hmac
import os
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

WINDOWS = (100_000_000, 60, 1_000_000_000, 3600, 1_000_000_000, 86_400)


class Gate:
    """One key and its counters; everything comes from the environment, as for the other peers."""

    def __init__(self) -> None:
        self.unix = os.environ["PEER_UNIX"]
        self.port = int(os.environ["PEER_PORT"])
        self._known = {self._hash(os.environ["PEER_KEY"]): "caller"}
        self._script = Path(os.environ["PEER_SCRIPT"]).read_text()
        self._sha = hashlib.sha1(self._script.encode()).hexdigest()
        self._redis = Redis(
            host=os.environ["PEER_REDIS_HOST"], port=int(os.environ["PEER_REDIS_PORT"])
        )

    def _hash(self, key: str) -> str:
        return hmac.new(b"bench", key.encode(), hashlib.sha256).hexdigest()

    async def refusal(self, key: str) -> int:
        """The status to refuse with, or 0."""
        caller = self._known.get(self._hash(key))
        if caller is None:
            return 401
        keys = [f"{{{caller}}}:{window}" for window in ("minute", "hour", "day")]
        try:
            admitted = await self._redis.evalsha(self._sha, 3, *keys, *map(str, WINDOWS))
        except NoScriptError:
            admitted = await self._redis.eval(self._script, 3, *keys, *map(str, WINDOWS))
        return 0 if admitted == 1 else 429
