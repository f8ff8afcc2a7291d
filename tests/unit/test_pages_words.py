"""Every sentence of every page has its English, and the compiled catalogues are those of the texts."""

import gettext
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = sorted(path.parent for path in ROOT.glob("*/**/locale") if ".venv" not in path.parts)
SENTENCE = re.compile(r'_\("((?:[^"\\]|\\.)*)"')


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_sentence_has_its_english(folder: Path) -> None:
    told = gettext.translation("messages", folder / "locale", ["en"])
    templates = sorted(folder.rglob("*.html"))
    sentences = {found for path in templates for found in SENTENCE.findall(path.read_text())}
    assert sentences
    assert sorted(sentence for sentence in sentences if not told.gettext(sentence).strip()) == []
    missing = sentences - set(_catalogue(told))
    assert not missing, f"translate these as README.md of libs/pages says: {sorted(missing)}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_both_languages_fill_in_the_same_values(folder: Path) -> None:
    for sentence, english in _catalogue(gettext.translation("messages", folder / "locale", ["en"])).items():
        names = re.compile(r"%\((\w+)\)s|(%%)")
        assert sorted(names.findall(sentence)) == sorted(names.findall(english)), sentence


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_compiled_catalogues_are_not_stale(folder: Path) -> None:
    pofile: Any = pytest.importorskip("babel.messages.pofile", reason="install Babel to compare the catalogues")
    compiled = _catalogue(gettext.translation("messages", folder / "locale", ["en"]))
    with (folder / "locale/en/LC_MESSAGES/messages.po").open("rb") as text:
        written = {message.id: message.string for message in pofile.read_po(text) if message.id}
    assert written == compiled, "compile the catalogues as README.md of libs/pages says"


def _catalogue(translations: gettext.NullTranslations) -> dict[str, str]:
    known: dict[str, str] = getattr(translations, "_catalog")  # noqa: B009 - private to mypy, there since Python 2
    return {sentence: english for sentence, english in known.items() if sentence}
