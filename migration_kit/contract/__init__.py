"""What the tables of a migration must be before anything is computed from them."""

from migration_kit.contract.exclusions import Exclusions
from migration_kit.contract.items import check_items, check_outputs
from migration_kit.contract.scores import check_held_out, check_scores, count_missing
from migration_kit.contract.traffic import check_traffic

__all__ = [
    "Exclusions", "check_held_out", "check_items", "check_outputs", "check_scores", "check_traffic", "count_missing",
]
