"""A real nginx on loopback, from a configuration of its own in a temporary folder."""

from __future__ import annotations

from pathlib import Path

from program import Program

_CONFIGURATION = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 4096; }}
http {{
    error_log {folder}/error.log;
    log_format status $status;
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{http}
}}
"""


def server(port: int, upstream: str, directives: str = "") -> str:
    """A ``server`` block that hands everything to ``upstream`` as nginx does by itself: HTTP/1.0 and buffered."""
    return f"""\
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass {upstream};
            {directives}
        }}
    }}"""


class Nginx(Program):
    """One process in the foreground; ``http`` is what stands in the ``http`` block."""

    def __init__(self, folder: Path, http: str) -> None:
        configuration = folder / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(folder=folder, http=http))
        # "event method" is said after the sockets have been opened.
        command = ["nginx", "-p", str(folder), "-c", str(configuration), "-e", "stderr"]
        super().__init__(*command, ready=b"event method")
