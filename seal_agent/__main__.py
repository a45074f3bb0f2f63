"""`python -m seal_agent`: the command line, where `seal` is not on the path."""

from seal_agent.cli.app import main

if __name__ == "__main__":
    main()
