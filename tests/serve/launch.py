"""A server in a process of its own, as `pocketbert serve` starts it, but with a worker of one's choice.

Takes a JSON object with folders, settings and the command of the worker; prints the address when it is ready.
"""

import json
import sys

from pocketbert.errors import PocketBertError
from pocketbert.serve.server import serve
from pocketbert.serve.settings import Settings


def tell(url: str) -> None:
    sys.stdout.write(url + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    models = [f"{name}={folder}" for name, folder in given["folders"].items()]
    try:
        serve(models, Settings(**given["settings"]), lambda url, _: tell(url), given["command"])
    except PocketBertError as error:
        sys.exit(str(error))
