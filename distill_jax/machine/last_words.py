"""What is said where XLA ends a process, since another has not come or the first is lost: one line.

XLA keeps a connection to the first process too, and may learn of its end a moment before `watch` does. It then writes a
stack of messages and ends this process from a thread of its own, which nothing within the process can keep it from.
So what a process writes to standard error passes through a small one beside it.
"""

import os
import sys
from collections.abc import Callable

GONE = "process {} is gone (killed, or its machine); the same command goes on from here"
_FILTER = r"""
import re, sys
out = sys.stderr.buffer
lost = re.compile(rb"[WEF]\d{4} .*(UNAVAILABLE|Polled an error|distributed service detected fatal)")
of_xla = re.compile(rb"[IWEF]\d{4} |Additional GRPC|RPC: |:UNKNOWN|\*\*\* Check failure| +@ |\n")
is_lost = is_ended = is_said = False
for line in sys.stdin.buffer:
    is_lost = is_lost or lost.match(line) is not None
    is_ended = is_ended or (line.startswith(b"F") and lost.match(line) is not None)
    is_said = is_said or line.startswith(b"error: ")
    if not (is_lost and of_xla.match(line)):
        out.write(line)
        out.flush()
if is_ended and not is_said:
    print("error: " + sys.argv[1], file=sys.stderr)
"""


def in_one_line(line: str) -> Callable[[], None]:
    """Makes standard error of this process one in which XLA's words on its end are a line, until the result is called.

    Args:
      line: to be said in their place where this process has said nothing itself.
    """
    before, (read, write) = os.dup(2), os.pipe()
    command = [sys.executable, "-I", "-S", "-c", _FILTER, line]
    # In a group of its own, so that Ctrl-C does not end it before this one.
    beside = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)], setpgroup=0)
    sys.stderr.flush()
    os.dup2(write, 2)
    os.close(read)
    os.close(write)

    def restore() -> None:
        sys.stderr.flush()
        os.dup2(before, 2)
        os.close(before)
        os.waitpid(beside, 0)  # until all that was written is there

    return restore
