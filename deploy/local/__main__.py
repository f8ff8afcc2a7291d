"""`python -m deploy.local`: start, stop and look at a stack."""

import sys

from deploy.local.cli import main

sys.exit(main(sys.argv[1:]))
