"""The page: `deeplab-web`, `python -m deeplab_tf.web`."""

from deeplab_tf import cli
from deeplab_tf.config import WebConfig
from deeplab_tf.errors import require_module


def main() -> None:
    """`deeplab-web --model=run`."""
    cli.run(WebConfig, run)


def run(config: WebConfig) -> None:
    """Serves the page until Ctrl-C.

    Raises:
        InputError: The extra is not installed, the port is taken, or there is no model.
    """
    for package in ("starlette", "uvicorn", "python_multipart"):
        require_module(package, "web", needed_by="deeplab-web")
    from deeplab_tf.web.server import serve  # NumPy: `--help` does not need it.

    serve(config)


if __name__ == "__main__":
    main()
