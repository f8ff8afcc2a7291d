"""The short way through FastAPI for what a whole country asks at once: one body, perhaps a caller, one answer.

A route is declared and documented like any other. Where its function takes nothing but a model and the caller, a
well-formed request is read, answered and written here, without the general machinery, which costs as much again.
Whatever is not well-formed goes the general way, which then says what is wrong: there is one place for that.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, get_args, get_type_hints

from fastapi.params import Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from libs.events.access import Caller

JSON: Final = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class _Lean:
    """What the function takes: the names of its parameters, the model of the body, and who may call."""

    body: str
    model: type[BaseModel]
    caller: str = ""
    who: Caller[Any] | None = None


class LeanRoute(APIRoute):
    """The class of every route of an API. It finds out by itself which of them can be answered the short way."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **told: Any) -> None:
        super().__init__(path, endpoint, **told)
        self.lean = _lean(endpoint)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; exceptions leave as they do elsewhere, for the handlers of the application."""
        lean = self.lean
        if lean is None or scope["method"] not in (self.methods or ()) or JSON not in scope["headers"]:
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        told: dict[str, Any] = {lean.caller: await lean.who(request)} if lean.who else {}
        body = await request.body()
        try:
            told[lean.body] = lean.model.__pydantic_validator__.validate_json(body)
        except ValidationError:
            await super().handle(scope, _once_more(body), send)
            return
        answer: BaseModel = await self.endpoint(**told)
        written = answer.__pydantic_serializer__.to_json(answer)
        await Response(written, self.status_code or 200, media_type="application/json")(scope, receive, send)


def _lean(endpoint: Callable[..., Any]) -> _Lean | None:
    """How to call the function the short way; None where it takes or gives more than that."""
    hints = get_type_hints(endpoint, include_extras=True)
    gives = _model(hints.pop("return", None))
    models = {name: model for name, hint in hints.items() if (model := _model(hint))}
    callers = {name: who for name, hint in hints.items() if (who := _caller(hint))}
    if not gives or len(models) != 1 or len(callers) > 1 or len(models) + len(callers) != len(hints):
        return None
    return _Lean(*models.popitem(), *(callers.popitem() if callers else ()))


def _model(hint: Any) -> type[BaseModel] | None:
    return hint if inspect.isclass(hint) and issubclass(hint, BaseModel) else None


def _caller(hint: Any) -> Caller[Any] | None:
    asked = [told.dependency for told in get_args(hint)[1:] if isinstance(told, Depends)]
    return asked[0] if len(asked) == 1 and isinstance(asked[0], Caller) else None


def _once_more(body: bytes) -> Receive:
    """Gives a body that was read already to whoever reads it again."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
