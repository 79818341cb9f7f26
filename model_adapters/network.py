"""One sentence for each way in which weights cannot be fetched."""

from __future__ import annotations

from collections.abc import Iterator

_ABSENT = {"RepositoryNotFoundError", "RevisionNotFoundError", "RemoteEntryNotFoundError", "EntryNotFoundError"}
_CLOSED = {"GatedRepoError", "DisabledRepoError"}
_OFFLINE = {
    "LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectionError", "ConnectError", "ConnectTimeout",
    "ReadTimeout", "Timeout", "URLError", "gaierror", "ProxyError", "SSLError", "TimeoutException", "NetworkError",
}  # fmt: skip


def network_sentence(name: str, error: BaseException) -> str:
    """Say why `name` could not be fetched, and what would work."""
    kinds = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    if kinds & _CLOSED:
        return f"{name} is closed: accept its licence on its page and log in with `hf auth login`, then load it again."
    if kinds & _OFFLINE:
        return (
            f"{name} is not on this machine and could not be fetched: there is no network. "
            "Connect and load it again, put its files into a folder and load path:FOLDER, or take a model that needs "
            "no download: bundled:NAME, or weights='random'."
        )
    if kinds & _ABSENT:
        return f"{name} does not exist, or it is private. Check the spelling."
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, KeyError):
        return f"{name} could not be loaded: its configuration asks for {lines[0]}, which is not known."
    return f"{name} could not be loaded: {' '.join(line.strip() for line in lines[: 2 if lines[0].endswith(':') else 1])}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
