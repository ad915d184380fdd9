"""What is said where the first process is lost: one line, whoever notices it first.

XLA keeps a connection to the first process too, and may learn of its end a moment before `watch` does. It then writes a
stack of messages and ends this process from a thread of its own, which nothing within the process can keep it from.
So what another process than the first writes to standard error passes through a small process beside it.
"""

import os
import sys

GONE = "process {} is gone (killed, or its machine); the same command goes on from here"
_FILTER = r"""
import re, sys
out = sys.stderr.buffer
lost = re.compile(rb"[WEF]\d{4} .*(UNAVAILABLE|Polled an error|distributed service detected fatal)")
of_xla = re.compile(rb"[IWEF]\d{4} |Additional GRPC|RPC: |:UNKNOWN")
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


def in_one_line() -> None:
    """Makes standard error of this process one in which XLA's words on the end of the first process are a line."""
    read, write = os.pipe()
    command = [sys.executable, "-I", "-S", "-c", _FILTER, GONE.format(0)]
    # In a group of its own, so that Ctrl-C does not end it before this one.
    os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)], setpgroup=0)
    sys.stderr.flush()
    os.dup2(write, 2)
    os.close(read)
    os.close(write)
