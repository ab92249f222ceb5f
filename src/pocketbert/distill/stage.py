"""The folder of a stage: a model directory in the end, and until then the place where a killed stage goes on."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pocketbert.distill import ranks
from pocketbert.errors import PocketBertError
from pocketbert.files import write_atomically
from pocketbert.locks import FolderLock
from pocketbert.manifest import LOG, NAME, Manifest, hash_tokenizer, read_manifest, write_manifest

MADE_FOLDERS = ("onnx", "openvino", "browser", "mobile", "golden")
"""What stages put into a model directory for engines."""
BOARD = "tensorboard"
KEY = "key"


class StageFolder:
    """A stage's output folder.

    Args:
        folder: where the model directory is to be.
        key: hash of all that goes in.
        replace: make a model anew that was made (or begun) from other inputs, instead of refusing to.

    Attributes:
        done: whether the model is there already.
        work: for checkpoints, logs and whatever the stage keeps until it is done.

    Raises:
        PocketBertError: the folder holds something else.
    """

    def __init__(self, folder: Path, key: str, replace: bool = False) -> None:
        self.folder = folder
        self.key = key
        self._replace = replace
        self.work = folder / "work"
        self._lock = FolderLock(self.work)
        with ranks.main_first():
            self.done = self._look()

    def begin(self) -> None:
        """Make the place to work in, and hold it; a stage does so when its inputs have proved good.

        Raises:
            PocketBertError: another process works there, or did since this one looked.
        """
        with ranks.main_first():
            if not ranks.is_main():
                return
            if not self._lock.take():
                raise PocketBertError(
                    f"{self.folder}: another process is making this model; let it end, or name another output "
                    f"(delete {self._lock.path} if there is none)"
                )
            if self._look():
                raise PocketBertError(f"{self.folder}: another process has just made this model; run it again")
            if self._work_of_others():
                # Checkpoints of other inputs or options are of no use to this run.
                self._empty({self._lock.path.name, KEY})
            write_atomically(self._mark, self.key)

    def leave(self) -> None:
        """Take the place to work in away."""
        self._empty({self._lock.path.name})
        # Windows removes no file that is open. What comes in between finds a folder that is done with.
        self._lock.release()
        shutil.rmtree(self.work, ignore_errors=True)

    def _empty(self, kept: set[str]) -> None:
        for path in self.work.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in kept:
                path.unlink()

    @property
    def _mark(self) -> Path:
        return self.work / KEY

    def _work_of_others(self) -> bool:
        return self._mark.is_file() and self._mark.read_text(encoding="ascii") != self.key

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Begin, and take the place away again where the inputs prove bad inside the block.

        For a stage that keeps something before it has seen all its inputs.
        """
        self.begin()
        try:
            yield
        except PocketBertError:
            if ranks.is_main():
                self.leave()
                if not any(self.folder.iterdir()):
                    self.folder.rmdir()
            raise

    def _drop_others(self) -> None:
        """Take away what belongs to the model that was here before and has nothing in its place now.

        As long as its manifest stands nothing has been moved yet, so that what is missing in ``whole`` is not made.
        """
        earlier = self.folder / NAME
        if earlier.is_file():
            for name in MADE_FOLDERS:
                if not (self.whole / name).is_dir():
                    shutil.rmtree(self.folder / name, ignore_errors=True)
            earlier.unlink()

    def _look(self) -> bool:
        """Whether the folder holds this very model already."""
        folder, manifest = self.folder, read_manifest(self.folder)
        done = manifest is not None and manifest.key == self.key
        if manifest and not done and not self._replace:
            raise PocketBertError(
                f"{folder}: holds a model made from other inputs or options; name another output or delete it"
            )
        if self._work_of_others() and any(self.work.glob("checkpoint-*")) and not self._replace:
            raise PocketBertError(
                f"{folder}: holds an unfinished run of other inputs or options; run it with those to go on, or delete "
                "the folder to start afresh"
            )
        if not manifest and folder.is_dir() and any(folder.iterdir()) and not self.work.is_dir():
            raise PocketBertError(f"{folder}: is not empty and not from PocketBERT; name another output")
        if done and ranks.is_main() and self.work.is_dir() and not self._work_of_others():
            # Left by a run that was killed after its last word; where nothing can be written it stays.
            with suppress(OSError):
                if self._lock.take():
                    self.leave()
        return done

    def skip(self, console: Console) -> Manifest:
        """Say that there is nothing to do, and give the manifest of the finished stage.

        Raises:
            PocketBertError: it is not finished.
        """
        manifest = read_manifest(self.folder)
        if manifest is None:
            raise PocketBertError(f"{self.folder}: not finished")
        console.print(
            f"{self.folder}: made before from the same inputs, left as it is", highlight=False, soft_wrap=True
        )
        return manifest

    def finish(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, manifest: Manifest) -> None:
        """Turn the folder into a model directory; the manifest comes last."""
        with ranks.main_first():
            if ranks.is_main():
                model.save_pretrained(self.whole)
                tokenizer.save_pretrained(self.whole)
                self.close(manifest)

    @property
    def whole(self) -> Path:
        """Where a stage puts the files of the model directory until :meth:`close` moves them to their place."""
        return self.work / "model"

    def close(self, manifest: Manifest) -> None:
        """Move what lies in ``whole`` to its place; the manifest comes last."""
        self._drop_others()
        for path in self.whole.iterdir():
            place = self.folder / path.name
            if place.is_dir():
                shutil.rmtree(place)
            path.replace(place)
        # Copied, not moved: a stage killed before its manifest stands goes on with them.
        if (self.work / LOG).exists():
            shutil.copyfile(self.work / LOG, self.folder / LOG)
        if (self.work / BOARD).exists():
            shutil.rmtree(self.folder / BOARD, ignore_errors=True)
            shutil.copytree(self.work / BOARD, self.folder / BOARD)
        manifest.tokenizer = hash_tokenizer(str(self.folder))
        write_manifest(self.folder, manifest)
        self.leave()
