"""``python -m pocketbert.cli``."""

from pocketbert.cli import main

if __name__ == "__main__":
    main()
