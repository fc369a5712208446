"""Ray's own storage where the runs are: a folder, or whatever fsspec opens behind a URI."""

from pathlib import Path
from typing import Any

from ganray.recipe.uris import is_remote
from ganray.store.remote import file_system


def ray_storage(place: str | Path) -> dict[str, Any]:
    """`storage_path` and `storage_filesystem` of a RunConfig.

    Ray opens URIs by pyarrow, which knows fewer of them and other settings. Through fsspec the endpoint and the
    credentials are those of the store; they come from the environment of each process and travel in no message.
    """
    if not is_remote(str(place)):
        return {"storage_path": str(place)}
    import pyarrow.fs as pafs

    fs, path = file_system(str(place))
    return {"storage_path": path, "storage_filesystem": pafs.PyFileSystem(pafs.FSSpecHandler(fs))}
