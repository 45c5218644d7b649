"""What Sandgate gives the code of an API beside its packages.

    from sandgate_runtime import kv

    await kv.set("todo:1", {"text": "buy milk"})
    todo = await kv.get("todo:1")

`kv` keeps JSON values under text keys. They belong to this API alone and outlive restarts,
reloads and new versions. In `def` endpoints use `kv.sync`, which has the same methods.
"""

from ._errors import KvError, KvQuotaError, KvUnavailableError
from ._kv import KeyValue
from ._sync import SyncKeyValue

__all__ = ["KeyValue", "KvError", "KvQuotaError", "KvUnavailableError", "SyncKeyValue", "kv"]

kv = KeyValue()
