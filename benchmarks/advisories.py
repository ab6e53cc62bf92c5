"""`python -m benchmarks.advisories` (`make audit`): known vulnerabilities of the locked packages, as far as an advisory database can be reached.

Uses pip-audit in an environment of its own, so that no lock has to hold it. A package that the database does not know, or a database that cannot
be reached, counts as unchecked, never as free of vulnerabilities: pip-audit alone would end with "no known vulnerabilities" then.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-image.lock")
PIP_AUDIT = (
    *(str(Path(sys.executable).with_name("uv")), "tool", "run", "--quiet", "--from", "pip-audit==2.10.1"),
    *("pip-audit", "--disable-pip", "--require-hashes", "--progress-spinner", "off", "--timeout", "15"),
    *("--vulnerability-service", "osv", "--format", "json"),
)
_PATIENCE_SECONDS = 120


@dataclass
class Audit:
    """What is known of one lock: packages checked, what was found, and why the others are unchecked."""

    checked: int = 0
    vulnerabilities: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


def audit_lock(lock: Path, command: Sequence[str] = PIP_AUDIT) -> Audit:
    """Ask for the advisories of every package in a lock. Nothing that goes wrong on the way raises: the lock is unchecked then."""
    try:
        done = subprocess.run(
            [*command, "--requirement", str(lock)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
        )
        packages = json.loads(done.stdout)["dependencies"]
    except (OSError, subprocess.TimeoutExpired) as error:
        return Audit(unchecked=[f"all packages: {str(error)[:200]}"])
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Audit(unchecked=[f"all packages: {last[:200]}"])
    audit = Audit()
    for package in packages:
        if "skip_reason" in package:
            audit.unchecked.append(f"{package['name']}: {package['skip_reason']}")
            continue
        audit.checked += 1
        audit.vulnerabilities += [
            f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no release yet'}"
            for found in package["vulns"]
        ]
    return audit


def describe(lock: str, audit: Audit) -> list[str]:
    """Return the lines that tell what is known of a lock."""
    state = f"{audit.checked:,} packages checked, {len(audit.vulnerabilities):,} known vulnerabilities"
    if not audit.checked:
        state = "UNCHECKED, no advisory database answered"
    elif audit.unchecked:
        state += f", {len(audit.unchecked):,} packages UNCHECKED"
    return [f"{lock}: {state}", *(f"  {text}" for text in (*audit.vulnerabilities, *audit.unchecked[:3]))]


def main(locks: Sequence[str] = LOCKS, command: Sequence[str] = PIP_AUDIT) -> int:
    """Print what is known of each lock. Return 1 if anything vulnerable is locked, 0 otherwise: also if nothing could be checked."""
    found = 0
    for lock in locks:
        audit = audit_lock(Path(lock), command)
        print("\n".join(describe(lock, audit)), flush=True)
        found += len(audit.vulnerabilities)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
