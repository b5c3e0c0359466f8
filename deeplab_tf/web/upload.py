"""Uploads: a form of one photograph, held in memory, its size counted as it comes."""

import asyncio
import contextlib
import math
import sys
from collections.abc import AsyncGenerator

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from deeplab_tf.web.model import Look
from deeplab_tf.web.refusal import Refusal

FIELD = "photograph"
_PATIENCE = 60.0  # Seconds for a file to come.
_FIELDS = 8  # Beside the photograph, more than a form has.
_SCALES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # Each set of them is a graph.


class _InMemory(MultiPartParser):
    spool_max_size = sys.maxsize  # Starlette would put what is larger on the disk.


async def read_form(request: Request, most: int) -> tuple[bytes, str, Look]:
    """The photograph's bytes and name, and how to look at it.

    Args:
        request: Its body is a form, `multipart/form-data`.
        most: Bytes; more are refused when they come, whatever was announced.

    Raises:
        Refusal: It is too large (413), too slow (408), or no such form (400, 415).
        ClientDisconnect: Nobody waits for the answer.
    """
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise Refusal(415, f"a form (multipart/form-data) with {FIELD} is needed")
    try:
        async with asyncio.timeout(_PATIENCE):
            form = await _InMemory(
                request.headers,
                _limited(request, most),
                max_files=1,
                max_fields=_FIELDS,
                max_part_size=1024,
            ).parse()
    except TimeoutError:
        raise Refusal(408, f"the file did not come within {_PATIENCE:.0f} s") from None
    except MultiPartException as error:
        raise Refusal(400, f"not a form: {error.message}") from None
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise Refusal(400, f"a form with a file, {FIELD}, is needed")
        return await file.read(), file.filename or FIELD, _look(form)
    finally:
        await form.close()


async def _limited(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """Yields the body; raises a Refusal where it is longer."""
    announced = request.headers.get("content-length", "0")
    count = int(announced) if announced.isdecimal() else 0
    if count <= most:
        count = 0
        async for chunk in request.stream():
            count += len(chunk)
            if count > most:
                break
            yield chunk
    if count > most:
        raise Refusal(413, f"a file of more than {most / 1e6:g} MB; save it smaller")


async def drain(request: Request) -> None:
    """Reads what still comes, and keeps nothing: or the browser sees no answer.

    It ends where the body does, or where that takes long.
    """
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_PATIENCE / 4):
            async for _ in request.stream():
                pass


def _look(form: FormData) -> Look:
    words = str(form.get("scales") or "1").split(",")
    scales = tuple(scale for scale in _SCALES if scale in map(_number, words))
    if len(scales) < len(words):
        known = ", ".join(f"{scale:g}" for scale in _SCALES)
        raise Refusal(400, f"scales: some of {known} are needed, as 0.75,1,1.25")
    return Look(scales=scales, flip=_truth(form, "flip"), crf=_truth(form, "crf"))


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def _truth(form: FormData, name: str) -> bool:
    value = str(form.get(name) or "false")
    if value not in ("true", "false"):
        raise Refusal(400, f"{name}: true or false is needed")
    return value == "true"
