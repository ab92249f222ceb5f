"""Object stores, through fsspec: imported where a name is a URL and only then."""

from collections.abc import Callable
from typing import Any

from pocketbert.errors import DataError, NotInstalled


def is_url(name: str) -> bool:
    """Whether a name is that of something elsewhere."""
    return "://" in name


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, whose errors are told in words, and the path there.

    Raises:
        NotInstalled: the library for it is missing.
        DataError: there is no such kind of URL, or no way in.
    """
    try:
        import fsspec

        system, path = fsspec.url_to_fs(url)
    except ImportError as error:
        raise NotInstalled(f"{url}: {error}; pip install fsspec and what it names for this store") from None
    except Exception as error:  # as in _Told
        raise _in_words(url, error) from error
    return _Told(url, system), path


class _Told:
    """A file system whose errors are told in words, but for that of a file which is not there.

    The libraries of object stores have errors of their own for missing keys and lost connections, with no common base.

    Args:
        url: that is named in messages.
        system: of fsspec.
    """

    def __init__(self, url: str, system: Any) -> None:
        self._url, self._system = url, system

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._system, name)
        return self._told(found) if callable(found) else found

    def _told(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def told(*given: Any, **named: Any) -> Any:
            try:
                return call(*given, **named)
            except (FileNotFoundError, MemoryError):
                raise
            except Exception as error:
                raise _in_words(self._url, error) from error

        return told


def _in_words(url: str, error: Exception) -> DataError:
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return DataError(
        f"{url}: the store refuses or is not reached ({reason}); what was finished is kept. See to name, keys, rights "
        "and connection, and run the same command again"
    )
