"""Types at a program in a terminal of its own:  python3 terminal.py PROGRAM WAIT SEND [WAIT SEND]...
Waits until WAIT has come since the last time, then types SEND (\\t \\r \\x03 .. as in Python). Prints all that came and
exits with the program's status; 99 if a text did not come within a minute."""
import fcntl, os, pty, select, struct, sys, termios, time

program, steps = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(program, [program])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
came, seen, end = b"", 0, time.time() + 60


def read():
    global came
    if not select.select([terminal], [], [], max(0, end - time.time()))[0]:
        print(came.decode("utf-8", "replace"), "\n... and nothing more came")
        sys.exit(99)
    try:
        part = os.read(terminal, 65536)
    except OSError:
        part = b""
    came += part
    return part


for wait, send in zip(steps[::2], steps[1::2]):
    wait = wait.encode()
    while wait not in came[seen:]:
        if not read():
            break
    seen = came.find(wait, seen) + len(wait)
    os.write(terminal, send.encode().decode("unicode_escape").encode())
while read():
    pass
print(came.decode("utf-8", "replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
