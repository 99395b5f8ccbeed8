"""A file system of a test's own that can be made full. It needs the right to mount."""

import os
import subprocess

# A file that takes what is left grows by so much at a time.
FILL_BYTES = 1 << 20
FILLER = "filler"


class Disk:
    """In memory, mounted at a directory that is there, so many MiB large."""

    def __init__(self, directory, mebibytes):
        self.directory = directory
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "none", directory], check=True, capture_output=True)

    @staticmethod
    def possible(directory):
        """Whether this user may mount at all."""
        try:
            Disk(directory, 1).close()
        except (OSError, subprocess.CalledProcessError):
            return False
        return True

    def fill(self):
        """Takes all that is left."""
        with open(self.directory / FILLER, "wb", buffering=0) as file:
            step = FILL_BYTES
            while step:
                try:
                    file.write(b"\0" * step)
                except OSError:
                    step //= 2

    def free(self):
        """Gives it back."""
        os.unlink(self.directory / FILLER)

    def close(self):
        subprocess.run(["umount", "--lazy", self.directory], check=True, capture_output=True)
