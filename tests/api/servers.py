"""Servers of a test's own: a TCP forwarder that can be switched off, and a MariaDB that is not set up
as a data node must be."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pymysql
from system import eventually

PASSWORD = "f0reign-of_Larch"


def open_port():
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Forwarder:
    """Passes connections on to another server until it is closed."""

    def __init__(self, host, port):
        self.target = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.open = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target, timeout=10)
            except OSError:
                return
            server.settimeout(None)
            self.open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def __exit__(self, *_):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        for one in [self.listener, *self.open]:
            one.close()


@contextmanager
def foreign_server(*options):
    """A plain MariaDB with these options: `host`, `port`, `admin_user` and `admin_password`."""
    root = Path(tempfile.mkdtemp(prefix="ddm-foreign-"))
    path = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    as_root = ["--user=root"] if os.getuid() == 0 else []
    common = ["--no-defaults", f"--datadir={root / 'data'}", *as_root]
    subprocess.run(["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db", *options],
                   check=True, capture_output=True, env=path, timeout=120)
    port = open_port()
    server = subprocess.Popen(
        ["mariadbd", *common, "--bind-address=127.0.0.1", f"--port={port}", f"--socket={root / 's'}",
         "--innodb-buffer-pool-size=16M", *options], env=path, stdin=subprocess.DEVNULL,
        stdout=open(root / "log", "w"), stderr=subprocess.STDOUT)
    try:
        first = eventually("the server answers", lambda: pymysql.connect(unix_socket=str(root / "s"), user="root"), 60)
        with first, first.cursor() as cursor:
            cursor.execute(f"CREATE USER ddm_admin@'%' IDENTIFIED BY '{PASSWORD}'")
            cursor.execute("GRANT ALL PRIVILEGES ON *.* TO ddm_admin@'%' WITH GRANT OPTION")
        yield {"host": "127.0.0.1", "port": port, "admin_user": "ddm_admin", "admin_password": PASSWORD}
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(root, ignore_errors=True)
