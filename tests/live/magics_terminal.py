"""IPython in a terminal, with the magics loaded by themselves (used by magics_terminal_test.ts)."""

import sys

import pexpect

shell = pexpect.spawn(
    sys.executable,
    ["-m", "IPython", "--no-banner", "--simple-prompt", "--no-confirm-exit", "--colors=NoColor"],
    encoding="utf-8",
    timeout=60,
    echo=False,
)


def say(line, *answers):
    """Types a line, and expects what it answers, in order, and then the prompt."""
    shell.sendline(line)
    for answer in (*answers, r"In \[\d+\]: "):
        shell.expect(answer)


try:
    shell.expect(r"In \[1\]: ")
    say("%docker_backend namespaces", "Switched backend to namespaces", "backend status: available")
    say("%docker host", "Connected")
    say("!echo $((40 + 2)); printf partial; sleep 0.5; echo ' line' >&2", "42", "partial", "line")
    say("kept = !echo kept", "")
    say("print(kept, _exit_code)", r"\['kept'\] 0")
    # A part of a line is shown at once.
    shell.sendline("!printf waiting; sleep 600; echo never")
    shell.expect("waiting")
    shell.sendintr()
    shell.expect("KeyboardInterrupt")
    shell.expect(r"In \[\d+\]: ")
    say("!exit 3", "")
    say("_exit_code", r"Out\[\d+\]: 3")
    say("%docker_off", "")
    say("!tty", "/dev/pts/")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
except (pexpect.TIMEOUT, pexpect.EOF):
    sys.exit(f"it said\n{shell.before}")
