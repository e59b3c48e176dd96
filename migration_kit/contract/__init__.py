"""What the tables of a migration must be before anything is computed from them."""

from migration_kit.contract.columns import check_columns
from migration_kit.contract.exclusions import Exclusions, no_notes
from migration_kit.contract.inclusion import with_inclusion
from migration_kit.contract.items import check_items, check_outputs
from migration_kit.contract.live import check_live, check_stakeholders, no_live
from migration_kit.contract.oddities import note_dates
from migration_kit.contract.scores import check_held_out, check_scores, count_missing
from migration_kit.contract.traffic import check_traffic

__all__ = [
    "Exclusions", "check_columns", "check_held_out", "check_items", "check_live", "check_outputs", "check_scores",
    "check_stakeholders", "check_traffic", "count_missing", "no_live", "no_notes", "note_dates",
    "with_inclusion",
]
