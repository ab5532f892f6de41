"""What FiftyOne and its database raise, as one plain sentence."""

from __future__ import annotations

from detector.errors import BoxscopeError, UnavailableError


def plain_reason(error: BaseException) -> str:
    """One sentence for any error from FiftyOne, pymongo or us."""
    if isinstance(error, BoxscopeError):
        return str(error)
    text = " ".join(str(error).split())
    if is_connection_loss(error):
        return "FiftyOne's database does not answer any more; start FiftyOne again."
    if (
        "You must have fiftyone" in text
        or "Cannot connect to database v" in text
        or "Cannot connect to database type" in text
    ):
        return (
            f"The database was written by another version of FiftyOne ({text[:160].rstrip('.')}); install"
            " that version, or use another database folder."
        )
    if "No space left" in text:
        return "The disk is full; free some space and try again."
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def is_connection_loss(error: BaseException) -> bool:
    """Whether the database went away (pymongo's AutoReconnect, ServerSelectionTimeout, a closed socket)."""
    seen: BaseException | None = error
    while seen is not None:
        names = {base.__name__ for base in type(seen).__mro__}
        if names & {
            "ConnectionFailure",
            "ServerSelectionTimeoutError",
            "NotPrimaryError",
            "MongoNotConnected",
        }:
            return True
        if isinstance(seen, ConnectionError) and "database type" not in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def as_unavailable(error: BaseException) -> UnavailableError:
    return UnavailableError(plain_reason(error))
