"""A server of files on this machine, and archives for it."""

import http.server
import io
import tarfile
import threading


class Server:
    """Serves bytes by path; cuts off after `cut` bytes of an answer, `cuts` times.

    Answers with the part `lie` bytes behind the one that was asked for, and with `told`
    as its place.
    """

    def __init__(self):
        self.files, self.asked = {}, []
        self.cut, self.cuts, self.ranges = 0, 0, True
        self.lie, self.told = 0, ""
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self._httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"
        threading.Thread(target=self._httpd.serve_forever, args=(0.01,)).start()

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        content = self.files.get(request.path)
        if content is None:
            return request.send_error(404)
        start = 0
        if wanted and self.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return request.send_error(416)
        request.send_response(206 if start else 200)
        if start and self.told:
            request.send_header("Content-Range", self.told)
        if start:
            start = max(0, start + self.lie)
        request.send_header("Content-Length", str(len(content) - start))
        request.end_headers()
        if self.cuts:
            self.cuts -= 1
            content = content[: start + self.cut]
        request.wfile.write(content[start:])

    def close(self):
        self._httpd.shutdown()
        self._httpd.server_close()


def tar(mode, *members):
    """A tar file of (name, content), or of links, whose content is a text."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                file.addfile(info)
            else:
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return stream.getvalue()
