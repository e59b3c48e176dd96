"""Files of a run folder: written whole or not at all, their format told by the suffix."""

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path

SUFFIXES = (".parquet", ".json", ".nc")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` that takes its place, synced to disk, when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept because writers choose their format by it.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_together(contents: Mapping[Path, str]) -> None:
    """Write several files as UTF-8 text; where one of them fails, none that was not there before is left."""
    new = [path for path in contents if not path.exists()]
    try:
        with ExitStack() as stack:
            # The first takes its place last.
            for path, text in contents.items():
                stack.enter_context(replacing(path)).write_bytes(text.encode("utf-8", "replace"))
    except BaseException:
        for path in new:
            path.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: dict) -> Path:
    """Write `content` as UTF-8 JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    return path


def write_file(path: Path, content: object) -> Path:
    """Write a DataFrame (`.parquet`), a dict (`.json`) or an xarray DataTree or Dataset (`.nc`), atomically."""
    if path.suffix == ".json":
        return write_json(path, content)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path.name}: the suffix must be one of {', '.join(SUFFIXES)}")
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            content.to_parquet(temporary, index=False)
        else:
            content.to_netcdf(temporary, engine="h5netcdf", encoding=_compression(content))
    return path


def read_file(path: Path) -> object:
    """Read what `write_file` wrote: a DataFrame, a dict, a DataTree, or a Dataset where there is only one group."""
    if path.suffix == ".json":
        return json.loads(path.read_text("utf-8"))
    if path.suffix == ".parquet":
        import pandas as pd

        return pd.read_parquet(path)
    import xarray

    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        tree.load()
    return tree if tree.children else tree.to_dataset()


def plain(value: object) -> object:
    """`value` in JSON's own types: dates become ISO 8601 text, missing and infinite numbers null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if type(value).__name__ in {"NAType", "NaTType"}:
        return None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON: {value!r}")


def _compression(content: object) -> dict:
    """zlib for every numeric variable of a Dataset, or of every group of a DataTree."""

    def settings(variables: object) -> dict:
        return {name: {"zlib": True, "complevel": 4} for name, item in variables.items() if item.dtype.kind in "fiub"}

    if hasattr(content, "subtree"):
        return {node.path: settings(node.data_vars) for node in content.subtree if node.data_vars}
    return settings(content.data_vars)


def _umask() -> int:
    # mkstemp makes files that only their owner can read; a run folder is shared like any other file.
    mask = os.umask(0)
    os.umask(mask)
    return mask
