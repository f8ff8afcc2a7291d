"""`python -m services.registration [api] [worker] [relay] [jobs]`: every role by default."""

import sys

from libs.events.programme import BadProgramme
from libs.events.runtime import Service, run
from services.registration.main import service


def build() -> Service:
    """The service, or the end of the process with the sentence that says which file is wrong."""
    try:
        return service()
    except (BadProgramme, OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run(build)
