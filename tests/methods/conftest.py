"""What is collected here."""

import coverage

#: Only coverage wants to see the lines of the runner.
collect_ignore = [] if coverage.Coverage.current() else ["test_measured.py"]
