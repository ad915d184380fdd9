"""What another process than the first writes to standard error, at its end above all."""

import subprocess
import sys

import pytest

GONE = "error: process 0 is gone (killed, or its machine); the same command goes on from here\n"
# As JAX 0.10.2 has written them.
OF_XLA = """\
W1130 22:55:02.816260   19315 preemption_sync_manager.cc:147] Failed to retrieve preemption notice: UNAVAILABLE: Socket
Additional GRPC error information from remote target coordination_service while calling /xla.coordination/GetKeyValue:
:UNKNOWN:Error received from peer  {grpc_status:14, grpc_message:"Socket closed"}.
E1130 22:55:02.816352   19315 coordination_service_agent.cc:289] Polled an error from coordination service
"""
FATAL = """\
F1130 22:55:02.816357   19315 client.h:80] Terminating process because the JAX distributed service detected fatal errors

RPC: /xla.coordination.CoordinationService/RegisterTask
*** Check failure stack trace: ***
    @     0x7f1cd0840634  absl::lts_20260107::log_internal::LogMessage::SendToLog()
:UNKNOWN:Error received from peer  {grpc_status:14, grpc_message:"Socket closed"}
"""


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (OF_XLA + FATAL, GONE),
        (OF_XLA + GONE + FATAL, GONE),
        (GONE, GONE),
        ("a warning\n" + OF_XLA, "a warning\n"),  # where XLA was not at its end
        ("W1130 22:55:02.816260 1 slow.cc:1] compiles\n  of\n", "W1130 22:55:02.816260 1 slow.cc:1] compiles\n  of\n"),
        (OF_XLA + "Traceback\n  line 1\nno end of line", "Traceback\n  line 1\nno end of line"),
    ],
)
def test_the_end_of_the_first_process_is_one_line(written, shown):
    code = "import os, sys; from distill_jax.machine.last_words import GONE, in_one_line; in_one_line(GONE.format(0)); "
    code += "os.write(2, sys.argv[1].encode()); os._exit(1)"
    ended = subprocess.run([sys.executable, "-c", code, written], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, shown)
