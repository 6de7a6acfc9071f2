"""Help that teaches: every verb shows how it is used, in lines to be copied as they are."""

import argparse

Commands = argparse._SubParsersAction  # noqa: SLF001  argparse has no public name for what add_subparsers returns


class Help(argparse.HelpFormatter):
    """Wraps prose; leaves texts of several lines as they are, so that an example stays one line."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return "".join(indent + line for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


def verb(
    commands: "Commands[argparse.ArgumentParser]", name: str, summary: str, *examples: str
) -> argparse.ArgumentParser:
    """A verb with one sentence about it, and at least one example."""
    return commands.add_parser(
        name, help=summary, description=f"{summary}.", epilog=_told(examples), formatter_class=Help
    )


def group(
    commands: "Commands[argparse.ArgumentParser]", name: str, summary: str, title: str, *examples: str
) -> "Commands[argparse.ArgumentParser]":
    """A verb that has verbs of its own; one of them must be given."""
    of = verb(commands, name, summary, *examples)
    return of.add_subparsers(title=title, metavar=title.removesuffix("s").upper(), required=True)


def _told(examples: tuple[str, ...]) -> str:
    word = "example" if len(examples) == 1 else "examples"
    return "\n".join([f"{word}:", *(f"  {line}" for line in examples)])
