"""Makes the virtual environment from requirements.lock, with nothing but the standard library of any Python 3.

    python3 deploy/local/bootstrap.py .venv

Kept to a syntax that old versions read, so that they can say what is wrong.
"""

import os
import subprocess
import sys
from typing import NoReturn

PACKAGES = "requirements.lock"


def stop(what: str, remedy: str) -> NoReturn:
    sys.exit(f"{what}\n{remedy}")


def require_python() -> None:
    """End with a sentence where this Python can not do it."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this runs before anything has required a version
        stop(
            f"Gelombang needs Python 3.11 or newer; {sys.executable} is {sys.version_info[0]}.{sys.version_info[1]}.",
            "Install a newer one and name it: make PYTHON=python3.12",
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop("This Python has no venv.", "Install it (Debian and Ubuntu: apt install python3-venv) and try again.")


def works(python: str) -> bool:
    """Whether there is an environment that can be brought up to date; processes may be running from it."""
    try:
        return subprocess.call([python, "-m", "pip", "--version"], stdout=subprocess.DEVNULL) == 0
    except OSError:
        return False


def install(python: str) -> None:
    """Install what the lock names, each package checked by its hash, then the project itself, counting as it goes."""
    with open(PACKAGES, encoding="utf-8") as file:  # noqa: PTH123
        total = sum(1 for line in file if "==" in line and not line.startswith(("#", " ")))
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    last: list[str] = []
    count = 0
    command = [*pip, "--require-hashes", "--requirement", PACKAGES]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            last = [*last, line.rstrip()][-5:]
            if line.startswith("Collecting "):
                count += 1
                show(f"Fetching packages: {count} of {total}")
            elif line.startswith("Installing collected"):
                show("Installing them ...")
    print()
    if process.returncode:
        stop("\n".join(last), "The packages could not be installed. Check the network and the lines above, try again.")
    # Nothing is fetched to build the project: its builder came with the lock.
    if subprocess.call([*pip, "--quiet", "--no-deps", "--no-build-isolation", "--editable", "."]):
        stop("The project could not be installed.", "See the lines above.")


def show(words: str) -> None:
    """One line that is written over and over on a terminal; elsewhere only the words that do not count."""
    if sys.stdout.isatty():
        print(f"\r{words:<60}", end="", flush=True)
    elif " of " not in words:
        print(words, flush=True)


def main(folder: str) -> None:
    require_python()
    import venv

    print(f"Setting up {folder} from {PACKAGES} (once; a few minutes on a slow line)", flush=True)
    python = os.path.join(folder, "bin", "python")  # noqa: PTH118
    if not works(python):
        venv.create(folder, with_pip=True, clear=True)
    install(python)


if __name__ == "__main__":
    main(sys.argv[1])
