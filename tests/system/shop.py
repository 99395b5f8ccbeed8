"""A system with a demo schema, two nodes and two data nodes, for tests whose clients log in to this node or that."""

from nodes import process_of
from system import System, connect


class Shop:
    """As a context manager it removes its system at the end."""

    def __init__(self):
        self.system = System("--demo")
        self.system.start()
        self.ends = self.system.endpoints["demo"]
        shown = self.system.ctl("instances", "show", self.ends["instance_id"])
        self.nodes = shown["nodes"]
        self.hosts = [node["ip"] for node in self.nodes]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.system.remove()

    def log_in(self, host=None, user=None, password=None, **more):
        """A session on the node at `host`, else on any."""
        ends = self.ends
        return connect(host or ends["host"], ends["port"], user or ends["user"], password or ends["password"],
                       ends["schema"], **more)

    def pids(self):
        """The processes of the nodes."""
        return self.system.children("node.toml")

    def node_of(self, host):
        """The process of the node at `host`."""
        pid = process_of(self.system, host)
        if pid is None:
            raise LookupError(host)
        return pid
