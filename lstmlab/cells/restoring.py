"""Subclasses with an __init__ of their own, made again from their config."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from inspect import Parameter
from types import SimpleNamespace
from typing import Any

import keras

_saved: list[tuple[type, dict]] = []  # what the classes get that are being restored, innermost last


class Restorable:
    """A base of Keras classes whose subclasses are restored whatever their __init__ takes.

    Keras calls `cls(**config)`. That fails where a subclass fixes an argument which the config
    names too, as in `super().__init__(units, variant="gru", **kwargs)`. Here the __init__ of the
    subclass is called as it was, and the class that it is made from takes what was saved in place
    of what the subclass hands on. A get_config of the subclass says how to call its __init__;
    without one, the config keeps the arguments that were given.

    Attributes:
        KNOWN: The arguments of the class itself, those of every Keras layer among them.
        REPLACES: {argument: arguments that are void beside it}.
    """

    KNOWN: Collection[str] = ()
    REPLACES: Mapping[str, Collection[str]] = {}

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__new__(cls, *args, **kwargs)
        given = _given(cls.__init__, made, args, kwargs)
        # past Keras, which wants no attribute before its own __init__; and in no dictionary, as it
        # saves the weights of what stands in one
        object.__setattr__(made, "_arguments", SimpleNamespace(**given))
        return made

    def own_config(self) -> dict:
        """The arguments of a subclass with an __init__ of its own and no get_config to tell them.

        Those that the config has for the class below are apart, as 'given'.
        """
        if _differs(type(self), "get_config") or not _differs(type(self), "__init__"):
            return {}
        serialize = keras.saving.serialize_keras_object
        given = {
            name: None if name in self.REPLACES else serialize(value)
            for name, value in vars(vars(self)["_arguments"]).items()
        }
        own = {name: given.pop(name) for name in list(given) if name not in self.KNOWN}
        return {**own, "given": given}

    @classmethod
    def restored(cls, config: dict) -> Any:
        """The object with this config, in which the arguments in KNOWN are objects already."""
        config = dict(config)
        given = config.pop("given", None)
        if not _differs(cls, "__init__"):
            return cls(**_valid(cls, config))
        own = {name: value for name, value in config.items() if name not in cls.KNOWN}
        saved = {name: value for name, value in config.items() if name in cls.KNOWN}
        named = {name: saved[name] for name in _named(cls) if name in saved}
        if _differs(cls, "get_config"):
            # It says what its __init__ takes, which need not be what is handed on.
            saved = {n: v for n, v in saved.items() if n not in named or n in cls.REPLACES}
        else:
            own = {name: _revived(value) for name, value in own.items()}
        if given is not None:
            named = {n: saved[n] if n in cls.REPLACES else _revived(given[n]) for n in given}

        _saved.append((cls, saved))
        try:
            return cls(**own, **named)
        finally:
            _saved[:] = [one for one in _saved if one[1] is not saved]


def restorable(init: Callable) -> Callable:
    """The __init__ of a Restorable: what was saved counts while a subclass is restored."""

    @wraps(init)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> None:
        if not _saved or _saved[-1][0] is not type(self):
            init(self, *args, **kwargs)
            return
        init(self, **_valid(type(self), _given(init, self, args, kwargs) | _saved.pop()[1]))

    # Keras asks inspect.getfullargspec, which does not look behind a wrapper
    wrapped.__signature__ = inspect.signature(init)  # type: ignore[attr-defined]
    return wrapped


def _valid(cls: Any, given: dict) -> dict:
    """The arguments without those that others replace."""
    void = [name for one, names in cls.REPLACES.items() if one in given for name in names]
    return {name: value for name, value in given.items() if name not in void}


def _revived(value: Any) -> Any:
    """What `serialize_keras_object` was given."""
    if not isinstance(value, (dict, list, tuple)):
        return value  # a string that names a class is a string all the same
    made = keras.saving.deserialize_keras_object(value)
    return tuple(made) if isinstance(value, tuple) else made


def _base(cls: Any) -> Any:
    """The class that says what is KNOWN: the last before Restorable."""
    return next(one for one in cls.__mro__ if Restorable in one.__bases__)


def _differs(cls: Any, method: str) -> bool:
    """Whether a subclass has a method of its own."""
    return getattr(cls, method) is not getattr(_base(cls), method)


def _given(init: Callable, self: Any, args: tuple, kwargs: dict) -> dict:
    """{name: value} of the arguments that were given, but for those of `*args`."""
    try:
        bound = inspect.signature(init).bind(self, *args, **kwargs)
    except TypeError:  # the call itself will say it
        return {}
    given: dict = {}
    for name, parameter in list(bound.signature.parameters.items())[1:]:
        if name in bound.arguments and parameter.kind is not Parameter.VAR_POSITIONAL:
            value = bound.arguments[name]
            given |= value if parameter.kind is Parameter.VAR_KEYWORD else {name: value}
    return given


def _named(cls: Any) -> set[str]:
    """The arguments that the __init__ of a subclass names, and those that it must hand on."""
    named: set[str] = set()
    below = cls.__mro__[: cls.__mro__.index(_base(cls))]
    inits = [vars(one)["__init__"] for one in below if "__init__" in vars(one)]
    for init in inits:
        parameters = list(inspect.signature(init).parameters.values())[1:]
        plain = [one for one in parameters if one.kind not in _MORE]
        named |= {one.name for one in plain if init is inits[0] or one.default is one.empty}
        if all(one.kind is not Parameter.VAR_KEYWORD for one in parameters):
            break
    return named


_MORE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
