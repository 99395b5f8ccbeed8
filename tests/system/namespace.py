"""A network namespace of a test's own with one cable to this machine's network, which can be pulled out: what is on its
way is lost, nobody is told, and nothing is closed. It needs the right to make namespaces."""

import ctypes
import itertools
import os
import random
import socket
import subprocess
import threading

# Networks for measurements (RFC 2544), in pieces of four addresses: no machine has them by chance.
BLOCK = "198.18"
NUMBERS = itertools.count()


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Namespace:
    """Its address is `address`."""

    def __init__(self):
        number = next(NUMBERS)
        self.name = f"ddm-{os.getpid()}-{number}"
        self.cable = f"dd{os.getpid()}-{number}"[:15]
        third, fourth = random.randrange(256), 4 * random.randrange(64)
        self.address = f"{BLOCK}.{third}.{fourth + 2}"
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self.cable, "type", "veth", "peer", "name", "there", "netns", self.name)
            ip("address", "add", f"{BLOCK}.{third}.{fourth + 1}/30", "dev", self.cable)
            ip("-n", self.name, "address", "add", f"{self.address}/30", "dev", "there")
            ip("link", "set", self.cable, "up")
            self.plug()
        except subprocess.CalledProcessError:
            self.close()
            raise

    @staticmethod
    def possible():
        """Whether this user may make one."""
        try:
            Namespace().close()
        except (OSError, subprocess.CalledProcessError):
            return False
        return True

    def listener(self):
        """A socket that listens in there, whoever uses it. A socket stays where it was made, so a thread goes there for
        that moment."""
        made = []

        def make():
            with open(f"/run/netns/{self.name}", encoding="ascii") as there:
                if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), 0):
                    return
            made.append(socket.create_server((self.address, 0), backlog=128))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        assert made, f"no socket in {self.name}"
        return made[0]

    def pull(self):
        ip("-n", self.name, "link", "set", "there", "down")

    def plug(self):
        ip("-n", self.name, "link", "set", "there", "up")

    def close(self):
        # The namespace stays as long as a socket of it; its cable does not.
        for words in (["link", "delete", self.cable], ["netns", "delete", self.name]):
            subprocess.run(["ip", *words], check=False, capture_output=True)
