"""Object stores, through fsspec: imported where a name is a URL and only then."""

from typing import Any

from pocketbert.errors import DataError, NotInstalled


def is_url(name: str) -> bool:
    """Whether a name is that of something elsewhere."""
    return "://" in name


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path there.

    Raises:
        NotInstalled: the library for it is missing.
        DataError: there is no such kind of URL.
    """
    try:
        import fsspec

        found: tuple[Any, str] = fsspec.url_to_fs(url)
    except ImportError as error:
        raise NotInstalled(f"{url}: {error}; pip install fsspec and what it names for this store") from None
    except ValueError as error:
        raise DataError(f"{url}: {error}") from None
    return found
