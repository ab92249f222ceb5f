"""The runtime of the browser folder: files of two npm packages, taken from where the user installed them."""

import json
from dataclasses import dataclass
from pathlib import Path

from pocketbert.errors import PocketBertError

TRANSFORMERS = "@huggingface/transformers"
RUNTIME = "onnxruntime-web"
OLDEST = 4
"""The first major version of transformers.js whose web build leaves the choice of the runtime to the page."""

INSTALL = f"npm install --ignore-scripts {TRANSFORMERS}"
"""Without scripts: they would fetch what only Node.js needs."""

LIBRARY = "transformers.web.min.js"
SESSIONS = "ort.wasm.bundle.min.mjs"
WASM = "ort-wasm-simd-threaded.wasm"
"""The build for the CPU alone: half the bytes of the one that transformers.js takes when it may choose."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a page needs to run a model.

    Attributes:
        files: where each file is, by the name that it has in the folder.
        versions: of the packages.
    """

    files: dict[str, Path]
    versions: dict[str, str]


def find_runtime(packages: Path) -> Runtime:
    """Find the runtime in a folder of npm packages.

    Args:
        packages: a folder ``node_modules``.

    Raises:
        PocketBertError: a package or a file of it is missing, or transformers.js is too old.
    """
    library = packages / TRANSFORMERS
    if not (library / "package.json").is_file():
        raise PocketBertError(
            f"{packages}: no npm package {TRANSFORMERS} there; run `{INSTALL}` in any folder, and name its node_modules"
        )
    version = _version(library)
    if int(version.split(".")[0]) < OLDEST:
        raise PocketBertError(f"{library}: version {version}, but {OLDEST}.0 or newer is needed; run `{INSTALL}`")
    sessions = _find_imported(packages, library, RUNTIME)
    files = {
        LIBRARY: library / "dist" / LIBRARY,
        SESSIONS: sessions / "dist" / SESSIONS,
        WASM: sessions / "dist" / WASM,
        "transformers-LICENSE.txt": library / "LICENSE",
    }
    if missing := [path for path in files.values() if not path.is_file()]:
        raise PocketBertError(f"{missing[0]}: not in the package; delete {packages} and run `{INSTALL}` again")
    return Runtime(files, {"transformers.js": version, RUNTIME: _version(sessions)})


def _find_imported(packages: Path, library: Path, name: str) -> Path:
    """The package that a package imports: the nearest one above its real place, as Node.js looks for it."""
    real = library.resolve()
    for folder in (*(parent / "node_modules" for parent in (real, *real.parents)), packages):
        if (folder / name / "package.json").is_file():
            return folder / name
    raise PocketBertError(f"{library}: its package {name} is missing; run `{INSTALL}` again")


def _version(package: Path) -> str:
    try:
        return str(json.loads((package / "package.json").read_text(encoding="utf-8"))["version"])
    except (ValueError, KeyError) as error:
        raise PocketBertError(f"{package / 'package.json'}: damaged ({error}); run `{INSTALL}` again") from None
