"""The command ``actloss``."""

import sys


def main() -> None:
    """Run the command, or say what it takes where Typer or Rich is not installed."""
    try:
        from actloss_rs.demo.commands import app as demo
        from actloss_rs.evaluation.commands import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        print(
            f"actloss: the command line takes the package {error.name}; "
            "install both with: pip install 'actloss_rs[cli]'",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    app.add_typer(demo, name="demo")
    try:
        app()
    except ModuleNotFoundError as error:
        # What only a demonstration takes is imported when it starts.
        if (error.name or "").partition(".")[0] not in ("jinja2", "matplotlib", "sklearn"):
            raise
        print(
            f"actloss: the demonstrations take the package {error.name}; "
            "install what they need with: pip install 'actloss_rs[demo]'",
            file=sys.stderr,
        )
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
