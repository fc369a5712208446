"""GANRay: which GAN recipe works on a few hundred images, and can the number be trusted?"""

from typing import TYPE_CHECKING

from ganray.version import __version__

__all__ = ["__version__", "open_store"]

if TYPE_CHECKING:
    from ganray.report.opened import open_store


def __getattr__(name: str) -> object:
    # `import ganray` and `ganray --help` stay free of pyarrow and DuckDB.
    if name == "open_store":
        from ganray.report.opened import open_store

        return open_store
    raise AttributeError(f"module 'ganray' has no attribute {name!r}")
