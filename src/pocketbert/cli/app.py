"""The application that the verbs belong to."""

import typer

app = typer.Typer(
    help="Turn a BERT-family teacher into a small fast student, and measure what it kept.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
