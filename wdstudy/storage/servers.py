"""How a database server is connected to."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import make_url

CONNECT_SECONDS = 10
"""So long a server that does not answer is waited for, before that is said."""

_ANSWER_SECONDS = 60  # of a server that is there: longer than InnoDB waits for a lock


def server_options(url: str) -> dict[str, Any]:
    """What SQLAlchemy's engine of a server is made with.

    Args:
        url: As SQLAlchemy has it; what it says of a timeout itself counts.
    """
    parsed = make_url(url)
    timeouts = {"connect_timeout": CONNECT_SECONDS}  # else libpq waits for minutes
    if parsed.get_driver_name() == "pymysql":  # whose timeout ends before the server's first word
        timeouts["read_timeout"] = timeouts["write_timeout"] = _ANSWER_SECONDS
    left = {name: seconds for name, seconds in timeouts.items() if name not in parsed.query}
    return {"pool_pre_ping": True, "connect_args": left}
