"""Decide with evidence whether a candidate model may replace the incumbent in production.

Public names are imported on first use, so that ``import migration_kit`` stays light and never loads PyMC.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "InputError": "errors",
    "load_data": "data",
    "load_plan": "plan",
    "open_run": "run",
    "run_pipeline": "pipeline",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return __all__
