"""typed.py COLUMNS STEPS COMMAND...: types to a command on a terminal; prints what it shows, and ends with its code.

STEPS is a JSON list of pairs: ["wait", TEXT] goes on when TEXT is shown, behind what was waited for before; ["prompt", ""]
when another line begins to be edited; ["runs", ""] when none is edited any more; ["type", TEXT] types. What moves the
cursor, colours text or rings the bell is not printed.
"""

import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import termios

process, terminal = pty.fork()
if process == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[3], sys.argv[3:])

shown = ""
is_open = True
# So long a silence is a hang: what has been shown is worth more than to wait for the rest.
PATIENCE = 120
# A line editor says that a paste shall be marked as one when it begins with a line, and at no other time.
BEGINS = "\x1b[?2004h"


def read(seconds):
    """Takes in what is shown within so much time."""
    global shown, is_open
    if not select.select([terminal], [], [], seconds)[0]:
        is_open = seconds < PATIENCE
        return
    try:
        new = os.read(terminal, 65536)
    except OSError:
        new = b""
    is_open = bool(new)
    shown += new.decode()


seen = 0
for step, text in json.loads(sys.argv[2]):
    if step == "type":
        os.write(terminal, text.encode())
    elif step == "runs":
        while is_open and not termios.tcgetattr(terminal)[3] & termios.ICANON:
            read(0.01)
    else:
        text = BEGINS if step == "prompt" else text
        while is_open and text not in shown[seen:]:
            read(PATIENCE)
        found = shown.find(text, seen)
        seen = len(shown) if found < 0 else found + len(text)
while is_open:
    read(PATIENCE)
os.close(terminal)
sys.stdout.write(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\a\r]", "", shown))
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
