"""How long until something happens on a terminal: `import tlcourse` and `tlcourse --help`.

    python benchmarks/startup.py [--rounds 15]

Fresh processes, in turn with an empty `python -c pass`; seconds, median (lowest … highest). Also says
whether torch was imported, which it must not be.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

WAYS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import tlcourse": [sys.executable, "-c", "import tlcourse"],
    "tlcourse --help": [str(Path(sys.executable).parent / "tlcourse"), "--help"],
}
TORCH = "import sys; import tlcourse, tlcourse.cli; print('torch' in sys.modules)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(asked.rounds + 1):
        for way, command in WAYS.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[way].append(time.perf_counter() - began)
    print("| command | seconds |\n|---|---|")
    for way, seconds in times.items():
        kept = seconds[1:]
        middle = statistics.median(kept)
        print(f"| `{way}` | {middle:.3f} ({min(kept):.3f} … {max(kept):.3f}) |")
    told = subprocess.run([sys.executable, "-c", TORCH], check=True, capture_output=True, text=True)
    print(f"\ntorch imported: {told.stdout.strip()}")


if __name__ == "__main__":
    main()
