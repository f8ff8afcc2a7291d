"""`python -m libs.events.docs [--check]`: write the reference, or name what is stale and exit with 1."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from libs.events.docs import examples, openapi, pages, schemas, states

ROOT = Path(__file__).parents[3]


def services() -> list[str]:
    """The services of this checkout, by folder."""
    return sorted(path.parent.name for path in (ROOT / "services").glob("*/__init__.py"))


def wanted(skipped: list[str]) -> dict[Path, str]:
    """Every generated file and its content; needs the examples. What can not be made is noted in `skipped`."""
    files = schemas.schemas()
    files[ROOT / "docs/asyncapi.json"] = schemas.pretty(schemas.asyncapi())
    files[ROOT / "docs/topics.md"] = pages.topics_page()
    files[ROOT / "docs/events.md"] = pages.events_page()
    for service in services():
        for make in (state_diagrams, api_document):
            try:
                files |= make(service)
            except Exception as error:  # a service under construction must not keep the others from being described
                skipped.append(f"the {make.__name__.replace('_', ' ')} of {service}: {type(error).__name__}: {error}")
    return files


def state_diagrams(service: str) -> dict[Path, str]:
    return {diagram.path: states.svg(diagram) for diagram in states.diagrams(service)}


def api_document(service: str) -> dict[Path, str]:
    return {openapi.path_of(service): openapi.document(service)}


def leftovers(files: Iterable[Path]) -> list[Path]:
    """Generated files that nothing makes any more. Schemas of old versions stay, as the examples do."""
    present = [*states.FOLDER.glob("*.svg"), *openapi.FOLDER.glob("*.json")]
    return sorted(set(present) - set(files))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def check() -> int:
    """Name each stale file. Returns the exit code."""
    stale = [f"{shown(path)} does not exist" for path in examples.missing()]
    if not stale:
        skipped: list[str] = []
        files = wanted(skipped)
        stale = [f"{shown(p)} is stale" for p, text in files.items() if not p.exists() or p.read_text() != text]
        why = f"can not be made again ({'; '.join(skipped)})" if skipped else "is no longer made by anything"
        stale += [f"{shown(path)} {why}" for path in leftovers(files)]
        tell_skipped(skipped)
    for sentence in stale:
        print(f"{sentence}; run `python -m libs.events.docs`")
    return 1 if stale else 0


def write() -> int:
    """Write what has changed, examples first. Returns the exit code."""
    for path, text in examples.missing().items():
        put(path, text)
    skipped: list[str] = []
    files = wanted(skipped)
    for path, text in files.items():
        if not path.exists() or path.read_text() != text:
            put(path, text)
    for path in leftovers(files) if not skipped else ():
        path.unlink()
        print(f"removed {shown(path)}")
    tell_skipped(skipped)
    return 0


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(f"wrote {shown(path)}")


def tell_skipped(skipped: list[str]) -> None:
    for sentence in skipped:
        print(f"left out {sentence}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m libs.events.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file is stale")
    sys.exit(check() if parser.parse_args().check else write())
