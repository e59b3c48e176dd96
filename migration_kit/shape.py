"""How many parameters of each kind a criterion's model has; criteria of like shape share one compiled model."""

from dataclasses import dataclass, fields

import xarray as xr

FLAGS = ("levels", "symmetric", "sided")
COUNTS = ("models", "components", "slices", "items")
OPTIONAL = ("groups", "strata", "raters", "outputs", "clusters", "rivals")


@dataclass(frozen=True)
class Shape:
    """Numbers of parameters by kind.

    Attributes
    ----------
    levels : int
        Levels of the scale, 0 where it is continuous.
    symmetric : bool
        A preference: its levels lie symmetric about 0.
    sided : bool
        Judgments say which side an output was shown on.
    models, components, slices, items : int
        Items are those with a label.
    groups, strata, raters, outputs, clusters, rivals : int
        0 where the model has no such effect: values of several slice columns; strata of labels drawn unevenly; raters
        where there are several; outputs with several judgments; clusters; different answers to an item, less one, that
        exclude each other.
    """

    levels: int = 2
    symmetric: bool = False
    sided: bool = False
    models: int = 0
    components: int = 0
    slices: int = 0
    items: int = 0
    groups: int = 0
    strata: int = 0
    raters: int = 0
    outputs: int = 0
    clusters: int = 0
    rivals: int = 0

    @property
    def kind(self) -> tuple:
        """What two criteria must have in common to share a compiled model."""
        return (*(getattr(self, name) for name in FLAGS), *(getattr(self, name) > 0 for name in OPTIONAL))

    def holds(self, rows: xr.Dataset) -> bool:
        """Tell whether the rows of a criterion fit into this shape."""
        own = shape_of(rows)
        return own.kind == self.kind and joined(self, own) == self


def shape_of(rows: xr.Dataset) -> Shape:
    """Return the smallest shape that holds the rows of a criterion, from `judgments.label_rows`."""
    pairwise = rows.attrs["kind"] == "pairwise"
    highest = {name: int(rows[name].max(initial=-1)) + 1 if rows.sizes["row"] else 0
               for name in ("item_index", "cluster_index", "output_index", "stratum")}
    raters = rows.sizes["rater"]
    return Shape(
        levels=len(rows.attrs["levels"]), symmetric=pairwise, sided=pairwise and bool((rows["side"] != 0).any()),
        models=rows.sizes["model"], components=rows.sizes["component"], slices=rows.sizes["slice"],
        items=highest["item_index"], groups=rows.sizes["group"] if rows.sizes["slice"] > 1 else 0,
        strata=rows.attrs["strata"] if rows.attrs["uneven"] else 0, raters=raters if raters > 1 else 0,
        outputs=highest["output_index"], clusters=highest["cluster_index"] if rows.attrs["clustered"] else 0,
        rivals=rows.sizes["rival"])


def joined(one: Shape, other: Shape) -> Shape:
    """Return the smallest shape that holds both; they must be of one kind."""
    if one.kind != other.kind:
        raise ValueError(f"{one} and {other} are models of different kinds")
    counts = {name: max(getattr(one, name), getattr(other, name)) for name in (*COUNTS, *OPTIONAL)}
    return Shape(**{field.name: counts.get(field.name, getattr(one, field.name)) for field in fields(Shape)})
