"""A file system whose folder answers nobody: mounts it, says so, and lets every question wait for ever. Ends by SIGKILL."""
import sys
import threading

from fusepy import FUSE, Operations


class Hanging(Operations):
    def init(self, path):
        print("mounted", flush=True)

    def getattr(self, path, handle=None):
        threading.Event().wait()

    access = readdir = opendir = open = getattr


FUSE(Hanging(), sys.argv[1], foreground=True, nothreads=False)
