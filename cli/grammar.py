"""Click, bent to this command line: global options before and after every noun and verb, nouns imported when used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from cli.nearest import suggestion
from cli.settings import Settings

Setter = Callable[[Settings, Any], None]


def _set_timeout(settings: Settings, value: Any) -> None:
    settings.timeout_s = float(value)


def _set_json(settings: Settings, value: Any) -> None:
    settings.json = bool(value)


def _set_home(settings: Settings, value: Any) -> None:
    settings.home = Path(value)


def _set_url(settings: Settings, value: Any) -> None:
    settings.named_url = str(value)


def _set_sender(settings: Settings, value: Any) -> None:
    settings.sender = str(value).removeprefix("@")


def _set_password_file(settings: Settings, value: Any) -> None:
    settings.password_file = str(value)


def _set_yes(settings: Settings, value: Any) -> None:
    settings.yes = bool(value)


def _set_quiet(settings: Settings, value: Any) -> None:
    settings.quiet = bool(value)


def _set_verbose(settings: Settings, value: Any) -> None:
    settings.verbose = int(value)


def _set_no_wait(settings: Settings, value: Any) -> None:
    settings.wait = not value


def _names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Who could act, for a shell that completes."""
    from concento.client.wallet import Wallet

    names = [entry.name for entry in Wallet(context.ensure_object(Settings).home).entries(dev=True)]
    return [name for name in names if name.startswith(incomplete)]


_GLOBALS: Final[tuple[tuple[tuple[str, ...], Setter, dict[str, Any]], ...]] = (
    (("--json",), _set_json, {"is_flag": True, "help": "Print the answer as JSON."}),
    (("--home",), _set_home, {"metavar": "DIR", "help": "Folder of keys and nodes [CONCENTO_HOME]."}),
    (("--url",), _set_url, {"metavar": "URL[,URL]", "help": "Node to talk to [CONCENTO_URL, the local network]."}),
    (
        ("--from",),
        _set_sender,
        {"metavar": "NAME", "help": "Who acts: a key or development account.", "shell_complete": _names},
    ),
    (("--password-file",), _set_password_file, {"metavar": "FILE", "help": "Its first line is the key's password."}),
    (("--yes", "-y"), _set_yes, {"is_flag": True, "help": "Do not ask."}),
    (("--quiet", "-q"), _set_quiet, {"is_flag": True, "help": "No remarks and no progress on stderr."}),
    (("--verbose", "-v"), _set_verbose, {"count": True, "help": "More remarks on stderr."}),
    (("--no-wait",), _set_no_wait, {"is_flag": True, "help": "Do not wait until a write is final."}),
    (("--timeout",), _set_timeout, {"type": click.FloatRange(min=0), "metavar": "S", "help": "Longest wait, seconds."}),
)


def global_options(hidden: bool) -> list[click.Option]:
    """Fresh options that write into the settings and are passed to no command."""
    return [
        click.Option(
            [*names, "_global_" + names[0].strip("-").replace("-", "_")],
            callback=_into(setter),
            expose_value=False,
            is_eager=True,
            hidden=hidden,
            **details,
        )
        for names, setter, details in _GLOBALS
    ]


def _into(setter: Setter) -> Callable[[click.Context, click.Parameter, Any], None]:
    def store(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        given = context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
        if given:
            setter(context.ensure_object(Settings), value)

    return store


class Verb(click.Command):
    """A command that takes the global options too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_options(hidden=True))
        self.epilog = "Global options stand before or after: concento --help"


class _Suggesting(click.Group):
    """A group that says which command was probably meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is None and not args[0].startswith("-"):
            meant = suggestion(args[0], self.list_commands(ctx))
            ctx.fail(f"There is no command {ctx.command_path} {args[0]}.{meant}")
        return super().resolve_command(ctx, args)


class Noun(_Suggesting):
    """A group of verbs."""

    command_class = Verb

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_options(hidden=True))


class App(_Suggesting):
    """The nouns: name -> (module, sentence of help). A noun's module is imported when it is used."""

    def __init__(self, nouns: dict[str, tuple[str, str]], groups: dict[str, tuple[str, ...]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._nouns = nouns
        self._groups = groups
        self.params.extend(global_options(hidden=False))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._nouns)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._nouns.get(cmd_name)
        if place is None:
            return None
        command = getattr(import_module(place[0]), cmd_name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self._nouns))
        for title, names in self._groups.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), self._nouns[name][1]) for name in names])
