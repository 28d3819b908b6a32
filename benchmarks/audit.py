"""Hold the pinned packages against what is known of their weaknesses; it asks the network.

Exit status 0: nothing is known; 1: something is, and is listed; 3: somebody could not be asked, or
knew nothing of most packages: a mirror of packages has no advisories.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

LIMIT_S = 600


def main(files: list[str]) -> int:
    """Audit requirement files one by one; the worst status counts."""
    return max(audit(file) for file in files)


def audit(file: str) -> int:
    """Audit one file, and print what came out."""
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
    command = [sys.executable, "-m", "pip_audit", *options, "-r", file]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        sys.stdout.write(f"{file}: not audited: no answer from the advisory service\n")
        return 3
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        sys.stdout.write(f"{file}: not audited: the advisory service can't be reached ({last})\n")
        return 3
    status, lines = verdict(file, found)
    sys.stdout.write("\n".join(lines) + "\n")
    return status


def verdict(file: str, found: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """The exit status for what pip-audit says of each package, and lines for a person."""
    known = [
        f"{file}: {one['name']} {one['version']}: {weak['id']}, mended in "
        f"{', '.join(weak['fix_versions']) or 'no version yet'}"
        for one in found
        for weak in one.get("vulns", [])
    ]
    if known:
        return 1, known
    skipped = sum("skip_reason" in one for one in found)
    if not found or skipped * 2 > len(found):
        text = f"not audited: the advisory service knows nothing of {skipped} of {len(found)}"
        return 3, [f"{file}: {text} packages"]
    words = f"no known weakness in {len(found) - skipped} packages"
    return 0, [f"{file}: {words}" + (f"; {skipped} were not found" if skipped else "")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
