"""Run every benchmark, one after another, each in a process of its own: python -m benchmarks [--quick] [--save]."""

import subprocess
import sys
from pathlib import Path

SHARED = {"__init__", "__main__", "common", "explain_nets", "fair_ways"}
SHARED |= {"federated_ways", "federated_ray", "federated_pfl"}


def main() -> int:
    """Return 0 when every benchmark's bounds hold."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in SHARED)
    codes = []
    for name in names:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]]
        codes.append(subprocess.run(command, check=False).returncode)  # noqa: S603 - our own modules
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
