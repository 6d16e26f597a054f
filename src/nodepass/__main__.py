"""`python -m nodepass` is `nodepass`."""

from nodepass.cli import main

if __name__ == "__main__":
    main()
