"""From a URL to an Optuna storage, and from a name to a study in it."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable

import optuna
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy.exc import DBAPIError, IntegrityError

from wdstudy.errors import MissingPackageError, StorageError, StudyError, WdstudyError, nearest
from wdstudy.storage import sqlite
from wdstudy.storage.damage import explained
from wdstudy.storage.files import check_file
from wdstudy.storage.ids import id_of_study, storage_of
from wdstudy.storage.journal import JournalTrials
from wdstudy.storage.outage import Outage, cause_of
from wdstudy.storage.patient import PATIENCE_SECONDS, PatientStorage, patient
from wdstudy.storage.reading import open_to_read, refuse_anothers
from wdstudy.storage.servers import server_options
from wdstudy.storage.tables import TrialTables
from wdstudy.storage.url import file_of, kind_of, masked, resolve_url, without_password
from wdstudy.words import quoted

_MAKING_SECONDS = 60.0  # of many processes that open an empty database in the same moment
_READING_SECONDS = 10.0  # somebody waits for the answer
_QUIET_SECONDS = 2.0
# What servers say, and systems of them, that is over after a while.
_PASSING = (
    "connection refused", "too many", "connection slots", "starting up", "shutting down",
    "shutdown", "recovery mode", "closed the connection", "terminating connection", "timed out",
    "timeout", "reset by peer", "lost connection", "unreachable", "temporary failure", "is full",
    "no space left",
)  # fmt: skip
_NAMES = re.compile(r"""(?<!\w)(?:"[^"]*"|'[^']*')""")  # of a database, a user, a host
# SQLAlchemy's own default drivers differ between its versions.
_DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}


def open_storage(
    url: str | None = None, *, create: bool = True, say: Callable[[str], None] | None = None
) -> PatientStorage:
    """The storage behind a URL.

    Args:
        url: `sqlite:///FILE`, `journal:///FILE`, `postgresql://…` or `mysql://…`, or `@FILE`
            that holds it; the default storage where it is None.
        create: Make the file and Optuna's tables if they are not there. Where it is False, the
            storage is for reading: nothing in it is made or changed.
        say: Told when the storage is out of reach, now and later. A server that is away, or has
            no connection left, is then waited for; where nobody is told, that is an error at once.

    Raises:
        StorageError: the URL can't be understood, or what it names can't be opened or written.
        MissingPackageError: the database's driver is not installed.
    """
    url = resolve_url(url)
    base = kind_of(url)
    scheme, _, rest = url.partition("://")
    if (file := file_of(url)) is not None:
        check_file(masked(url), file, create)
    if base == "journal":
        try:
            journal = JournalTrials(rest.removeprefix("/"))
        except WdstudyError:
            raise
        except Exception as error:  # an operation may hold anything
            raise _unusable(url, error) from error
        return PatientStorage(journal.storage, masked(url), journal, say=say)
    database = _database(_DRIVERS.get(scheme, scheme) + "://" + rest, url, create, say)
    cached = get_storage(database)  # with its cache of finished trials
    tables = TrialTables.of(database) if create else None
    return PatientStorage(cached, masked(url), tables, database, say)


def open_study(
    name: str, storage: str | BaseStorage | None = None, *, leave_out: bool = False
) -> optuna.Study:
    """An existing study, for reading.

    Args:
        name: The study's name.
        storage: A URL or an Optuna storage; the default storage where it is None.
        leave_out: Leave out the trials that can't be read, rather than refuse the study;
            `left_out` tells what is wrong with them.

    Raises:
        StudyError: there is no such study; the message lists those there are. Or it is damaged.
        StorageError: as `open_storage`.
    """
    opened = storage if isinstance(storage, BaseStorage) else open_storage(storage, create=False)
    if isinstance(opened, PatientStorage):
        opened = opened.leaving_out(leave_out)
    try:
        if "\0" in name:  # which some servers refuse to be asked for
            raise KeyError(name)
        return optuna.load_study(study_name=name, storage=opened)
    except KeyError:
        where = "" if isinstance(storage, BaseStorage) else f" in {masked(resolve_url(storage))}"
        raise StudyError(
            f"no study '{name}'{where}; {nearest(name, study_names(opened))}"
        ) from None


def left_out(study: optuna.Study) -> list[str]:
    """The trials of a study that can't be read, and what is wrong with each, once it was read."""
    storage = storage_of(study)
    lost = storage.left_out if isinstance(storage, PatientStorage) else {}
    return lost.get(id_of_study(study), [])


def study_names(storage: BaseStorage) -> list[str]:
    """The names of the studies in a storage, in order of creation; of damaged ones too."""
    return patient(storage).study_names()


def _database(
    url: str, shown: str, for_writing: bool, say: Callable[[str], None] | None
) -> RDBStorage:
    try:
        storage = _opened_together(url, shown, for_writing, say)
    except ImportError as error:
        extra = "mysql" if "mysql" in url.partition("://")[0] else "postgres"
        raise MissingPackageError(f"the storage {masked(shown)}", extra) from error
    except WdstudyError:
        raise
    except Exception as error:  # drivers raise anything over a port, an option or a host's name
        raise explained(error, masked(shown), None, "", None) or _unusable(shown, error) from error
    weakref.finalize(storage, storage.engine.dispose)  # drivers warn of connections left open
    return storage


def _opened_together(
    url: str, shown: str, for_writing: bool, say: Callable[[str], None] | None
) -> RDBStorage:
    """Open a database, again if other processes were making it ready in the same moment.

    SQLite waits for a lock, but not where two processes would wait for each other: both read,
    and both then want to write, or to begin the write-ahead log. One is told at once.
    """

    def cause(error: Exception) -> BaseException | None:
        found = cause_of(error)
        away = say is not None and found is not None and _passes(found)
        return (found or error) if away or _was_made_meanwhile(error) else None

    seconds = _MAKING_SECONDS if for_writing else _READING_SECONDS
    outage = Outage(masked(shown), say, quiet=_QUIET_SECONDS)
    storage: RDBStorage = outage.outlast(
        lambda: _opened(url, for_writing), seconds if say is None else PATIENCE_SECONDS, cause
    )
    return storage


def _opened(url: str, for_writing: bool) -> RDBStorage:
    if not for_writing:
        return open_to_read(url)
    refuse_anothers(url)
    if not url.startswith("sqlite"):
        return RDBStorage(url, engine_kwargs=server_options(url))
    storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": sqlite.BUSY_SECONDS}})
    sqlite.tune(storage.engine)
    return storage


def _passes(cause: BaseException) -> bool:
    """Whether a driver or the system says that it is over after a while, names left aside."""
    says = _NAMES.sub("", " ".join(map(str, cause.args))).lower()
    return any(word in says for word in _PASSING)


def _was_made_meanwhile(error: Exception) -> bool:
    """Whether another process was first with a table, with the only row of one, or with a lock."""
    if not isinstance(error, DBAPIError):
        return False
    says = str(error.orig).lower()
    return isinstance(error, IntegrityError) or any(
        word in says for word in ("already exists", "deadlock", "database is locked")
    )


def _unusable(url: str, error: Exception) -> StorageError:
    cause = getattr(error, "orig", None) or error
    says = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    says = without_password(says, url)
    if isinstance(error, RuntimeError) and "optuna storage upgrade" in says:
        return StorageError(
            f"the storage {masked(url)} was made by an older Optuna; keep a copy of it, and bring "
            f"it up to date, `optuna storage upgrade --storage {quoted(masked(url))}`"
        )
    if not url.startswith(("sqlite", "journal")):
        remedy = "check that the server runs, its address, user and database"
    elif url.startswith("journal") and not isinstance(error, OSError):
        remedy = "put back a copy of it"
    else:
        remedy = "check the path, its permissions and that it is a database"
    return StorageError(
        f"the storage {masked(url)} can't be used ({says}); {remedy}, or name another with "
        "--storage"
    )
