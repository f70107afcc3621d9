"""`python -m gradcheck FILE.py[:Name]`."""

import sys

from gradcheck.command_line import main

sys.exit(main())
