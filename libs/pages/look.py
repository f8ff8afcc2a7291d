"""Renders pages: templates, languages, headers, compression, and refusals that a person can read."""

import gettext
import gzip
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response

from libs.events import problems
from libs.events.refusal import Refusal, Refused
from libs.pages import charts, formats
from libs.pages.reader import LANGUAGES, ZONES, Reader, reader_of, remember

HERE: Final = Path(__file__).parent
GZIP_BYTES_MIN: Final = 500
FOREVER: Final = "public, max-age=31536000, immutable"

# No script at all, nothing from elsewhere, and nobody may frame a page.
POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "vary": "accept-encoding, cookie",
}


class Asset:
    """A file that never changes under its address: the address contains its hash."""

    def __init__(self, path: Path, media_type: str) -> None:
        self.body, self.media_type = path.read_bytes(), media_type
        self.name = f"{path.stem}-{sha256(self.body).hexdigest()[:12]}{path.suffix}"


class Look:
    """The pages of one service. `folder` holds its templates and, under `locale`, their translations."""

    def __init__(self, folder: Path) -> None:
        self.style = Asset(HERE / "static" / "gelombang.css", "text/css")
        self.icon = Asset(HERE / "static" / "icon.svg", "image/svg+xml")
        self._environments = {language: _environment(folder, language) for language in LANGUAGES}

    def page(
        self, request: Request, template: str, status: int = 200, *, private: bool = False, **told: Any
    ) -> Response:
        """A whole page. A `private` one holds a token against forged forms and is therefore not compressed."""
        reader = reader_of(request)
        environment = self._environments[reader.language]
        text = environment.get_template(template).render(
            **told,
            reader=reader,
            languages=LANGUAGES,
            zones=ZONES,
            path=request.url.path,
            elsewhere=partial(_elsewhere, request),
            style=f"/static/{self.style.name}",
            icon=f"/static/{self.icon.name}",
            number=partial(formats.number, language=reader.language),
            percent=partial(formats.percent, language=reader.language),
            time=partial(_time, reader),
            said=partial(_said, reader),
        )
        response = answer(request, text.encode(), "text/html", HEADERS, status=status, compress=not private)
        remember(request, response)
        return response

    def refused(self, request: Request, refusals: Sequence[Refusal]) -> Response:
        """The page that says what happened, why, and what to do; the first refusal decides the status."""
        return self.page(request, "refused.html", refusals[0].status, refusals=refusals)

    def routes(self) -> APIRouter:
        """A router whose refusals and failures are pages. They stand beside the API and not in its document."""
        look = self

        class PageRoute(APIRoute):
            def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
                inner = super().get_route_handler()

                async def handle(request: Request) -> Response:
                    try:
                        return await inner(request)
                    except Refused as refused:
                        return look.refused(request, refused.refusals)
                    except RequestValidationError as error:
                        return look.refused(request, problems.refusals_of(error.errors()))
                    except Exception as error:
                        away = problems.of_failure(error).status_code == problems.AWAY.status
                        return look.refused(request, [problems.AWAY if away else problems.BROKEN])

                return handle

        router = APIRouter(route_class=PageRoute, include_in_schema=False)
        for asset in (self.style, self.icon):
            router.add_api_route(f"/static/{asset.name}", partial(_asset, asset), methods=["GET"])
        return router


def answer(
    request: Request, body: bytes, media_type: str, headers: dict[str, str], *, status: int = 200, compress: bool = True
) -> Response:
    """A response, compressed where the reader's browser takes that."""
    told = dict(headers)
    if compress and len(body) >= GZIP_BYTES_MIN and "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, 6, mtime=0)
        told["content-encoding"] = "gzip"
    return Response(body, status, told, media_type)


async def _asset(asset: Asset, request: Request) -> Response:
    return answer(request, asset.body, asset.media_type, {"cache-control": FOREVER, "vary": "accept-encoding"})


def _environment(folder: Path, language: str) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder), FileSystemLoader(HERE / "templates")]),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.globals |= {"bar": charts.bar, "rupiah": formats.rupiah}
    # The templates are written in Indonesian: that language needs no catalogue.
    translations: gettext.NullTranslations = gettext.NullTranslations()
    if language != "id":
        translations = gettext.translation("messages", folder / "locale", [language])
        translations.add_fallback(gettext.translation("messages", HERE / "locale", [language]))
    environment.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    return environment


def _elsewhere(request: Request, **changes: str) -> str:
    """The address of this page with parts of its query changed."""
    return str(URL(str(request.url.path) + "?" + request.url.query).include_query_params(**changes))


def _time(reader: Reader, at: Any) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), formats.moment(at, reader))


def _said(reader: Reader, refusal: Refusal) -> str:
    """A sentence that exists in both languages, in the reader's."""
    return refusal.en if reader.language == "en" else refusal.id
