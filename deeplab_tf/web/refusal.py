"""What a request cannot have, as a status of HTTP and one line."""

from collections.abc import Mapping

from deeplab_tf.errors import InputError


class Refusal(InputError):
    """An answer other than 200.

    Attributes:
        status: Of HTTP.
        headers: Further ones of the answer.
    """

    def __init__(
        self, status: int, line: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(line)
        self.status = status
        self.headers = dict(headers or {})
