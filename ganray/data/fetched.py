"""A file that a path or a URI names, on this machine."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from ganray.data.paths import cache_root
from ganray.errors import WeightsError
from ganray.recipe.secrets import masked
from ganray.recipe.uris import is_remote, refuse_credentials


def fetched(place: str | Path) -> Path:
    """The path itself; of a URI, its copy in the cache, downloaded anew where the file has changed.

    Raises WeightsError where there is no such file, or where it cannot be reached.
    """
    uri = str(place)
    if not is_remote(uri):
        return Path(uri.removeprefix("file://")).expanduser()
    import fsspec

    temporary: Path | None = None
    try:
        fs, path = fsspec.core.url_to_fs(refuse_credentials(uri))
        version = hashlib.sha256(f"{uri}\n{fs.ukey(path)}".encode()).hexdigest()[:16]
        target = cache_root() / "fetched" / version / uri.rsplit("/", 1)[-1]
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
            fs.get_file(path, str(temporary))
            os.replace(temporary, target)
    except FileNotFoundError:
        raise WeightsError(f"{uri}: no such file") from None
    except ValueError as error:
        raise WeightsError(f"a checkpoint's URI cannot be used: {error}") from None
    except Exception as error:  # every backend has exceptions of its own
        raise WeightsError(
            f"{uri} cannot be fetched: {type(error).__name__}: {masked(str(error))}; check the network and the "
            f"credentials in the environment"
        ) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    return target
