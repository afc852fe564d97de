"""`python -m service` is `clearway`."""

from service.cli import main

main()
