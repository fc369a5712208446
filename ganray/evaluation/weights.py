"""Where the FID Inception's weights are, which of the two known files they are, and how they get here."""

import functools
import hashlib
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ganray.errors import WeightsError

WEIGHTS_ENV = "GANRAY_FID_WEIGHTS"
TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class InceptionFile:
    """A weights file of the FID Inception that is known by its content."""

    sha256: str
    dims: tuple[int, ...]
    """The widths of pytorch-fid's features that it suffices for."""


COMPLETE = InceptionFile("6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2", (64, 192, 768, 2048))
"""pt_inception-2015-12-05-6726825d.pth, the file that pytorch-fid downloads."""
UP_TO_MIXED_6E = InceptionFile("b9d1930c96035fd84636f096476f39560b29dc7de8f089b5729c9e8cfa41ede2", (64, 192, 768))
"""The same network up to Mixed_6e as an .npz, its batch norms folded into the convolutions."""


def find_inception_weights(explicit: Path | None = None) -> Path:
    """The verified weights of the FID Inception: a file whose SHA-256 is one of the known ones.

    Looked for in this order: `explicit` (the command line's `--fid-weights`), the environment's
    GANRAY_FID_WEIGHTS, pytorch-fid's own cache in torch's hub folder, pytorch-fid's download into that cache.
    Raises WeightsError where a file is damaged or missing, and where the download fails.
    """
    if explicit is not None:
        return _named(Path(explicit), "--fid-weights")
    if os.environ.get(WEIGHTS_ENV):
        return _named(Path(os.environ[WEIGHTS_ENV]), WEIGHTS_ENV)
    cached, url = pytorch_fid_cache()
    if cached.is_file():
        identify(cached)
        return cached
    try:
        _download(url, cached)
    except OSError as error:  # URLError, time-outs and a full disk are all OSError
        raise WeightsError(_how_to_get_it(url, cached, error)) from error
    return cached


def pytorch_fid_cache() -> tuple[Path, str]:
    """Where pytorch-fid keeps its weights on this machine, and the address it downloads them from."""
    # Both imports are slow (torchvision): only those who score with the Inception pay for them.
    from pytorch_fid import inception
    from torch import hub

    url = str(inception.FID_WEIGHTS_URL)
    return Path(hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1], url


def identify(path: Path) -> InceptionFile:
    """Which known file this is, by its content. Raises WeightsError for any other content."""
    try:
        stat = path.stat()
        checksum = _sha256(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"{path}: the Inception weights cannot be read ({error})") from error
    for known in (COMPLETE, UP_TO_MIXED_6E):
        if checksum == known.sha256:
            return known
    raise WeightsError(
        f"{path}: not the FID Inception, or damaged: its SHA-256 is {checksum}, expected {COMPLETE.sha256}. "
        f"Delete the file and fetch it again; a number from other weights would not be a FID."
    )


def _named(path: Path, by: str) -> Path:
    """The file that the user named, verified."""
    if not path.expanduser().is_file():
        raise WeightsError(f"{by}: there is no file {path}; name the file pt_inception-2015-12-05-6726825d.pth")
    identify(path.expanduser())
    return path.expanduser()


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, _size_bytes: int, _modified_ns: int) -> str:
    """Hex digest; remembered as long as the file's size and time stay as they are."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, target: Path) -> None:
    """Fetch into a temporary file, verify, then move into place: no reader ever sees half a file.

    torch.hub's own download waits for ever on a silent server, hence this one with a time-out.
    Raises OSError where the transfer fails and WeightsError where the content is not the expected one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f"{target.name}.", suffix=".partial")
    partial, digest, received_bytes = Path(name), hashlib.sha256(), 0
    try:
        with os.fdopen(descriptor, "wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            announced = response.headers.get("Content-Length")
            while chunk := response.read(CHUNK_BYTES):
                digest.update(chunk)
                received_bytes += file.write(chunk)
        if announced is not None and received_bytes != int(announced):
            raise OSError(f"the transfer was cut off after {received_bytes} of {announced} bytes")
        if digest.hexdigest() != COMPLETE.sha256:
            raise WeightsError(
                f"{url}: what came is not the FID Inception: its SHA-256 is {digest.hexdigest()}, expected "
                f"{COMPLETE.sha256}. Nothing was kept. Is there a proxy or login page in between?"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _how_to_get_it(url: str, cached: Path, error: OSError) -> str:
    return (
        f"The FID Inception's weights are not on this machine and could not be downloaded ({error}). "
        f"Fetch {url} (96 MB) on a machine with a network and put it at {cached}, or anywhere and name it "
        f"by --fid-weights FILE or {WEIGHTS_ENV}=FILE. Without that file, use the protocol fd_lite0_1k_train: its "
        f"extractor comes with the installation (its numbers are not FIDs)."
    )
