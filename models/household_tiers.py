"""The demo's model: households in five tiers of value, by what and how they buy."""

from service.scoring.manifest import Feature

NAME = "household-tiers"
CLUSTERS = 5

FEATURES = (
    Feature("orders"),
    Feature("revenue", unit="money"),
    Feature("average_order_value", unit="money"),
    Feature("median_gap_days", unit="days"),
    Feature("discount_share", unit="share"),
    Feature("private_label_share", unit="share"),
    Feature("orders_90d"),
)

# A household that never bought has no value to speak of.
REQUIRED = ("orders", "revenue")
VALUE_TRAIT = "revenue"
