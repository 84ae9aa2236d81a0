"""What parts cost: the command `lstmlab-bench`, one file per part. Nothing of the house imports this room."""


def main(argv=None) -> None:
    """Entry point of the command; loads the parts when it is called."""
    from lstmlab.bench.command import main as command

    command(argv)
