"""``python -m nst_batch`` is ``nst-batch``."""

from nst_batch.cli.app import main

if __name__ == "__main__":
    main()
