"""Hold the pinned packages against what is known of their weaknesses; it asks the network.

Exit status 0: nothing is known; 1: something is, and is listed; 3: nobody could be asked.
"""

from __future__ import annotations

import subprocess
import sys

UNREACHABLE = ("ConnectionError", "Max retries", "ServiceError", "Timeout", "resolve", "ProxyError")
LIMIT_S = 600


def main(files: list[str]) -> int:
    """Audit requirement files one by one; the worst status counts."""
    return max(audit(file) for file in files)


def audit(file: str) -> int:
    """Audit one file, and print what came out."""
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "-r", file]
    command = [sys.executable, "-m", "pip_audit", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        sys.stdout.write(f"{file}: not audited: no answer from the advisory service\n")
        return 3
    said = done.stdout + done.stderr
    if done.returncode and "Found " not in said and any(word in said for word in UNREACHABLE):
        last = (said.strip().splitlines() or ["no message"])[-1]
        sys.stdout.write(f"{file}: not audited: the advisory service can't be reached ({last})\n")
        return 3
    sys.stdout.write(f"{file}:\n{said}")
    return min(done.returncode, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
